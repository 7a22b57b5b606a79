"""Container registries: references, credentials, the client, and base images read from them."""
