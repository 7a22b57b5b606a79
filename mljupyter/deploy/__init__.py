"""Deploying: from a request to an endpoint. `prepare` -> `diff` -> `build` -> `apply`."""
