"""What the garbage collection removes, and above all what it leaves."""

from __future__ import annotations

import io
import json
import os
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mljupyter.build.environments.definition import EnvironmentDefinition
from mljupyter.build.environments.uv_environments import ensure_environment
from mljupyter.controller.layout import Layout
from mljupyter.core import AksWebservice, InferenceConfig, Model, Webservice, Workspace
from mljupyter.deploy.environments import environments_directory
from mljupyter.deploy.gc import Collected, collect_garbage
from mljupyter.deploy.images.served_image import MADE_FOR
from mljupyter.exceptions import WebserviceException
from mljupyter.runtimes.process.runtime import ReplicaRecord
from tests.cli.in_process import run, run_json
from tests.testbed import needed
from tests.waiting import HANG_SECONDS, wait_until

LONG_AGO = time.time() - 90 * 86_400


@pytest.fixture(autouse=True)
def _no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")


def collected(workspace: Workspace, **options: object) -> dict[str, Collected]:
    return {one.kind: one for one in collect_garbage(workspace.context, **options)}


def age(directory: Path) -> None:
    """Let everything below a directory have been made long ago."""
    for path in [directory, *directory.rglob("*")]:
        os.utime(path, (LONG_AGO, LONG_AGO), follow_symlinks=False)


def put(workspace: Workspace, path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return workspace.artifacts.put(path).digest


def test_content_goes_an_hour_after_nothing_needs_it_any_more(workspace: Workspace, project: Path) -> None:
    model = Model.register(workspace, model_name="kept", model_path=str(_file(project, "kept.txt", "kept")))
    orphan = put(workspace, project / "orphan.txt", "orphan")
    _file(project, "tree/a.txt", "a")
    tree = workspace.artifacts.put(project / "tree").digest
    assert collected(workspace)["artifacts"].count == 0, "it was stored within the last hour"
    age(workspace.directory / "artifacts" / "blobs")
    age(workspace.directory / "artifacts" / "directories")
    put(workspace, project / "orphan.txt", "orphan")
    assert collected(workspace)["artifacts"].count == 2, "what is stored again counts as new: the orphan stays"
    assert not workspace.artifacts.exists(tree)
    assert workspace.artifacts.exists(orphan)
    age(workspace.directory / "artifacts" / "blobs")
    assert collected(workspace, dry_run=True)["artifacts"] == Collected("artifacts", 1, len("orphan"))
    assert workspace.artifacts.exists(orphan)
    assert collected(workspace)["artifacts"].count == 1
    assert not workspace.artifacts.exists(orphan)
    assert workspace.artifacts.exists(model.reference.digest)


def test_old_blobs_of_a_recent_directory_manifest_are_kept(workspace: Workspace, project: Path) -> None:
    _file(project, "tree/a.txt", "a")
    tree = workspace.artifacts.put(project / "tree").digest
    age(workspace.directory / "artifacts" / "blobs")
    assert collected(workspace)["artifacts"].count == 0
    assert (workspace.artifacts.fetch(tree, project / "again") / "a.txt").read_text() == "a"


def _file(project: Path, name: str, text: str) -> Path:
    path = project / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.system
def test_what_an_endpoint_uses_stays_and_serves_after_its_replica_is_lost(workspace: Workspace, project: Path) -> None:
    script = "import os\ndef init(): pass\ndef run(data): return os.getpid()\n"
    _file(project, "score.py", script)
    weights = _file(project, "weights.txt", "never registered")
    service = Model.deploy(
        workspace, "kept", [], InferenceConfig("score.py"), AksWebservice.deploy_configuration(num_replicas=1)
    )
    service.wait_for_deployment(timeout_sec=HANG_SECONDS)
    try:
        workspace.artifacts.put(weights)
        control = Layout.of(workspace.directory)
        left = control.revisions / "gone.gone.0123456789ab"
        left.mkdir()
        ended = control.replicas / "gone-1234"
        ended.mkdir()
        record = ReplicaRecord(id="gone-1234", endpoint="gone", version="gone", revision="0123456789ab")
        (ended / "replica.json").write_text(record.model_dump_json())
        assert collected(workspace)["revisions"].count == 0, "both are young"
        age(workspace.directory / "artifacts")
        age(control.replicas)
        age(control.revisions)
        found = collected(workspace)
        assert found["artifacts"].count == 1
        assert set(found["revisions"].names) == {"gone-1234", "gone.gone.0123456789ab"}
        assert not left.exists()
        first = service.run("x")
        os.kill(first, 9)
        assert wait_until(lambda: _answer(service), "another replica answers") != first
        service.delete()
        age(workspace.directory / "artifacts")
        assert collected(workspace)["artifacts"].count == 1, "nothing needs its script any more"
    finally:
        workspace.controller.stop(force=True)


def _answer(service: Webservice) -> int | None:
    try:
        return service.run("x")
    except WebserviceException:
        return None


@pytest.fixture
def environment(workspace: Workspace) -> Path:
    """An environment that nobody has asked for in a long time."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    definition = EnvironmentDefinition.parse({"python": {"condaDependencies": {"dependencies": [f"python={version}"]}}})
    built = ensure_environment(definition, environments_directory())
    age(built.directory)
    return built.directory


def test_an_environment_goes_when_nobody_has_asked_for_it_in_a_month(workspace: Workspace, environment: Path) -> None:
    assert collected(workspace, unused_days=100)["environments"].count == 0
    assert collected(workspace, dry_run=True)["environments"].names == (environment.name,)
    assert environment.exists()
    assert collected(workspace)["environments"].count == 1
    assert not environment.exists()


def test_an_environment_that_is_asked_for_again_stays(workspace: Workspace, environment: Path) -> None:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    definition = EnvironmentDefinition.parse({"python": {"condaDependencies": {"dependencies": [f"python={version}"]}}})
    ensure_environment(definition, environments_directory())
    assert collected(workspace)["environments"].count == 0


@pytest.mark.system
def test_an_environment_that_an_endpoint_of_another_workspace_uses_stays(
    workspace: Workspace, environment: Path, project: Path
) -> None:
    other = Workspace.create("another-team")
    _file(project, "score.py", "def init(): pass\ndef run(data): return 1\n")
    config = InferenceConfig("score.py")
    service = Model.deploy(other, "used", [], config, AksWebservice.deploy_configuration(num_replicas=1))
    service.wait_for_deployment(timeout_sec=HANG_SECONDS)
    try:
        spec = other.endpoints.endpoint("used").spec
        version = spec.versions["used"].model_copy(update={"interpreter": str(environment / "bin" / "python")})
        other.endpoints.replace(spec.model_copy(update={"versions": {"used": version}}))
        other.controller.stop(force=True)
        assert collected(workspace)["environments"].count == 0
        assert environment.exists()
    finally:
        other.delete(delete_dependent_resources=True)


def test_an_environment_that_a_process_runs_in_stays(workspace: Workspace, environment: Path) -> None:
    import subprocess

    with subprocess.Popen([environment / "bin" / "python", "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert collected(workspace)["environments"].count == 0
        process.communicate(b"\n")
    assert collected(workspace)["environments"].count == 1


def test_when_it_cannot_be_told_what_endpoints_need_nothing_is_removed(workspace: Workspace, project: Path) -> None:
    orphan = put(workspace, project / "orphan.txt", "orphan")
    age(workspace.directory / "artifacts" / "blobs")
    Layout.of(workspace.directory).prepare()
    Layout.of(workspace.directory).database.write_bytes(b"this is no database" * 100)
    from mljupyter.errors import MLJupyterError

    with pytest.raises(MLJupyterError, match="cannot be read"):
        collect_garbage(workspace.context)
    assert workspace.artifacts.exists(orphan)


def _image(workspace: Workspace, name: str, made_for: str | None, days: float) -> str:
    from sqlalchemy import update

    from mljupyter.registry.catalog.image_tables import IMAGES

    images = workspace.registry.images
    properties = {MADE_FOR: made_for} if made_for else {}
    begun = images.begin(name, plan_digest=f"sha256:{'1' * 64}", place="docker", recipe={}, properties=properties)
    from datetime import UTC, datetime, timedelta

    created = datetime.now(UTC) - timedelta(days=days)
    with workspace.registry._engine.begin() as connection:
        connection.execute(update(IMAGES).where(IMAGES.c.id == begun.id).values(created_time=created))
    return begun.id


def test_failed_images_go_after_a_month_and_made_ones_stay_while_they_are_used(workspace: Workspace) -> None:
    images = workspace.registry.images
    for name, days in (("old", 40), ("new", 4)):
        images.fail(_image(workspace, name, None, days), {"reason": "no network"})
    _image(workspace, "running", None, 40)
    asked_for = images.succeed(_image(workspace, "mine", None, 40), location="mine:1", digest="sha256:1")
    used = images.succeed(_image(workspace, "used", "service", 40), location="used:1", digest="sha256:2")
    images.add_reference("web service service", [used.id])
    assert collected(workspace)["images"].names == ("old:1",)
    assert {record.name for record in images.list()} == {"new", "running", asked_for.name, used.name}


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    needed("MLJUPYTER_TEST_DOCKER")
    monkeypatch.delenv("DOCKER_HOST")
    from mljupyter.build.images.docker.engine import connect

    client = connect()
    yield client
    client.close()


def _load(engine: object, tag: str | None, created: str, label: str) -> str:
    """Load an image of nothing, made at a time."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        entry = tarfile.TarInfo("marker")
        entry.size = len(created + label)
        archive.addfile(entry, io.BytesIO((created + label).encode()))
    import hashlib

    diff_id = f"sha256:{hashlib.sha256(layer.getvalue()).hexdigest()}"
    config = {
        "architecture": "amd64",
        "os": "linux",
        "created": created,
        "config": {"Labels": {label: "garbage-test"}},
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [tag] if tag else None, "Layers": ["layer.tar"]}]
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as archive:
        for name, content in (
            ("config.json", json.dumps(config).encode()),
            ("manifest.json", json.dumps(manifest).encode()),
            ("layer.tar", layer.getvalue()),
        ):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    (image,) = engine.images.load(whole.getvalue())
    return str(image.id)


