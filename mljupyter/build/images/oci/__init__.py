"""Image builds without a Docker engine: layers and manifests, pushed to a registry."""
