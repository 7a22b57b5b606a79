from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mljupyter.build.images import (
    BuildCancelledError,
    BuildEvent,
    BuildFailedError,
    BuiltImage,
    ImageError,
    begin_image,
    build_or_reuse,
    builder_for,
    delete_image,
    finish_image,
    plan_of,
    relaxations,
    stored_text,
)
from mljupyter.build.images.docker.builder import DockerBuilder
from mljupyter.registry import Registry
from mljupyter.registry.artifacts.store import ArtifactStore
from mljupyter.registry.errors import ImageInUseError, ImageNotFoundError
from mljupyter.spec import ModelReference
from tests.waiting import promised

from .conftest import Planner, answer_of


class Unreachable:
    """A builder whose engine must not be needed."""

    place = "docker"

    def find(self, plan: Any) -> BuiltImage | None:
        raise AssertionError("the engine was asked")

    def build(self, plan: Any, **options: Any) -> BuiltImage:
        raise AssertionError("the engine was used")

    def remove(self, reference: str) -> None:
        raise AssertionError("the engine was changed")


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with Registry.open(tmp_path / "workspace") as registry:
        yield registry


@pytest.fixture
def store(registry: Registry) -> ArtifactStore:
    """The plans' content is in the workspace."""
    return registry.artifacts


def registered(registry: Registry, tmp_path: Path) -> ModelReference:
    (tmp_path / "m.txt").write_text("heavy")
    model = registry.models.register("scale", tmp_path / "m.txt")
    return ModelReference(name="scale", version=1, digest=model.artifact.digest, entry=model.entry)


@pytest.mark.alone
def test_an_image_is_created_once_and_reused_without_an_engine(
    planned: Planner, registry: Registry, base: str, engine: Any, name: str, tmp_path: Path
) -> None:
    plan = planned(base, models=[registered(registry, tmp_path)])
    builder = builder_for("docker", registry.artifacts, plan=plan)
    seen: list[BuildEvent] = []
    first = build_or_reuse(registry, plan, builder, name, on_event=seen.append, tags={"area": "demo"})
    assert (first.id, first.creation_state) == (f"{name}:1", "Succeeded")
    assert str(first.location).startswith(f"mljupyter/{name}:1-")
    assert (first.model_ids, first.tags, first.plan_digest) == (["scale:1"], {"area": "demo"}, plan.digest)
    assert "requirements.txt" in stored_text(registry, first.log_digest)
    assert stored_text(registry, first.dockerfile_digest).startswith("# The base of all stages.")
    bill = json.loads(stored_text(registry, first.sbom_digest))
    assert {"roman", "uvloop", "scale", base} <= {component["name"] for component in bill["components"]}
    assert set(first.stages) >= {"server", "environment"}
    assert answer_of(engine, str(first.location))["seven"] == "VII"

    began = time.monotonic()
    second = build_or_reuse(registry, plan, Unreachable(), name)
    assert time.monotonic() - began < promised(1)
    assert (second.id, second.location, second.digest) == (f"{name}:2", first.location, first.digest)
    assert second.sbom_digest == first.sbom_digest

    # Another workspace may use the same names. What no registry of images knows is found by its label.
    with Registry.open(tmp_path / "other") as other:
        third = build_or_reuse(other, plan_without_models(plan, planned), builder, name)
        assert third.location != first.location
    with Registry.open(tmp_path / "third") as other:
        running = begin_image(other, plan_of(third.recipe), "x", "docker")
        with pytest.raises(ImageError, match="another plan"):
            finish_image(other, running, plan, builder)
        assert finish_image(other, running, plan_of(third.recipe), builder).location == third.location

    registry.images.add_reference("web service a", [first.id])
    with pytest.raises(ImageInUseError):
        delete_image(registry, first.id, lambda: builder)
    registry.images.release("web service a")
    delete_image(registry, first.id, lambda: builder)
    assert engine.images.get(str(second.location))  # another version has it, too
    delete_image(registry, second.id, lambda: builder)
    assert builder.find(plan) is None
    with pytest.raises(ImageNotFoundError):
        registry.images.get(name)


def test_pins_that_do_not_exist_any_more_are_relaxed_and_that_is_kept_with_the_image(
    planned: Planner, registry: Registry, base: str, engine: Any, name: str, tmp_path: Path
) -> None:
    script = "import roman\ndef init(): ...\ndef run(data): return roman.toRoman(7)\n"
    plan = planned(base, ("roman==99.0",), models=[], script=script)
    builder = builder_for("docker", registry.artifacts, plan=plan)
    seen: list[BuildEvent] = []
    first = build_or_reuse(registry, plan, builder, name, on_event=seen.append, properties={"area": "demo"})
    second = build_or_reuse(registry, plan, builder, name)
    with Registry.open(tmp_path / "other") as other:  # finds it on the engine, by its labels
        third = build_or_reuse(other, plan, builder, name)
    for record in (first, second, third):
        (change,) = relaxations(record)
        assert (change.requirement, change.became, change.kind) == ("roman==99.0", "roman", "relaxed")
        assert record.location == first.location
    assert first.properties["area"] == "demo"
    assert any(event.text.startswith("Relaxed: roman==99.0 -> roman: ") for event in seen)
    assert answer_of(engine, str(first.location)) == "VII"
    strict = planned(base, ("roman==99.0",), models=[], script=script, pins="strict")
    assert builder.find(strict) is None, "what was relaxed serves nobody who forbids it"
    delete_image(registry, second.id)
    delete_image(registry, first.id, lambda: builder)


def plan_without_models(plan: Any, planned: Planner) -> Any:
    return planned(plan.base_image, models=[])


def test_a_failure_is_noted_with_its_log(planned: Planner, registry: Registry, base: str, name: str) -> None:
    plan = planned(
        base, ("--extra-index-url https://ada:hunter2@pypi.org/simple", "roman==99.0"), models=[], pins="strict"
    )
    with pytest.raises(BuildFailedError) as caught:
        build_or_reuse(registry, plan, DockerBuilder(registry.artifacts), name)
    record = registry.images.get(name)
    assert record.creation_state == "Failed"
    assert record.error is not None
    assert (record.error["step"], record.error["hint"]) == ("environment", caught.value.hint)
    assert record.error["lastLines"] == caught.value.last_lines
    log = stored_text(registry, record.log_digest)
    assert "--- environment: failed after" in log
    for text in (log, str(caught.value), repr(record), repr(plan)):
        assert "hunter2" not in text
    assert registry.images.find_built(plan.digest, "docker") is None


def test_a_cancelled_build_is_noted_as_such(planned: Planner, registry: Registry, base: str, name: str) -> None:
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(BuildCancelledError):
        build_or_reuse(registry, planned(base, models=[]), DockerBuilder(registry.artifacts), name, cancel=cancel)
    assert registry.images.get(name).creation_state == "Canceled"


def test_an_image_that_is_gone_is_built_again_from_its_recipe(
    planned: Planner, registry: Registry, base: str, engine: Any, name: str
) -> None:
    builder = DockerBuilder(registry.artifacts)
    first = build_or_reuse(registry, planned(base, (), models=[]), builder, name)
    engine.images.remove(first.location, force=True)
    plan = plan_of(first.recipe)
    again = build_or_reuse(registry, plan, builder, name, rebuild=True)
    assert (again.id, again.plan_digest) == (f"{name}:2", first.plan_digest)
    assert engine.images.get(again.location)
