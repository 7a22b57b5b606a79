"""Images of deployments: build or reuse, pull, tag, test, remove."""
