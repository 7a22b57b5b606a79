"""BuildKit: how its output is read, by what it has printed, and the real one of the engine where buildx is there."""

from __future__ import annotations

import subprocess
import threading
import time
from pathlib import Path
from typing import IO, Any

import pytest

from mljupyter.build.images import BuildCancelledError, BuildFailedError
from mljupyter.build.images.docker import buildkit
from mljupyter.build.images.docker.builder import DockerBuilder
from mljupyter.build.images.events import BuildLog
from mljupyter.registry.artifacts.store import ArtifactStore
from tests.build.images.sleeping_step import SleepingStep
from tests.waiting import promised

from .conftest import Planner, answer_of

PROGRESS = """\
#0 building with "default" instance using docker driver

#1 [internal] load build definition from Dockerfile
#1 transferring dockerfile: 1.32kB done
#1 DONE 0.0s

#5 [mljupyter-server 1/2] COPY server-requirements.txt /tmp/mljupyter/
#5 DONE 0.1s

#6 [mljupyter-environment 2/3] RUN python3 -m venv /opt/environment
#6 1.234 Collecting roman==4.2
#6 2.345 from https://ada:hunter2@example.org/simple
#6 DONE 2.5s

#9 [stage-3 4/9] COPY azureml-app/ /var/azureml-app/
"""
SUCCESS = PROGRESS + "#9 DONE 0.1s\n"
FAILURE = PROGRESS.partition("#6 DONE")[0] + (
    "#6 2.9 ERROR: No matching distribution found for roman==99.0\n"
    '#6 ERROR: process "/bin/sh -c python3" did not complete successfully: exit code: 1\n'
    "ERROR: failed to solve: process did not complete successfully: exit code: 1\n"
)


def stand_in(directory: Path, output: str, status: int, *, then_sleep: bool = False) -> str:
    (directory / "output").write_text(output)
    program = directory / "docker"
    sleep = "sleep 600 &\necho $! > " + f"{directory}/child\nwait\n" if then_sleep else ""
    program.write_text(f'#!/bin/sh\necho "$@" > {directory}/arguments\ncat {directory}/output\n{sleep}exit {status}\n')
    program.chmod(0o755)
    return str(program)


def nothing(directory: Path) -> IO[bytes]:
    """A context that the stand-in does not read."""
    (directory / "context.tar").touch()
    return (directory / "context.tar").open("rb")


def test_progress_becomes_stages_and_lines(tmp_path: Path) -> None:
    log = BuildLog()
    buildkit.run(nothing(tmp_path), "a:1", "linux/amd64", log, None, stand_in(tmp_path, SUCCESS, 0))
    begun = [event.stage for event in log.events if event.state == "running"]
    assert begun == ["context", "server", "environment", "image"]
    lines = [event.text for event in log.events if event.state is None and event.stage == "environment"]
    assert "Collecting roman==4.2" in lines
    assert "hunter2" not in log.text()
    arguments = (tmp_path / "arguments").read_text().split()
    assert arguments[:2] == ["buildx", "build"]
    assert {"--load", "--platform", "linux/amd64", "--tag", "a:1"} <= set(arguments)


def test_a_build_without_a_tag_leaves_no_image(tmp_path: Path) -> None:
    buildkit.run(nothing(tmp_path), None, "linux/amd64", BuildLog(), None, stand_in(tmp_path, SUCCESS, 0))
    arguments = (tmp_path / "arguments").read_text().split()
    assert {"--output", "type=cacheonly"} <= set(arguments)
    assert not {"--load", "--tag"} & set(arguments)


def test_a_failure_names_the_stage_and_a_hint(tmp_path: Path) -> None:
    with pytest.raises(BuildFailedError) as caught:
        buildkit.run(nothing(tmp_path), "a:1", "linux/amd64", BuildLog(), None, stand_in(tmp_path, FAILURE, 1))
    assert caught.value.step == "environment"
    assert "failed to solve" in caught.value.reason
    assert "pinned version" in (caught.value.hint or "")


def test_cancelling_ends_the_program_with_its_children(tmp_path: Path) -> None:
    cancel = threading.Event()
    log = BuildLog(lambda event: cancel.set() if event.stage == "image" else None, cancel=cancel)
    began = time.monotonic()
    with pytest.raises(BuildCancelledError):
        buildkit.run(
            nothing(tmp_path), "a:1", "linux/amd64", log, None, stand_in(tmp_path, PROGRESS, 0, then_sleep=True)
        )
    assert time.monotonic() - began < promised(15)


