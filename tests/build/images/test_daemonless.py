from __future__ import annotations

import subprocess
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from mljupyter.build.images import (
    BuildCancelledError,
    BuildEvent,
    BuildFailedError,
    ImageError,
    RegistryCredentials,
    RegistryCredentialsError,
    RegistryNotFoundError,
)
from mljupyter.build.images.docker.engine import pull
from mljupyter.build.images.oci.daemonless import DaemonlessBuilder
from mljupyter.build.images.registry.references import Reference
from mljupyter.build.images.registry.registry_client import RegistryClient
from mljupyter.registry.artifacts.store import ArtifactStore

from .conftest import Planner, answer_of, index_with_sources

BuilderMaker = Callable[..., DaemonlessBuilder]


@pytest.fixture
def builder(store: ArtifactStore, tmp_path: Path) -> BuilderMaker:
    def make(host: str, *credentials: RegistryCredentials, cache: str = "cache") -> DaemonlessBuilder:
        return DaemonlessBuilder(host, store, credentials, cache=tmp_path / cache)

    return make


def test_two_builds_of_a_plan_have_one_digest_and_the_image_serves(
    planned: Planner, builder: BuilderMaker, registry_host: str, pushed_base: str, engine: Any, name: str
) -> None:
    plan = planned(pushed_base, variables={"GREETING": 'say "hi"'})
    first = builder(registry_host, cache="one").build(plan, tag=f"{registry_host}/mljupyter/{name}:1")
    # Nothing is known from the first time: wheels are unpacked and layers are written again.
    second = builder(registry_host, cache="two").build(plan, tag=f"{registry_host}/mljupyter/{name}:2")
    assert (first.digest, first.layers) == (second.digest, second.layers)
    assert first.log is not None
    assert list(first.log.stages) == ["base image", "server", "environment", "content", "push"]
    assert ("roman", "4.2") in {(package.name, package.version) for package in first.packages}

    pull(engine, Reference.parse(first.reference), ())
    answer = answer_of(engine, first.reference)
    assert answer == {"got": '{"a": 1}', "weights": "heavy", "seven": "VII", "user": 10001}
    config = engine.images.get(first.reference).attrs["Config"]
    assert config["Labels"]["mljupyter/plan"] == plan.digest
    assert config["User"] == "10001:10001"
    assert config["Healthcheck"]["Test"][0] == "CMD"
    assert 'GREETING=say "hi"' in config["Env"]


def test_a_changed_script_changes_one_layer(
    planned: Planner, builder: BuilderMaker, registry_host: str, pushed_base: str, name: str
) -> None:
    maker = builder(registry_host)
    first = maker.build(planned(pushed_base), tag=f"{registry_host}/mljupyter/{name}:1")
    changed = planned(pushed_base, script="def init(): ...\ndef run(data): return 1\n")
    second = maker.build(changed, tag=f"{registry_host}/mljupyter/{name}:2")
    assert first.digest != second.digest
    assert len(set(second.layers) - set(first.layers)) == 1
    assert second.log is not None
    assert "as built before" in second.log.text()
    assert second.packages == first.packages


def test_the_base_images_own_python_is_used_as_it_is(
    planned: Planner, builder: BuilderMaker, registry_host: str, pushed_base: str, engine: Any, name: str
) -> None:
    script = "import sys\ndef init(): ...\ndef run(data): return sys.prefix\n"
    plan = planned(pushed_base, python={"userManagedDependencies": True}, script=script)
    image = builder(registry_host).build(plan, tag=f"{registry_host}/mljupyter/{name}:1")
    pull(engine, Reference.parse(image.reference), ())
    assert answer_of(engine, image.reference) == "/usr"


def test_an_image_of_ones_own_is_taken_with_its_digest(
    planned: Planner, builder: BuilderMaker, registry_host: str, pushed_base: str
) -> None:
    plan = planned(own_image=pushed_base, code=None, models=[])
    image = builder(registry_host).build(plan, tag=f"{registry_host}/mljupyter/unused:1")
    assert image.reference == pushed_base
    manifest = httpx.get(f"http://{registry_host}/v2/testbed/python/manifests/{image.digest}")
    assert manifest.status_code in (httpx.codes.OK, httpx.codes.NOT_FOUND)
    assert image.digest.startswith("sha256:")
    assert image.layers


@pytest.mark.parametrize(
    ("pip", "stage", "hint"),
    [
        (("no-such-package-mljupyter-test",), "environment", "no such package"),
        (("roman==99.0",), "environment", "pinned version does not exist"),
    ],
)
def test_a_package_that_cannot_be_had_is_named_with_a_hint(
    planned: Planner, builder: BuilderMaker, registry_host: str, pushed_base: str, pip, stage: str, hint: str
) -> None:
    with pytest.raises(BuildFailedError) as caught:
        builder(registry_host).build(planned(pushed_base, pip, pins="strict"), tag=f"{registry_host}/mljupyter/never:1")
    assert caught.value.step == stage
    assert hint in (caught.value.hint or "")
    assert any(pip[0].partition("=")[0] in line for line in caught.value.last_lines)
    assert len(caught.value.last_lines) <= 20


def test_a_pin_that_does_not_exist_any_more_is_relaxed_once_for_all_builds(
    planned: Planner, builder: BuilderMaker, registry_host: str, pushed_base: str, engine: Any, name: str
) -> None:
    maker = builder(registry_host)
    plan = planned(pushed_base, ("roman==99.0",))
    first = maker.build(plan, tag=f"{registry_host}/mljupyter/{name}:1")
    second = maker.build(plan, tag=f"{registry_host}/mljupyter/{name}:2")
    assert first.digest == second.digest
    for image in (first, second):
        assert '"became": "roman"' in (image.relaxed or "")
        assert image.log is not None
        assert "Relaxed: roman==99.0 -> roman: not there for Python 3.11" in image.log.text()
    assert "roman" in {package.name for package in first.packages}


