"""Builds: snapshots of source directories, environments, and images."""
