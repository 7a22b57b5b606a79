"""The runtime of the target ``docker``: replicas are containers of a Docker engine."""

TARGET = "docker"
