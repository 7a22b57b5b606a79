"""Metrics: a collector that reads router and replicas each second, and the ways out."""
