from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from mljupyter.build.images import (
    BuildCancelledError,
    BuilderUnavailableError,
    BuildEvent,
    BuildFailedError,
    ImageError,
    RegistryCredentials,
    builder_for,
)
from mljupyter.build.images.docker.builder import DockerBuilder
from mljupyter.build.images.docker.engine import pull
from mljupyter.build.images.oci.daemonless import DaemonlessBuilder
from mljupyter.build.images.registry.references import Reference
from mljupyter.registry.artifacts.store import ArtifactStore
from tests.waiting import promised

from .conftest import Planner, answer_of, index_with_sources


@pytest.fixture
def builder(store: ArtifactStore, engine: Any) -> DockerBuilder:
    return DockerBuilder(store)


def test_an_image_that_somebody_removes_while_it_is_looked_for_is_not_found(
    planned: Planner, builder: DockerBuilder, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builder._client.api, "images", lambda **_: [{"Id": f"sha256:{'0' * 64}"}])
    assert builder.find(planned(base)) is None


def test_an_image_is_built_serves_and_is_found_again(
    planned: Planner, builder: DockerBuilder, base: str, engine: Any, name: str
) -> None:
    seen: list[BuildEvent] = []
    plan = planned(base, variables={"GREETING": 'say "hi" for $5'})
    image = builder.build(plan, tag=f"mljupyter/{name}:1", on_event=seen.append)
    answer = answer_of(engine, image.reference)
    assert answer == {"got": '{"a": 1}', "weights": "heavy", "seven": "VII", "user": 10001}
    ended = [event.stage for event in seen if event.state == "succeeded"]
    assert ended == ["base image", "context", "base", "tools", "server", "environment", "image", "contents"]
    assert any(
        event.state is None and event.stage == "environment" and "requirements.txt" in event.text for event in seen
    )
    packages = {(package.name, package.version, package.part) for package in image.packages}
    assert ("roman", "4.2", "environment") in packages
    assert "uvloop" in {name for name, _, part in packages if part == "server"}
    assert 'GREETING=say "hi" for $5' in engine.images.get(image.reference).attrs["Config"]["Env"]

    found = builder.find(plan)
    assert found is not None
    assert (found.reference, found.digest, found.packages) == (image.reference, image.digest, image.packages)
    container = engine.containers.create(image.reference)
    with pytest.raises(ImageError, match=f"in use by the container {container.name}"):
        builder.remove(image.reference)
    container.remove()
    builder.remove(image.reference)
    assert builder.find(plan) is None
    builder.remove(image.reference)


@pytest.mark.parametrize(
    ("changes", "stage", "hint"),
    [
        ({"pip": ("no-such-package-mljupyter-test",)}, "environment", "no such package"),
        ({"pip": ("roman==99.0",), "pins": "strict"}, "environment", "pinned version"),
        ({"python": {"condaDependencies": {"dependencies": ["r-base"]}}}, "environment", "micromamba or conda"),
        ({"docker": {"extraDockerfileSteps": "RUN echo out of luck; exit 7"}}, "base", None),
        (
            {"docker": {"extraDockerfileSteps": "RUN dd if=/dev/zero of=/dev/shm/full bs=1M count=70"}},
            "base",
            "No space is left",
        ),
        (
            {"docker": {"extraDockerfileSteps": "RUN python3 -m pip download --retries 1 -i http://127.0.0.1:9 roman"}},
            "base",
            "network cannot be reached",
        ),
    ],
)
def test_a_failing_step_is_named_with_its_last_lines_and_a_hint(
    planned: Planner, builder: DockerBuilder, base: str, changes, stage: str, hint: str | None
) -> None:
    with pytest.raises(BuildFailedError) as caught:
        builder.build(planned(base, **changes), tag="mljupyter/test-never:1")
    error = caught.value
    assert error.step == stage
    assert hint is None or hint in (error.hint or "")
    assert 0 < len(error.last_lines) <= 20
    assert error.last_lines[-1] in str(error)


