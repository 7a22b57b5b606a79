"""Replicas of one version: revisions, the plan of replicas to start and stop, crash back-off, draining."""
