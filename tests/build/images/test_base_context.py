"""Base images that are built of an environment's own build context."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from mljupyter.build.environments.definition import BuildContextDefinition
from mljupyter.build.images import BuildFailedError, ImageError, begin_image, plan_of, save_context
from mljupyter.build.images.docker.builder import DockerBuilder
from mljupyter.build.images.events import BuildLog
from mljupyter.build.images.oci.daemonless import DaemonlessBuilder
from mljupyter.build.images.plan.base_context import fetch_base_context
from mljupyter.registry import Registry
from mljupyter.registry.artifacts.store import ArtifactStore

from .conftest import Planner, answer_of

SCRIPT = "import roman\ndef init(): ...\ndef run(data): return [open('/greeting').read(), roman.toRoman(7)]\n"


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A directory whose Dockerfile is in a folder, and copies a file."""
    directory = tmp_path / "context"
    (directory / "docker").mkdir(parents=True)
    (directory / "docker" / "Base").write_text("FROM scratch\nCOPY greeting /greeting\n")
    (directory / "greeting").write_text("hello")
    return directory


@pytest.fixture
def repository(context: Path) -> str:
    """The URL of a git repository with the directory in it, on another branch than the first."""

    def git(*arguments: str) -> None:
        who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
        subprocess.run(["git", *who, *arguments], cwd=context, check=True, capture_output=True)

    git("init", "--quiet", "--initial-branch=main")
    git("commit", "--quiet", "--allow-empty", "--message", "empty")
    git("checkout", "--quiet", "-b", "serving")
    git("add", ".")
    git("commit", "--quiet", "--message", "base")
    git("checkout", "--quiet", "main")
    return context.as_uri()


def fetched(location: str, target: Path, dockerfile: str = "docker/Base") -> Path:
    described = {"locationType": "git", "location": location, "dockerfilePath": dockerfile}
    store = ArtifactStore(target.parent / "artifacts")
    return fetch_base_context(BuildContextDefinition.parse(described), store, target, BuildLog(None, []))


def test_a_git_repository_is_fetched_at_a_branch_and_a_folder(repository: str, tmp_path: Path) -> None:
    place = fetched(f"{repository}#serving", tmp_path / "one")
    assert sorted(path.name for path in place.iterdir()) == ["docker", "greeting"]
    assert fetched(f"{repository}#serving:docker", tmp_path / "two", "Base").name == "docker"


@pytest.mark.parametrize(
    ("rest", "dockerfile", "says"),
    [
        ("#main", "docker/Base", "no docker/Base in the build context"),
        ("#serving", "../artifacts", "no ../artifacts"),
        ("#no-such-branch", "docker/Base", "cannot be fetched"),
        ("#serving:../..", "Base", "is not a git repository"),
        ("#serving:nowhere", "Base", "no folder 'nowhere'"),
        ("#--upload-pack=x", "Base", "is not a git repository"),
    ],
)
def test_what_a_git_repository_lacks_is_named(
    repository: str, tmp_path: Path, rest: str, dockerfile: str, says: str
) -> None:
    with pytest.raises(ImageError, match=says):
        fetched(f"{repository}{rest}", tmp_path / "target", dockerfile)


def test_credentials_of_a_repository_are_in_no_error_and_no_log(tmp_path: Path) -> None:
    log = BuildLog(None, [])
    described = {"locationType": "git", "location": "http://ada:hunter2@127.0.0.1:9/team/base.git"}
    with pytest.raises(ImageError) as caught:
        fetch_base_context(
            BuildContextDefinition.parse(described), ArtifactStore(tmp_path / "artifacts"), tmp_path / "target", log
        )
    assert log.last_lines()
    assert "hunter2" not in f"{caught.value}{log.text()}"


def test_a_context_is_kept_as_long_as_its_image(planned: Planner, context: Path, tmp_path: Path) -> None:
    with Registry.open(tmp_path / "workspace") as registry:
        digest = registry.artifacts.put(context).digest
        stored = {"locationType": "storageAccount", "location": digest, "dockerfilePath": "docker/Base"}
        plan = planned(None, docker={"buildContext": stored}, models=[])
        record = begin_image(registry, plan, "words", "docker")
        assert digest in record.content_digests
        assert plan_of(record.recipe).base_context == plan.base_context


def test_an_image_is_built_on_a_context_of_the_environments_own(
    planned: Planner, store: ArtifactStore, base: str, engine: Any, name: str, context: Path, tmp_path: Path
) -> None:
    dockerfile = context / "docker" / "Base"
    dockerfile.write_text(f"FROM {base}\nCOPY greeting /greeting\n")
    described = {"locationType": "storageAccount", "dockerfilePath": "docker/Base"}

    def plan() -> Any:
        stored = {"buildContext": described | {"location": store.put(context).digest}}
        return planned(None, docker=stored, script=SCRIPT, models=[])

    first, builder = plan(), DockerBuilder(store)
    assert "takes an engine" in (DaemonlessBuilder("127.0.0.1:5000", store).unavailable(first) or "")
    with pytest.raises(ImageError, match="cannot be part of another one"):
        save_context(first, store, tmp_path / "saved")
    image = builder.build(first, tag=f"mljupyter/{name}:1")
    assert answer_of(engine, image.reference) == ["hello", "VII"]
    assert image.log is not None
    assert [stage for stage in image.log.stages if "base" in stage] == ["base image", "base"]
    (context / "greeting").write_text("good-bye")
    assert builder.find(plan()) is None, "another context, another image"
    dockerfile.write_text(f"FROM {base}\nRUN echo out of luck; exit 7\n")
    failing = plan()
    with pytest.raises(BuildFailedError) as caught:
        builder.build(failing, tag=f"mljupyter/{name}:2")
    assert caught.value.step == "base image"
    assert "out of luck" in "\n".join(caught.value.last_lines)
    builder.remove(image.reference)
    builder.remove(str(first.base_image))
