from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mljupyter.errors import MLJupyterError
from mljupyter.registry import Registry
from mljupyter.registry.catalog.image_record import ImageRecord
from mljupyter.registry.catalog.images import ImageRegistry
from mljupyter.registry.errors import (
    ImageInUseError,
    ImageNotFoundError,
    ImageStateError,
    ModelError,
    ModelInUseError,
    ModelNotFoundError,
)

from .processes import run_python

PLAN = f"sha256:{'1' * 64}"
DIGEST = f"sha256:{'2' * 64}"


@pytest.fixture
def images(registry: Registry) -> ImageRegistry:
    return registry.images


def begin(images: ImageRegistry, name: str = "myimage", **changes: Any) -> ImageRecord:
    return images.begin(name, **{"plan_digest": PLAN, "place": "docker", "recipe": {"a": 1}, **changes})


def ready(images: ImageRegistry, name: str = "myimage", location: str = "mljupyter/myimage:1", **changes: Any) -> str:
    record = begin(images, name, **changes)
    return images.succeed(record.id, location=location, digest=DIGEST).id


def test_versions_count_per_name_and_are_never_given_twice(images: ImageRegistry) -> None:
    assert [begin(images, name).id for name in ("a", "a", "b")] == ["a:1", "a:2", "b:1"]
    images.delete("a:2")
    assert begin(images, "a").id == "a:3"
    assert images.get("a").version == 3
    assert images.get("a", 1).id == "a:1"


def test_an_image_runs_and_then_is_ready_with_all_that_is_known(
    images: ImageRegistry, registry: Registry, model: Path, tmp_path: Path
) -> None:
    registry.models.register("ridge", model)
    before = datetime.now(UTC)
    record = begin(
        images, model_ids=["ridge:1"], description="A ridge", tags={"area": 1}, properties={"p": "q"}, created_by="ada"
    )
    assert (record.creation_state, record.location, record.image_type) == ("Running", None, "Docker")
    record = images.succeed(
        record.id,
        location="mljupyter/myimage:1",
        digest=DIGEST,
        log_digest=PLAN,
        sbom_digest=PLAN,
        stages={"environment": 1.5},
    )
    assert (record.creation_state, record.location, record.digest) == ("Succeeded", "mljupyter/myimage:1", DIGEST)
    assert (record.model_ids, record.description, record.created_by) == (["ridge:1"], "A ridge", "ada")
    assert (record.tags, record.properties, record.stages) == ({"area": "1"}, {"p": "q"}, {"environment": 1.5})
    assert before <= record.created_time <= datetime.now(UTC)
    code = """
        import sys
        from pathlib import Path
        from mljupyter.registry import Registry
        with Registry.open(Path(sys.argv[1])) as registry:
            print(repr(registry.images.get("myimage")))
    """
    assert run_python(code, tmp_path / "workspace").strip() == repr(record)


def test_a_failure_is_kept_and_an_ended_image_does_not_change(images: ImageRegistry) -> None:
    failed = images.fail(begin(images).id, {"step": "environment", "reason": "no such package"}, log_digest=PLAN)
    assert (failed.creation_state, failed.error) == ("Failed", {"step": "environment", "reason": "no such package"})
    cancelled = images.fail(begin(images).id, {"step": "push"}, cancelled=True)
    assert cancelled.creation_state == "Canceled"
    with pytest.raises(ImageStateError, match="is Failed already"):
        images.succeed(failed.id, location="x", digest=DIGEST)


def test_what_was_built_of_a_plan_is_found_in_its_place_only(images: ImageRegistry) -> None:
    begin(images)
    images.fail(begin(images).id, {})
    assert images.find_built(PLAN, "docker") is None
    ready(images)
    newest = ready(images, "other")
    found = images.find_built(PLAN, "docker")
    assert found is not None
    assert found.id == newest
    assert images.find_built(PLAN, "registry/127.0.0.1:5000") is None
    assert images.find_built(DIGEST, "docker") is None


