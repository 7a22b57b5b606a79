"""Compute targets: one package for each, found by entry points."""
