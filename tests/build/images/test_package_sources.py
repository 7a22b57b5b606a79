"""Packages by their source in images: each kind that works on this machine works in an image of either builder."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from mljupyter.build.environments.local_files import lines_of_file, store_file
from mljupyter.build.environments.pip_lines import RequirementError
from mljupyter.build.environments.uv import Uv
from mljupyter.build.images import ImagePlan, save_context
from mljupyter.build.images.docker.builder import DockerBuilder
from mljupyter.build.images.docker.engine import pull
from mljupyter.build.images.errors import ImageError
from mljupyter.build.images.events import BuildLog
from mljupyter.build.images.oci.daemonless import DaemonlessBuilder
from mljupyter.build.images.plan.package_sources import as_wheels
from mljupyter.build.images.plan.plan import plan_of
from mljupyter.build.images.registry.references import Reference
from mljupyter.registry.artifacts.store import ArtifactStore
from tests.build import source_packages

from .conftest import Planner, answer_of

NAMES = [f"of_{kind}" for kind in source_packages.KINDS]
SCRIPT = f"""
import importlib
def init(): ...
def run(data): return {{name: importlib.import_module(name).VERSION for name in {NAMES}}}
"""


@pytest.fixture
def lines(tmp_path: Path, planned: Planner, store: ArtifactStore) -> tuple[str, ...]:
    """The lines of one requirements file with a package of each kind."""
    return tuple(lines_of_file(source_packages.requirements(tmp_path / "pro ject")))


def stored(plan: ImagePlan, store: ArtifactStore) -> ImagePlan:
    for file in plan.packages.files:
        store_file(file, store)
    return plan


def test_an_image_of_an_engine_has_packages_of_all_kinds(
    planned: Planner, lines: tuple[str, ...], store: ArtifactStore, base: str, engine: Any, name: str
) -> None:
    plan = stored(planned(base, pip=lines, script=SCRIPT), store)
    image = DockerBuilder(store).build(plan, tag=f"mljupyter/{name}:1")
    assert answer_of(engine, image.reference) == dict.fromkeys(NAMES, "1.0")


def test_an_image_without_an_engine_has_packages_of_all_kinds(
    planned: Planner,
    lines: tuple[str, ...],
    store: ArtifactStore,
    registry_host: str,
    pushed_base: str,
    engine: Any,
    name: str,
    tmp_path: Path,
) -> None:
    # The other kinds give the same lines as these: the test of the context below shows it.
    names = ["of_git", "of_folder", "of_sdist", "of_wheel", "of_found"]
    few = [line for line in lines if line.startswith("--find") or any(one in line for one in names)]
    plan = stored(planned(pushed_base, pip=tuple(few), script=SCRIPT.replace(str(NAMES), str(names))), store)
    builder = DaemonlessBuilder(registry_host, store, cache=tmp_path / "cache")
    image = builder.build(plan, tag=f"{registry_host}/mljupyter/{name}:1")
    assert {*names} <= {package.name for package in image.packages}
    pull(engine, Reference.parse(image.reference), ())
    assert answer_of(engine, image.reference) == dict.fromkeys(names, "1.0")


def test_a_context_has_all_sources_and_lines_that_name_them_there(
    planned: Planner, lines: tuple[str, ...], store: ArtifactStore, tmp_path: Path
) -> None:
    plan = stored(planned(pip=(*lines, "six==1.16.0"), script=SCRIPT), store)
    for folder in (tmp_path / "pro ject").iterdir():
        if folder.name in ("of_folder", "of_editable"):
            shutil.rmtree(folder)  # the image is made of what was stored
    directory = save_context(plan_of(plan.recipe), store, tmp_path / "context")
    written = (directory / "requirements.txt").read_text().splitlines()
    place = "/tmp/mljupyter/package-sources"
    assert "six==1.16.0" in written
    assert [line for line in written if str(tmp_path) in line or "git+" in line or line.startswith("-e")] == []
    named = [line.rpartition(place)[2].lstrip("/") for line in written if place in line]
    assert len(named) == len(NAMES)
    assert all((directory / "package-sources" / path).exists() for path in named)
    assert f"COPY package-sources/ {place}/" in (directory / "Dockerfile").read_text()
    assert plan_of(plan.recipe).digest == plan.digest


def test_another_content_of_a_file_is_another_image(planned: Planner, tmp_path: Path, store: ArtifactStore) -> None:
    folder = source_packages.directory(tmp_path, "mine")
    first = planned(pip=(str(folder),))
    (folder / "mine.py").write_text("VERSION = '1.1'\n")
    assert planned(pip=(str(folder),)).digest != first.digest
    with pytest.raises(RequirementError, match="has just changed"):
        stored(first, store)
    shutil.rmtree(folder)
    with pytest.raises(RequirementError, match="is not there any more"):
        stored(first, store)


def test_the_pip_section_of_a_conda_image_names_the_sources_as_well(
    planned: Planner, tmp_path: Path, store: ArtifactStore
) -> None:
    wheel = source_packages.wheel_file(tmp_path, "mine")
    dependencies = ["r-base", {"pip": [str(wheel), "six"]}]
    plan = stored(planned(python={"condaDependencies": {"dependencies": dependencies}}), store)
    text = (save_context(plan, store, tmp_path / "context") / "conda_dependencies.yml").read_text()
    assert f"/tmp/mljupyter/package-sources/0/{wheel.name}" in text
    assert str(tmp_path) not in text


def test_hashed_requirements_are_not_relaxed(planned: Planner) -> None:
    plan = planned(pip=(f"six==1.16.0 --hash=sha256:{'0' * 64}",))
    assert plan.packages.asked == ()
    assert plan.packages.lines() == (f"six==1.16.0 --hash=sha256:{'0' * 64}",)


def test_a_variable_is_expanded_for_the_build_alone(
    planned: Planner, store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INDEX_TOKEN", "hunter2secret")
    plan = planned(pip=("-ihttps://${INDEX_TOKEN}@example.org/simple", "six"))
    assert "hunter2secret" not in str(plan.recipe)
    log = BuildLog()
    directory = save_context(plan, store, tmp_path / "context", log=log)
    assert (
        (directory / "requirements.txt")
        .read_text()
        .startswith("--index-url https://hunter2secret@example.org/simple\n")
    )
    assert log.redacted("asks https://x/hunter2secret") == "asks https://x/***"
    monkeypatch.delenv("INDEX_TOKEN")
    with pytest.raises(RequirementError, match="INDEX_TOKEN"):
        save_context(plan, store, tmp_path / "other")


def test_a_repository_without_git_or_without_the_reference_is_said(
    planned: Planner, store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"git+file://{source_packages.repository(tmp_path, 'mine')}"
    with pytest.raises(ImageError, match="cannot be fetched"):
        save_context(planned(pip=(f"{url}@no-such-branch",)), store, tmp_path / "one")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ImageError, match="git is not installed"):
        save_context(planned(pip=(url,)), store, tmp_path / "two")


def test_a_compiled_package_without_an_engine_is_refused_by_name(tmp_path: Path) -> None:
    folder = source_packages.directory(tmp_path, "compiled", tag="cp311-cp311-linux_x86_64")
    uv = Uv(tmp_path, lambda line: None)
    with pytest.raises(ImageError, match="compiled-1.0-cp311-cp311-linux_x86_64.whl is compiled for this machine"):
        as_wheels((str(folder),), tmp_path / "wheels", uv, sys.executable)