def test_a_pin_that_is_there_only_as_source_is_relaxed_where_the_image_cannot_build_it(
    planned: Planner,
    builder: DockerBuilder,
    base: str,
    engine: Any,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # earlier answers
    gateway = engine.networks.get("bridge").attrs["IPAM"]["Config"][0]["Gateway"]
    with index_with_sources(gateway) as lines:
        image = builder.build(planned(base, lines), tag=f"mljupyter/{name}:1")
    packages = {(package.name, package.version) for package in image.packages if package.part == "environment"}
    assert packages == {("native", "2.0"), ("portable", "1.0")}
    assert image.log is not None
    reason = "there only as source, which cannot be built in the image on Python 3.11"
    relaxed = [event.text for event in image.log.events if event.text.startswith("Relaxed: ")]
    assert relaxed == [f"Relaxed: native==1.0 -> native>=1.0: {reason}"]
    assert "hunter2" not in image.log.text()


def test_a_missing_base_image_says_so(planned: Planner, builder: DockerBuilder, registry_host: str) -> None:
    with pytest.raises(BuildFailedError) as caught:
        builder.build(planned(f"{registry_host}/no/such:image"), tag="mljupyter/test-never:1")
    assert caught.value.step == "base image"
    assert "not found" in (caught.value.hint or "")


def test_cancelling_stops_a_silent_step_and_leaves_nothing(
    planned: Planner, builder: DockerBuilder, base: str, engine: Any
) -> None:
    cancel = threading.Event()
    plan = planned(base, docker={"extraDockerfileSteps": "RUN true\nRUN sleep 600"})

    def watch(event: BuildEvent) -> None:
        if event.state is None and "sleep 600" in event.text:
            threading.Timer(0.5, cancel.set).start()  # while it sleeps, with nothing more to be read

    began = time.monotonic()
    with pytest.raises(BuildCancelledError):
        builder.build(plan, tag="mljupyter/test-never:1", on_event=watch, cancel=cancel)
    assert time.monotonic() - began < promised(20)
    label = {"label": f"mljupyter/environment={plan.environment}"}
    assert engine.containers.list(all=True, filters=label) == []
    assert engine.images.list(all=True, filters=label) == []


def test_a_private_registry_takes_and_gives_with_credentials_only(
    planned: Planner,
    store: ArtifactStore,
    base: str,
    engine: Any,
    private_host: str,
    edge: RegistryCredentials,
    name: str,
) -> None:
    plan, tag = planned(base), f"{private_host}/mljupyter/{name}:1"
    wrong = RegistryCredentials(private_host, "edge", "not-the-password")
    with pytest.raises(BuildFailedError) as caught:
        DockerBuilder(store, registry=private_host, credentials=(wrong,)).build(plan, tag=tag)
    assert caught.value.step == "push"
    assert "credentials" in (caught.value.hint or "")
    assert "not-the-password" not in str(caught.value)
    image = DockerBuilder(store, registry=private_host, credentials=(edge,)).build(plan, tag=tag)
    assert image.digest.startswith("sha256:")
    engine.images.remove(tag)
    pull(engine, Reference.parse(tag), (edge,))
    assert answer_of(engine, tag)["seven"] == "VII"


def test_a_base_dockerfile_is_built_upon(
    planned: Planner, builder: DockerBuilder, base: str, engine: Any, name: str
) -> None:
    label = "LABEL mljupyter/environment=test"
    text = (
        f"FROM {base} AS server\n{label}\nRUN echo made > /made\nFROM {base}\n{label}\nCOPY --from=server /made /made\n"
    )
    script = "import pathlib\ndef init(): ...\ndef run(data): return pathlib.Path('/made').read_text()\n"
    plan = planned(None, (), docker={"baseDockerfile": text}, script=script)
    image = builder.build(plan, tag=f"mljupyter/{name}:1")
    assert answer_of(engine, image.reference) == "made\n"


def test_an_engine_that_is_not_there_is_named(store: ArtifactStore, tmp_path) -> None:
    with pytest.raises(BuilderUnavailableError, match=r"nowhere.sock.*does not answer"):
        builder_for("docker", store, engine_url=f"unix://{tmp_path}/nowhere.sock")


def test_a_registry_is_built_for_without_an_engine_where_that_can_be(
    planned: Planner, store: ArtifactStore, tmp_path
) -> None:
    url = f"unix://{tmp_path}/nowhere.sock"
    plain = builder_for("registry/127.0.0.1:5000", store, plan=planned(), engine_url=url)
    assert isinstance(plain, DaemonlessBuilder)
    assert plain.place == "registry/127.0.0.1:5000"
    steps = planned(docker={"extraDockerfileSteps": "RUN true"})
    with pytest.raises(BuilderUnavailableError, match=r"(?s)Without an engine: steps of a Dockerfile.*With one:"):
        builder_for("registry/127.0.0.1:5000", store, plan=steps, engine_url=url)
    with pytest.raises(BuilderUnavailableError, match="is not a destination for images"):
        builder_for("moon", store)
