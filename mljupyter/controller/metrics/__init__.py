"""Metrics: a collector that samples the router and the replicas each second, a Prometheus port, and the exporter."""
