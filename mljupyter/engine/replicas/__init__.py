"""Replicas of one version: revisions, the plan of what to start and stop, states, draining."""
