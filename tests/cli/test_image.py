"""``mljupyter image``: what the workspace knows of its images, and deleting them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mljupyter.core import Workspace
from mljupyter.registry.catalog.image_record import ImageRecord
from tests.cli.in_process import failed, run, run_json

BILL = {"components": [{"name": "roman", "version": "4.2", "purl": "pkg:pypi/roman@4.2"}]}


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    monkeypatch.setenv("MLJUPYTER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MLJUPYTER_WORKSPACE", "default")
    workspace = Workspace.create("default")
    yield workspace
    workspace.registry.close()


def stored(workspace: Workspace, tmp_path: Path, text: str) -> str:
    path = tmp_path / "text"
    path.write_text(text)
    return workspace.artifacts.put(path).digest


@pytest.fixture
def image(workspace: Workspace, tmp_path: Path) -> ImageRecord:
    """An image that is ready, in a container registry that need not answer."""
    (tmp_path / "weights.txt").write_text("1 2 3")
    workspace.registry.models.register("scale", tmp_path / "weights.txt")
    images = workspace.registry.images
    begun = images.begin(
        "scorer",
        plan_digest=f"sha256:{'1' * 64}",
        place="registry/127.0.0.1:1",
        recipe={"packages": ["--index-url https://ada:hunter2@example.org"]},
        model_ids=["scale:1"],
        tags={"area": "demo"},
    )
    return images.succeed(
        begun.id,
        location="127.0.0.1:1/mljupyter/scorer:1",
        digest=f"sha256:{'2' * 64}",
        log_digest=stored(
            workspace, tmp_path, "--- environment\nCollecting roman\n--- environment: succeeded after 1.5 s\n"
        ),
        sbom_digest=stored(workspace, tmp_path, json.dumps(BILL)),
        stages={"environment": 1.5},
    )


def test_images_are_listed_shown_and_explained(image: ImageRecord) -> None:
    assert [one["id"] for one in run_json("image", "list")] == ["scorer:1"]
    assert run_json("image", "list", "--model", "other") == []
    assert "scorer:1" in run("image", "list", "--model", "scale:1").stdout
    shown = run_json("image", "show", "scorer")
    assert (shown["creationState"], shown["modelIds"], shown["stages"], shown["usedBy"]) == (
        "Succeeded",
        ["scale:1"],
        {"environment": 1.5},
        [],
    )
    for output in (json.dumps(shown), run("image", "show", "scorer:1").stdout):
        assert "hunter2" not in output
        assert "environment" in output
    assert run_json("image", "logs", "scorer", "-n", "1")["lines"] == ["--- environment: succeeded after 1.5 s"]
    assert json.loads(run("image", "sbom", "scorer").stdout) == BILL


def test_a_line_end_in_a_description_makes_no_line_of_its_own(workspace: Workspace, image: ImageRecord) -> None:
    workspace.registry.images.update(
        image.id, description="mine\nDigest: sha256:forged", add_tags={"a": "b\nUsed by: all"}
    )
    lines = run("image", "show", "scorer").stdout.splitlines()
    assert len([line for line in lines if line.startswith(("Digest:", "Used by:"))]) == 2


def test_a_failed_image_shows_why(workspace: Workspace) -> None:
    begun = workspace.registry.images.begin("broken", plan_digest=f"sha256:{'3' * 64}", place="docker", recipe={})
    error = {"step": "environment", "reason": "exit 1", "hint": "Pin another one.", "lastLines": ["no such version"]}
    workspace.registry.images.fail(begun.id, error)
    said = run("image", "show", "broken").stdout
    assert all(text in said for text in ("Failed", "step 'environment'", "Pin another one.", "no such version"))
    assert "only images that are ready" in failed("image", "sbom", "broken:1")


def test_an_image_in_use_is_not_deleted_and_another_is(workspace: Workspace, image: ImageRecord) -> None:
    workspace.registry.images.add_reference("pipeline nightly", [image.id])
    assert "in use by pipeline nightly" in failed("image", "delete", image.id)
    assert run_json("image", "show", image.id)["usedBy"] == ["pipeline nightly"]
    workspace.registry.images.release("pipeline nightly")
    assert "cannot be reached" in failed("image", "delete", image.id)
    assert run_json("image", "show", image.id)["id"] == image.id, "what cannot be removed is not forgotten"
    assert run_json("image", "delete", image.id, "--keep") == {"id": image.id, "deleted": True}
    assert "ImageNotFound" in failed("image", "show", "scorer")
    assert workspace.registry.models.references("scale:1") == []


def scanner(directory: Path, name: str, report: Any) -> None:
    directory.mkdir(exist_ok=True)
    (directory / name).write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(report)}\nEND\n")
    (directory / name).chmod(0o755)


def test_findings_are_listed_and_end_with_1(
    image: ImageRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = {"PkgName": "openssl", "InstalledVersion": "3.0", "VulnerabilityID": "CVE-2", "Severity": "HIGH"}
    scanner(tmp_path / "bin", "trivy", {"Results": [{"Vulnerabilities": [item]}]})
    scanner(tmp_path / "bin", "pip-audit", {"dependencies": [{"name": "roman", "version": "4.2", "vulns": []}]})
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    report = run_json("image", "scan", "scorer", expected=1)
    assert (report["image"], report["scanners"]) == ("scorer:1", ["trivy", "pip-audit"])
    assert [finding["vulnerability"] for finding in report["findings"]] == ["CVE-2"]
    said = run("image", "scan", "scorer", expected=1).stdout
    assert "openssl" in said
    assert "1 known vulnerabilities in scorer:1, according to trivy, pip-audit." in said
    scanner(tmp_path / "bin", "trivy", {"Results": []})
    assert run("image", "scan", "scorer").stdout.startswith("No known vulnerabilities in scorer:1")


def test_without_a_scanner_the_command_to_install_one_is_told(
    image: ImageRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))  # no scanner lies beside it
    assert "pip install pip-audit" in failed("image", "scan", "scorer")
