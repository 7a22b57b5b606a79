"""Profiling: a temporary endpoint under load, and the size that suits its model."""
