"""The compute targets that the suites of versions and rollouts run on: processes of this machine, and containers."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import os
import signal
import sys
import tarfile
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

import mljupyter
from mljupyter.spec import EndpointRecord
from tests.testbed import needed

if TYPE_CHECKING:
    from tests.system.conftest import Machine

DOCKERFILE = """
FROM {base}
RUN pip install --quiet uvicorn httptools uvloop
COPY mljupyter /opt/scoring/mljupyter
COPY score.py /var/azureml-app/score.py
ENV PYTHONPATH=/opt/scoring AML_APP_ROOT=/var/azureml-app AZUREML_ENTRY_SCRIPT=score.py
LABEL mljupyter/plan=test mljupyter/replica-key=1
USER 1000
ENTRYPOINT ["python3", "-m", "mljupyter.scoring", "--host", "0.0.0.0", "--port", "5001"]
"""


class Target(Protocol):
    """A compute target: how a script becomes part of a version there, and how replicas are counted and killed."""

    name: str
    #: How many requests a measured split takes there, and within how many points it must be. The router is the same
    #: for all targets, so the long measurement is made on one.
    measured: int
    points: float

    def runs(self, script: str) -> dict[str, Any]:
        """Return the fields of a version that runs a script."""
        ...

    def replicas(self) -> set[str]:
        """Return which replicas run."""
        ...

    def signal(self, record: EndpointRecord, version: str, number: signal.Signals) -> None:
        """Send a signal to the first replica of a version."""
        ...


class Local:
    """Processes of this machine."""

    name = "local"
    measured = 10_000
    points = 1.5

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def runs(self, script: str) -> dict[str, Any]:
        return {"code": self._machine.code(script).document(), "interpreter": sys.executable}

    def replicas(self) -> set[str]:
        return {str(pid) for pid in self._machine.replicas()}

    def signal(self, record: EndpointRecord, version: str, number: signal.Signals) -> None:
        pid = record.status.versions[version].replicas[0].pid
        assert pid is not None
        os.kill(pid, number)


class Docker:
    """Containers of a Docker engine."""

    name = "docker"
    measured = 3_000
    points = 3.0

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def runs(self, script: str) -> dict[str, Any]:
        return {"image": build(textwrap.dedent(script))}

    def replicas(self) -> set[str]:
        return {container.id for container in containers(self._machine, all=False)}

    def signal(self, record: EndpointRecord, version: str, number: signal.Signals) -> None:
        replica = record.status.versions[version].replicas[0].id
        (container,) = (item for item in containers(self._machine) if item.labels["mljupyter/replica"] == replica)
        if number is signal.SIGSTOP:
            container.pause()  # all of the container's processes, not the first one alone
        else:
            container.kill(int(number))


@functools.cache
def build(script: str, dockerfile: str = DOCKERFILE) -> str:
    """Build an image that serves a script, as small as it can be; the engine caches all but the script."""
    import docker

    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as archive:
        package = Path(mljupyter.__file__).parent
        for path in [package / "__init__.py", *sorted(package.glob("scoring/**/*.py"))]:
            entry = archive.gettarinfo(str(path), f"mljupyter/{path.relative_to(package)}")
            entry.mtime = 0
            archive.addfile(entry, io.BytesIO(path.read_bytes()))
        for name, text in (("Dockerfile", dockerfile.format(base=needed("TESTBED_BASE_IMAGE"))), ("score.py", script)):
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    context.seek(0)
    image, _ = docker.from_env().images.build(fileobj=context, custom_context=True, rm=True)
    return str(image.id)


def containers(machine: Machine, *, all: bool = True) -> list[Any]:
    """Return the containers of a machine's workspace."""
    import docker

    fingerprint = hashlib.sha256(str(machine.directory).encode()).hexdigest()[:16]
    label = f"mljupyter/workspace={fingerprint}"
    return list(docker.from_env().containers.list(all=all, filters={"label": label}, ignore_removed=True))


@contextlib.contextmanager
def opened(name: str, machine: Machine) -> Iterator[Target]:
    """Give a compute target for a test; no container is left behind. Skips where there is no Docker engine."""
    if name == "local":
        yield Local(machine)
        return
    needed("TESTBED_DOCKER")
    pytest.importorskip("docker", reason="needs the Docker SDK: pip install 'mljupyter[docker]'")
    yield Docker(machine)
    for record in machine.client.endpoints():
        machine.client.delete(record.spec.name)
    for container in containers(machine):
        with contextlib.suppress(Exception):  # the controller may be removing it, too
            container.remove(force=True)
