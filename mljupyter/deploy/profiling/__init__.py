"""Profiling: measures a model on a temporary endpoint under load, and recommends a size."""
