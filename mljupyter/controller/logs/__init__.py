"""Logs of replicas: merged by time and followed."""