def test_images_that_deploying_has_made_leave_the_engine_when_no_service_uses_them(
    workspace: Workspace, engine: object
) -> None:
    tag = f"mljupyter/test-garbage-{os.getpid()}:1"
    identity = _load(engine, tag, "2020-01-01T00:00:00Z", "test")
    images = workspace.registry.images
    made = images.succeed(_image(workspace, "made", "service", 1), location=tag, digest=identity)
    old_stage = _load(engine, None, "2020-01-01T00:00:00Z", "mljupyter/server")
    found = collected(workspace, unused_days=1000)["images"]
    assert {made.id, old_stage.removeprefix("sha256:")[:12]} <= set(found.names)
    assert not {identity, old_stage} & {image["Id"] for image in engine.api.images(all=True)}


def test_the_command_says_what_it_would_remove_and_removes_it(workspace: Workspace, project: Path) -> None:
    orphan = put(workspace, project / "orphan.txt", "x" * 2048)
    age(workspace.directory / "artifacts" / "blobs")
    place = ("--workspace", str(workspace.directory))
    assert "artifacts: 1 to remove, 2.05 KB" in run("gc", "--dry-run", *place).stdout
    assert workspace.artifacts.exists(orphan)
    document = run_json("gc", *place)
    assert document["dryRun"] is False
    assert {one["kind"]: one["count"] for one in document["collected"]}["artifacts"] == 1
    assert not workspace.artifacts.exists(orphan)
