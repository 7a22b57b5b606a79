"""The servers that some tests need. Environment variables name them; CONTRIBUTING.md has the table."""

from __future__ import annotations

import os
from collections.abc import Mapping

import pytest

PREFIX = "MLJUPYTER_TEST_"
SERVERS = {
    "DOCKER": "set it to 1 where DOCKER_HOST, or the default socket, leads to a Docker engine",
    "BASE_IMAGE": "set it to an image with Python 3.11 and pip that the engine can get, such as python:3.11-slim",
    "REGISTRY": "set it to HOST:PORT of a container registry without a login: docker run -d -p 5000:5000 registry:2",
    "PRIVATE_REGISTRY": "set it to HOST:PORT of a container registry with the login edge, password edge-secret",
    "KUBECONFIG": "set it to the kubeconfig of a cluster whose nodes share the images of the Docker engine, such as "
    "one of kind or minikube",
    "POSTGRESQL": "set it to the URL of an empty database, postgresql://USER:PASSWORD@HOST/NAME, and install psycopg: "
    "docker run -d -p 5432:5432 -e POSTGRES_PASSWORD=test postgres; pip install 'psycopg[binary]'",
}


def found(name: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the value of a variable, such as ``DOCKER`` for ``MLJUPYTER_TEST_DOCKER``; None where it is not set.

    CI sets some of them with the prefix ``TESTBED_``.
    """
    return environment.get(PREFIX + name) or environment.get("TESTBED_" + name) or None


def missing(name: str) -> str:
    """Return why a test is skipped: the variable that is not set, and how to set it."""
    return f"{PREFIX}{name} is not set: {SERVERS[name]}"


def needed(variable: str) -> str:
    """Return the value of a variable of the table, or skip the test and say how to set it."""
    name = variable.removeprefix(PREFIX).removeprefix("TESTBED_")
    value = found(name)
    if value is None:
        pytest.skip(missing(name))
    return value
