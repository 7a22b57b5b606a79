"""The router: one Envoy process, its configuration files and its statistics."""
