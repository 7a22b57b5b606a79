"""Smoke test of an image: one container for one request (Azure ML v1: ContainerImage.run)."""

from __future__ import annotations

import contextlib
import http.client
import json
import secrets
import time
from collections.abc import Iterator
from typing import Any

from mljupyter.build.images.docker.address import engine_address
from mljupyter.build.images.docker.engine import LABEL_RUN, connect, translated
from mljupyter.engine.replicas.replica_key import HEADER, VARIABLE
from mljupyter.exceptions import WebserviceException
from mljupyter.runtimes.base import RuntimeUnavailableError
from mljupyter.runtimes.docker.container_spec import memory_options, most_of, published_port
from mljupyter.runtimes.docker.start import start

_ANSWERS_WITHIN_SECONDS = 310  # as long as init() may take
_SCORES_WITHIN_SECONDS = 60
_PAUSE_SECONDS = 0.1
_LAST_LINES = 20
_KEY_BYTES = 32


def run(image: str, body: str | bytes) -> Any:
    """Start a container of an image, send it one request, remove it and return the answer.

    Parameters:
        image: its reference on the Docker engine.
        body: the request body.

    Returns:
        The decoded JSON of the answer, or its text if it is not JSON.

    Raises:
        WebserviceException: the container does not start, with the last lines of its log; or an answer other than 200.

    """
    # The key keeps other users of this machine from using the container.
    key = secrets.token_hex(_KEY_BYTES)
    with _container(image, key) as (container, port):
        _wait_until_ready(container, port, image)
        status, content = _exchange(port, "POST", "/score", body, _SCORES_WITHIN_SECONDS, {HEADER: key})
        if status != http.client.OK:
            text = content.decode(errors="replace")
            raise WebserviceException(f"{image} answered with status {status}: {text}", status_code=status)
    try:
        return json.loads(content)
    except (ValueError, RecursionError):  # not JSON, or nested too deeply: return the text
        return content.decode(errors="replace")


@contextlib.contextmanager
def _container(image: str, key: str) -> Iterator[tuple[Any, int]]:
    address = engine_address()
    if address.elsewhere:
        raise WebserviceException(
            f"The Docker engine {address} is on another machine: a single container cannot be tried there.\n"
            "Deploy the image, or try it on an engine of this machine: DOCKER_HOST=unix:///var/run/docker.sock."
        )
    client = connect()
    try:
        with translated():
            container = start(
                client,
                image,
                environment={VARIABLE: key},
                labels={LABEL_RUN: "trial"},
                **memory_options(most_of(client.info()["MemTotal"])),
            )
        try:
            port = published_port(container.attrs)
            yield container, port
        finally:
            with translated():
                container.remove(force=True, v=True)
    except RuntimeUnavailableError as error:
        raise WebserviceException(error.message) from None
    finally:
        client.close()


def _wait_until_ready(container: Any, port: int, image: str) -> None:
    deadline = time.monotonic() + _ANSWERS_WITHIN_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if _exchange(port, "GET", "/", None, 2)[0] == http.client.OK:
                return
        container.reload()
        if container.status not in ("created", "running"):
            break
        time.sleep(_PAUSE_SECONDS)
    lines = container.logs(tail=_LAST_LINES).decode(errors="replace").rstrip()
    raise WebserviceException(f"A container of {image} did not become ready. The last lines of its log:\n{lines}")


def _exchange(
    port: int, method: str, path: str, body: str | bytes | None, timeout: float, headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    with contextlib.closing(connection):
        data = body.encode() if isinstance(body, str) else body
        connection.request(method, path, body=data, headers={"Content-Type": "application/json", **(headers or {})})
        answer = connection.getresponse()
        return answer.status, answer.read()
