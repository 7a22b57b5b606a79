"""Kubernetes objects as plain dictionaries: built and read without I/O."""
