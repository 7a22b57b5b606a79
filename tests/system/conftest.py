"""A workspace with a real controller, router and replicas; nothing of it is left when a test ends."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mljupyter.registry.artifacts.store import ArtifactStore
from mljupyter.runtimes.process import processes
from mljupyter.spec import (
    Authentication,
    CodeReference,
    EndpointKind,
    EndpointRecord,
    EndpointSpec,
    EndpointState,
    RouterSpec,
    VersionSpec,
)
from mljupyter.targets.machine.client import ControllerClient
from tests.system.targets import Target, opened
from tests.waiting import wait_until

ECHO = """
    import os

    def init():
        pass

    def run(data):
        return {"pid": os.getpid(), "data": data}
    """
SETTLED = (EndpointState.HEALTHY, EndpointState.FAILED)


@dataclass
class Machine:
    """A workspace directory, a client of its controller, and short ways to say what tests need."""

    directory: Path
    client: ControllerClient
    store: ArtifactStore
    scripts: int = field(default=0)

    def code(self, script: str) -> CodeReference:
        """Store a scoring script."""
        self.scripts += 1
        path = self.directory / "scripts" / str(self.scripts) / "score.py"
        path.parent.mkdir(parents=True)
        path.write_text(textwrap.dedent(script))
        return CodeReference(digest=self.store.put(path).digest, entry_script="score.py")

    def spec(
        self,
        name: str = "echo",
        script: str = ECHO,
        *,
        authentication: Authentication = Authentication.NONE,
        kind: EndpointKind = EndpointKind.AKS,
        port: int | None = None,
        **version: object,
    ) -> EndpointSpec:
        """Describe an endpoint with one version."""
        wanted = VersionSpec.parse(
            {
                "code": version.pop("code", None) or self.code(script).document(),
                "interpreter": sys.executable,
                **version,
            }
        )
        return EndpointSpec(
            name=name,
            kind=kind,
            port=port,
            authentication=authentication,
            default_version=name,
            versions={name: wanted},
        )

    def settle(self, record: EndpointRecord) -> EndpointRecord:
        """Wait until an endpoint is healthy or has failed, with its newest spec, and none of its versions starts.

        An endpoint has failed with the first version that fails. The others may start still.
        """

        def look() -> EndpointRecord | None:
            found = self.client.endpoint(record.spec.name)
            settled = found.status.state in SETTLED and found.status.observed_generation >= record.generation
            starts = any(one.state is EndpointState.TRANSITIONING for one in found.status.versions.values())
            return found if settled and not starts else None

        return wait_until(look, f"{record.spec.name} settles")

    def healthy(self, spec: EndpointSpec) -> EndpointRecord:
        """Create an endpoint and wait until it is healthy."""
        record = self.settle(self.client.create(spec))
        assert record.status.state is EndpointState.HEALTHY, record.status.problem
        return record

    def replicas(self) -> dict[int, list[str]]:
        """Return the replicas that run on this machine for this workspace: pid to command line."""
        return self._processes("mljupyter.scoring")

    def controllers(self) -> dict[int, list[str]]:
        """Return the controllers that run for this workspace."""
        return self._processes("mljupyter.controller")

    def routers(self) -> dict[int, list[str]]:
        """Return the routers that run for this workspace."""
        return self._processes("--config-path")

    def _processes(self, word: str) -> dict[int, list[str]]:
        directory = str(self.directory)
        found = processes.find(lambda command: word in command and any(directory in part for part in command))
        return {identity.pid: command for identity, command in found}


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Callable[[], Machine]]:
    """Return a function that makes another machine each time; all are cleared away in the end."""
    made: list[Machine] = []

    def make() -> Machine:
        directory = (tmp_path / (f"other-{len(made)}" if made else "workspace")).resolve()
        directory.mkdir(mode=0o700)
        made.append(Machine(directory, ControllerClient(directory), ArtifactStore(directory / "artifacts")))
        return made[-1]

    yield make
    for machine in made:
        clear_away(machine)


@pytest.fixture(scope="module")
def shared_machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """One machine for the tests of a module: a controller and a router take two seconds of a processor to start."""
    directory = (tmp_path_factory.mktemp("shared") / "workspace").resolve()
    directory.mkdir(mode=0o700)
    machine = Machine(directory, ControllerClient(directory), ArtifactStore(directory / "artifacts"))
    yield machine
    clear_away(machine)


@pytest.fixture
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """Return a machine without endpoints: another one, or that of the module where it says ``SHARES_MACHINE = True``.

    Tests may share one if they look at nothing but their endpoints and the router. They may kill its controller. The
    router's settings are put back after each.
    """
    if not getattr(request.module, "SHARES_MACHINE", False):
        yield request.getfixturevalue("machines")()
        return
    shared: Machine = request.getfixturevalue("shared_machine")
    yield shared
    delete_endpoints(shared)
    if has_state(shared) and shared.client.router().spec != RouterSpec():
        shared.client.put_router(RouterSpec())
    wait_until(lambda: not shared.replicas() and len(shared.routers()) < 2, "replicas and replaced routers have ended")


def has_state(machine: Machine) -> bool:
    """Return whether a controller has ever run there."""
    return (machine.directory / "control" / "controller.db").exists()


def delete_endpoints(machine: Machine) -> None:
    if has_state(machine):
        for record in machine.client.endpoints():
            machine.client.delete(record.spec.name)


def clear_away(machine: Machine) -> None:
    """End all that runs of a workspace."""
    delete_endpoints(machine)
    machine.client.stop(force=True)
    wait_until(lambda: not (machine.replicas() or machine.routers() or machine.controllers()), "all processes are gone")


@pytest.fixture(params=["local", "docker"])
def target(request: pytest.FixtureRequest, machine: Machine) -> Iterator[Target]:
    """Each compute target in turn: what holds on one holds on the others."""
    with opened(request.param, machine) as target:
        yield target
