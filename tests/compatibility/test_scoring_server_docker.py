"""A container answers as a process does: the requests that compare a process with Azure's server."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.compatibility import scoring_server
from tests.compatibility.scoring_requests import REQUESTS, SERVERS, Request
from tests.scoring.replicas import replica_of
from tests.system.targets import DOCKERFILE, build
from tests.testbed import needed
from tests.waiting import wait_until

docker = pytest.importorskip("docker", reason="needs the Docker SDK: pip install 'mljupyter[docker]'")
pytestmark = pytest.mark.system

# The script is inside a package of its name, and its image has no packages but those of the server.
PACKAGES = ("flask", "numpy", "pandas")
SCRIPT = "from score.helpers import VALUE\n" + textwrap.dedent(SERVERS["plain"].script).replace(
    f"import {', '.join(PACKAGES)}\n", ""
)
ENTRY = "score/score.py"
PLACED = DOCKERFILE.replace(
    "COPY score.py /var/azureml-app/score.py",
    f"COPY score.py /var/azureml-app/{ENTRY}\n"
    "RUN cd /var/azureml-app/score && touch __init__.py && echo VALUE = 9 > helpers.py && chmod -R a+rX .",
).replace("AZUREML_ENTRY_SCRIPT=score.py", f"AZUREML_ENTRY_SCRIPT={ENTRY}")


def asked() -> list[Request]:
    return [
        one
        for one in REQUESTS
        if one.server == "plain" and not any(name in (one.body or b"").decode("latin-1") for name in PACKAGES)
    ]


@contextmanager
def process() -> Iterator[httpx.Client]:
    def prepare(directory: Path) -> None:
        for name, text in {"__init__.py": "", "helpers.py": "VALUE = 9\n", "score.py": SCRIPT}.items():
            (directory / "score").mkdir(exist_ok=True)
            (directory / "score" / name).write_text(text)

    with replica_of(None, "--entry-script", ENTRY, prepare=prepare) as replica:
        yield replica.client


@contextmanager
def container() -> Iterator[httpx.Client]:
    needed("TESTBED_DOCKER")
    client = docker.from_env()
    started = client.containers.run(
        build(SCRIPT, PLACED), detach=True, read_only=True, cap_drop=["ALL"], ports={"5001/tcp": ("127.0.0.1", None)}
    )
    try:

        def address() -> str | None:
            started.reload()
            assert started.status in ("created", "running"), started.logs().decode()
            published = started.ports.get("5001/tcp")
            return f"http://127.0.0.1:{published[0]['HostPort']}" if published else None

        with httpx.Client(base_url=wait_until(address, "the container's port")) as asking:
            wait_until(lambda: healthy(asking), "the container's readiness")
            yield asking
    finally:
        started.remove(force=True)
        client.close()


def healthy(client: httpx.Client) -> bool:
    try:
        return client.get("/").status_code == 200
    except httpx.TransportError:
        return False


def test_a_container_answers_every_request_as_a_process_does() -> None:
    requests = asked()
    assert len(requests) > 100
    with container() as boxed, process() as local:
        found = {one.name: scoring_server.ask(boxed, one) for one in requests}
        expected = {one.name: scoring_server.ask(local, one) for one in requests}
    assert scoring_server.differences(expected, found) == {}
    assert found["text"]["body"] == "hello", "the script has been started"