def test_pins_that_are_there_only_as_source_are_relaxed_since_nothing_is_built_without_an_engine(
    planned: Planner, builder: BuilderMaker, registry_host: str, pushed_base: str, name: str
) -> None:
    with index_with_sources("127.0.0.1") as lines:
        image = builder(registry_host).build(planned(pushed_base, lines), tag=f"{registry_host}/mljupyter/{name}:1")
    packages = {(package.name, package.version) for package in image.packages if package.part == "environment"}
    assert packages == {("native", "2.0"), ("portable", "2.0")}
    assert image.log is not None
    reason = "there only as source, which cannot be built without a Docker engine"
    for package in ("native", "portable"):
        assert f"Relaxed: {package}==1.0 -> {package}>=1.0: {reason}" in image.log.text()


def test_without_a_network_it_is_the_network_that_is_named(
    planned: Planner, builder: BuilderMaker, registry_host: str, pushed_base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    plan = planned(pushed_base, ("--index-url http://127.0.0.1:9/simple", "roman==4.2"))
    with pytest.raises(BuildFailedError) as caught:
        builder(registry_host).build(plan, tag=f"{registry_host}/mljupyter/never:1")
    assert "cannot be reached" in (caught.value.hint or "")


def test_a_full_disk_is_named_and_nothing_is_left(
    planned: Planner,
    builder: BuilderMaker,
    registry_host: str,
    pushed_base: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = planned(pushed_base)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(temporary)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"a small disk needs the rights to mount one: {mounted.stderr.decode()}")
    try:
        with pytest.raises(BuildFailedError) as caught:
            builder(registry_host).build(plan, tag=f"{registry_host}/mljupyter/never:1")
        assert list(temporary.iterdir()) == []
    finally:
        subprocess.run(["umount", str(temporary)], check=True)
    assert "No space is left" in (caught.value.hint or ""), str(caught.value)


@pytest.mark.parametrize(
    ("base", "hint"),
    [("{host}/no/such:image", "base image was not found"), ("127.0.0.1:9/no/such:image", "network cannot be reached")],
)
def test_a_base_image_that_cannot_be_had_says_so(
    planned: Planner, builder: BuilderMaker, registry_host: str, base: str, hint: str
) -> None:
    plan = planned(base.format(host=registry_host))
    with pytest.raises(BuildFailedError) as caught:
        builder(registry_host).build(plan, tag=f"{registry_host}/mljupyter/never:1")
    assert (caught.value.step, hint in (caught.value.hint or "").lower()) == ("base image", True), str(caught.value)


def test_a_private_registry_takes_images_with_credentials_only(
    planned: Planner,
    builder: BuilderMaker,
    private_host: str,
    edge: RegistryCredentials,
    pushed_base: str,
    engine: Any,
    name: str,
) -> None:
    plan, tag = planned(pushed_base), f"{private_host}/mljupyter/{name}:1"
    wrong = RegistryCredentials(private_host, "edge", "not-the-password")
    for known in ((), (wrong,)):
        with pytest.raises(BuildFailedError) as caught:
            builder(private_host, *known).build(plan, tag=tag)
        assert "refuses" in caught.value.reason
        assert "credentials" in (caught.value.hint or "")
        assert "not-the-password" not in str(caught.value)
    image = builder(private_host, edge).build(plan, tag=tag)
    assert image.log is not None
    assert "edge-secret" not in image.log.text()
    with pytest.raises(RegistryCredentialsError):
        pull(engine, Reference.parse(tag), (wrong,))
    pull(engine, Reference.parse(tag), (edge,))
    assert answer_of(engine, tag)["seven"] == "VII"

    # And from there, as a base image: the credentials come with the environment.
    registry = {"address": private_host, "username": "edge", "password": "edge-secret"}
    derived = planned(tag, docker={"baseImageRegistry": registry})
    assert builder(private_host, edge).build(derived, tag=f"{private_host}/mljupyter/{name}:2").digest
    assert "edge-secret" not in repr(derived)


@pytest.mark.parametrize("stage", ["base image", "environment", "push"])
def test_a_cancelled_build_leaves_no_image(
    planned: Planner, builder: BuilderMaker, registry_host: str, pushed_base: str, name: str, stage: str
) -> None:
    cancel = threading.Event()

    def watch(event: BuildEvent) -> None:
        if event.stage == stage:
            cancel.set()

    with pytest.raises(BuildCancelledError):
        builder(registry_host).build(
            planned(pushed_base), tag=f"{registry_host}/mljupyter/{name}:1", on_event=watch, cancel=cancel
        )
    with RegistryClient(registry_host, f"mljupyter/{name}") as client, pytest.raises(RegistryNotFoundError):
        client.manifest("1")


def test_what_takes_an_engine_is_refused_with_the_reason(
    planned: Planner, builder: BuilderMaker, registry_host: str
) -> None:
    plan = planned(docker={"extraDockerfileSteps": "RUN true"})
    with pytest.raises(ImageError, match="without a Docker engine: steps of a Dockerfile"):
        try:
            builder(registry_host).build(plan, tag=f"{registry_host}/mljupyter/never:1")
        except BuildFailedError as error:
            raise error.__cause__ from None  # type: ignore[misc]
