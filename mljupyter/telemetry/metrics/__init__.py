"""Metrics: time series of endpoints, their store, reports, tables, plots and the Prometheus format."""
