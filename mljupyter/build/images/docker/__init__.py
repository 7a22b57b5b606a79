"""Image builds by a Docker engine: the classic builder and BuildKit."""