@pytest.fixture
def buildx(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """BuildKit of the real engine."""
    if subprocess.run(["docker", "buildx", "version"], capture_output=True).returncode:
        pytest.skip("Docker's command line has no buildx: run `.ci/install-buildx`")
    monkeypatch.setenv("DOCKER_BUILDKIT", "1")


def test_whoever_asks_for_a_builder_gets_it(buildx: None, engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert buildkit.offered(engine)
    monkeypatch.setenv("DOCKER_BUILDKIT", "0")
    assert not buildkit.offered(engine)
    monkeypatch.delenv("DOCKER_BUILDKIT")
    prefers = engine.api.get(f"{engine.api.base_url}/_ping").headers.get("Builder-Version") == "2"
    assert buildkit.offered(engine) is prefers


def test_the_engines_buildkit_makes_an_image_that_serves(
    buildx: None, planned: Planner, store: ArtifactStore, base: str, engine: Any, name: str
) -> None:
    builder, seen = DockerBuilder(store), []
    plan = planned(base, variables={"GREETING": 'say "hi" for $5'})
    image = builder.build(plan, tag=f"mljupyter/{name}:1", on_event=seen.append)
    assert answer_of(engine, image.reference)["seven"] == "VII"
    assert 'GREETING=say "hi" for $5' in engine.images.get(image.reference).attrs["Config"]["Env"]
    assert ("roman", "4.2") in {(package.name, package.version) for package in image.packages}
    ended = {event.stage for event in seen if event.state == "succeeded"}
    assert {"context", "base image", "server", "environment", "image", "contents"} <= ended
    assert all(event.seconds is not None for event in seen if event.state == "succeeded")
    found = builder.find(plan)
    assert found is not None
    assert found.digest == image.digest


@pytest.mark.parametrize(
    ("changes", "stage", "hint"),
    [
        ({"pip": ("no-such-package-mljupyter-test",)}, "environment", "no such package"),
        ({"pip": ("roman==99.0",), "pins": "strict"}, "environment", "pinned version"),
        (
            {"docker": {"extraDockerfileSteps": "RUN dd if=/dev/zero of=/dev/shm/full bs=1M count=70"}},
            "base",
            "No space is left",
        ),
    ],
)
def test_a_failing_step_of_buildkit_is_named_with_its_last_lines_and_a_hint(
    buildx: None, planned: Planner, store: ArtifactStore, base: str, changes, stage: str, hint: str
) -> None:
    with pytest.raises(BuildFailedError) as caught:
        DockerBuilder(store).build(planned(base, **changes), tag="mljupyter/test-never:1")
    assert caught.value.step == stage
    assert hint in (caught.value.hint or "")
    assert 0 < len(caught.value.last_lines) <= 20


def test_cancelling_buildkit_stops_what_runs_in_the_engine_and_leaves_nothing(
    buildx: None, planned: Planner, store: ArtifactStore, base: str, engine: Any
) -> None:
    step = SleepingStep()
    plan = planned(base, docker={"extraDockerfileSteps": f"RUN true\nRUN {step.command}"})
    with step.cancelling() as cancel, pytest.raises(BuildCancelledError):
        DockerBuilder(store).build(plan, tag="mljupyter/test-never:1", cancel=cancel)
    label = {"label": f"mljupyter/environment={plan.environment}"}
    assert engine.containers.list(all=True, filters=label) == []
    assert engine.images.list(all=True, filters=label) == []


def test_secrets_of_the_environment_reach_no_log_of_buildkit(
    buildx: None, planned: Planner, store: ArtifactStore, base: str
) -> None:
    seen: list[Any] = []
    plan = planned(base, ("--extra-index-url https://ada:hunter2@pypi.org/simple", "roman==99.0"), pins="strict")
    with pytest.raises(BuildFailedError) as caught:
        DockerBuilder(store).build(plan, tag="mljupyter/test-never:1", on_event=seen.append)
    assert "hunter2" not in "\n".join([str(caught.value), *(event.text for event in seen)])
