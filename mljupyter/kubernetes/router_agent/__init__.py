"""The agent of a router pod: it configures the Envoy of its pod from the API server."""