def test_a_build_whose_process_died_has_failed(images: ImageRegistry, tmp_path: Path) -> None:
    code = f"""
import os, sys
from pathlib import Path
from mljupyter.registry import Registry
registry = Registry.open(Path(sys.argv[1]))
registry.images.begin("myimage", plan_digest="{PLAN}", place="docker", recipe={{}})
os._exit(1)
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "workspace")], check=False)
    record = images.get("myimage")
    assert record.creation_state == "Failed"
    assert "ended before the image was ready" in (record.error or {})["reason"]
    assert begin(images).creation_state == "Running"


def test_an_image_is_kept_while_something_uses_it(images: ImageRegistry) -> None:
    image_id = ready(images)
    images.add_reference("web service b", [image_id])
    images.add_reference("web service a", [image_id, image_id])
    images.add_reference("web service a", [image_id])
    with pytest.raises(ImageInUseError, match="in use by web service a, web service b") as caught:
        images.delete(image_id)
    assert caught.value.holders == images.references(image_id) == ["web service a", "web service b"]
    images.release("web service a")
    images.release("web service b", [image_id])
    assert images.delete(image_id) is not None
    with pytest.raises(ImageNotFoundError):
        images.add_reference("web service a", [image_id])


def test_models_are_kept_while_an_image_holds_them(images: ImageRegistry, registry: Registry, model: Path) -> None:
    registry.models.register("ridge", model)
    image_id = ready(images, model_ids=["ridge:1"])
    with pytest.raises(ModelInUseError, match="in use by image myimage:1"):
        registry.models.delete("ridge:1")
    images.delete(image_id)
    failed = begin(images, model_ids=["ridge:1"])
    images.fail(failed.id, {})
    registry.models.delete("ridge:1")
    with pytest.raises(ModelNotFoundError, match="ridge:1"):
        begin(images, "unborn", model_ids=["ridge:1"])
    assert images.list("unborn") == []


def test_deleting_says_whether_another_version_shares_the_location(images: ImageRegistry) -> None:
    one, other = ready(images), ready(images)
    assert images.delete(one) is None
    last = images.delete(other)
    assert last is not None
    assert last.location == "mljupyter/myimage:1"


def test_lists_are_filtered(images: ImageRegistry, registry: Registry, model: Path) -> None:
    for name in ("ridge", "tree"):
        registry.models.register(name, model)
    begin(images, "a", tags={"area": "demo"}, model_ids=["ridge:1"])
    begin(images, "a", properties={"kind": "x"}, model_ids=["ridge:1", "tree:1"])
    begin(images, "b")

    def found(*arguments: Any, **filters: Any) -> list[str]:
        return [record.id for record in images.list(*arguments, **filters)]

    assert found() == ["a:2", "a:1", "b:1"]
    assert found("a") == ["a:2", "a:1"]
    assert found(model_name="ridge") == ["a:2", "a:1"]
    assert found(model_id="tree:1") == ["a:2"]
    assert found(tags=[["area", "demo"]]) == ["a:1"]
    assert found(properties=["kind"]) == ["a:2"]
    with pytest.raises(ModelError):
        images.list(tags="area")  # type: ignore[arg-type]


def test_tags_change_and_properties_are_only_added(images: ImageRegistry) -> None:
    image_id = begin(images, tags={"a": "1"}, properties={"p": "1"}).id
    record = images.update(image_id, add_tags={"b": 2}, remove_tags=["a"], add_properties={"q": "2"}, description="new")
    assert (record.tags, record.properties, record.description) == ({"b": "2"}, {"p": "1", "q": "2"}, "new")
    assert images.update(image_id, tags={"c": "3"}).tags == {"c": "3"}
    with pytest.raises(ModelError, match="has the properties p already"):
        images.update(image_id, add_properties={"p": "9"})


@pytest.mark.parametrize("name", ["", "-a", "a b", "a:1", "x" * 256])
def test_names_against_the_rule_are_refused(images: ImageRegistry, name: str) -> None:
    with pytest.raises(MLJupyterError, match="Invalid model name"):
        begin(images, name)


def test_an_unknown_image_is_answered_with_what_there_is(images: ImageRegistry) -> None:
    with pytest.raises(ImageNotFoundError, match="There is none yet"):
        images.get("myimage")
    begin(images)
    with pytest.raises(ImageNotFoundError, match=r"^ImageNotFound: .*Did you mean 'myimage'"):
        images.get("my-image")
    with pytest.raises(ImageNotFoundError, match=r"has no version 7. It has: 1\."):
        images.get_by_id("myimage:7")
    with pytest.raises(ImageNotFoundError, match="is not an image id"):
        images.get_by_id("myimage")


def test_what_is_stored_with_an_image_outlives_the_garbage_collection(registry: Registry, tmp_path: Path) -> None:
    def stored(text: str) -> str:
        path = tmp_path / text
        path.write_text(text)
        return registry.artifacts.put(path).digest

    log, bill, code, gone = (stored(text) for text in ("log", "bill", "code", "gone"))
    record = begin(registry.images, content_digests=[code])
    registry.images.succeed(record.id, location="x", digest=DIGEST, log_digest=log, sbom_digest=bill)
    registry.collect_garbage()
    assert [registry.artifacts.exists(digest) for digest in (log, bill, code, gone)] == [True, True, True, False]
    registry.images.delete(record.id)
    registry.collect_garbage()
    assert not any(registry.artifacts.exists(digest) for digest in (log, bill, code))
