"""Envoy's configuration as plain resources: listeners, routes, clusters and their filters."""
