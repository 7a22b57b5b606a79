"""The base image of the tests in a container registry."""

from __future__ import annotations

import fcntl
import tempfile
from pathlib import Path

import httpx


def in_registry(base: str, host: str) -> str:
    """Return the reference of the base image in a registry without a login; the first test that needs it pushes it.

    Parameters:
        base: the image on the engine, such as ``python:3.11-slim``.
        host: ``HOST:PORT`` of the registry.

    """
    reference = f"{host}/{base}"
    repository, _, tag = base.partition(":")
    lock = Path(tempfile.gettempdir()) / "mljupyter-test-base-image.lock"
    with lock.open("w") as file:  # all processes give the image the same name while they push it
        fcntl.flock(file, fcntl.LOCK_EX)
        if httpx.head(f"http://{host}/v2/{repository}/manifests/{tag}").status_code != httpx.codes.OK:
            from mljupyter.build.images.docker.engine import connect, push
            from mljupyter.build.images.registry.references import Reference

            client = connect(timeout=300)
            client.images.get(base).tag(reference)
            push(client, Reference.parse(reference), ())
            client.images.remove(reference)
            client.close()
    return reference
