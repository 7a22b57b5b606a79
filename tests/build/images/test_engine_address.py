"""Which engine is meant, and reaching one by SSH."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mljupyter.build.images import BuildCancelledError, BuilderUnavailableError, BuildEvent
from mljupyter.build.images.docker.address import engine_address
from mljupyter.build.images.docker.builder import DockerBuilder
from mljupyter.registry.artifacts.store import ArtifactStore
from tests.build.images.sleeping_step import SleepingStep
from tests.ssh_server import engine_over_ssh

from .conftest import Planner, answer_of


@pytest.mark.parametrize(
    ("url", "elsewhere"),
    [
        ("unix:///var/run/docker.sock", False),
        ("tcp://127.0.0.1:2376", False),
        ("tcp://localhost:2376", False),
        ("tcp://192.0.2.1:2376", True),
        ("tcp://build.example.com:2376", True),
        ("ssh://ada@localhost", True),
    ],
)
def test_an_engine_is_elsewhere_unless_its_loopback_is_this_machines(url: str, elsewhere: bool) -> None:
    assert engine_address(url).elsewhere is elsewhere


def test_the_variable_comes_before_the_context(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONTEXT", "nowhere")
    monkeypatch.setenv("DOCKER_HOST", "unix:///mine.sock")
    assert str(engine_address()) == "unix:///mine.sock (DOCKER_HOST)"
    monkeypatch.delenv("DOCKER_HOST")
    with pytest.raises(BuilderUnavailableError, match="'nowhere' does not exist"):
        engine_address()
    monkeypatch.delenv("DOCKER_CONTEXT")
    assert str(engine_address()) == "unix:///var/run/docker.sock (the default socket)"


@pytest.fixture
def over_ssh(engine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The engine of the test bed, by SSH."""
    directory = tmp_path / "ssh"
    directory.mkdir()
    with engine_over_ssh(engine_address().url, directory, monkeypatch) as address:
        monkeypatch.setenv("DOCKER_HOST", address)
        yield address


@pytest.mark.parametrize("buildkit", ["0", "1"])
def test_an_engine_behind_ssh_builds_what_serves(
    over_ssh: str,
    planned: Planner,
    store: ArtifactStore,
    base: str,
    engine: Any,
    name: str,
    buildkit: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DOCKER_BUILDKIT", buildkit)
    seen: list[BuildEvent] = []
    builder = DockerBuilder(store)
    image = builder.build(planned(base), tag=f"mljupyter/{name}:1", on_event=seen.append)
    assert answer_of(engine, image.reference)["seven"] == "VII"
    assert {"environment", "image"} <= {event.stage for event in seen if event.state == "succeeded"}
    assert "roman" in {package.name for package in image.packages}
    builder.close()


def test_cancelling_a_build_behind_ssh_stops_it_there(
    over_ssh: str, planned: Planner, store: ArtifactStore, base: str, engine: Any
) -> None:
    step = SleepingStep()
    plan = planned(base, docker={"extraDockerfileSteps": f"RUN {step.command}"})
    with step.cancelling() as cancel, pytest.raises(BuildCancelledError):
        DockerBuilder(store, use_buildkit=False).build(plan, tag="mljupyter/test-never:1", cancel=cancel)
    label = {"label": f"mljupyter/environment={plan.environment}"}
    assert engine.containers.list(all=True, filters=label) == []


def test_what_ssh_says_of_a_refusal_is_told(over_ssh: str, store: ArtifactStore) -> None:
    with pytest.raises(BuilderUnavailableError, match=r"ssh://eve@127.0.0.1(.|\n)*Permission denied"):
        DockerBuilder(store, url=over_ssh.replace("ada@", "eve@"))
