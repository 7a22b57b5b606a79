from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.notebooks import NEEDS, chosen, docker_missing, kubernetes_missing, longest_first


def notebook(directory: Path, name: str, *needs: str) -> Path:
    path = directory / name
    path.write_text(json.dumps({"cells": [], "metadata": {"mljupyter": {"needs": list(needs)}} if needs else {}}))
    return path


def test_a_notebook_whose_needs_are_not_met_is_left_out_with_the_reason(tmp_path: Path) -> None:
    plain, images = notebook(tmp_path, "1.ipynb"), notebook(tmp_path, "2.ipynb", "docker")
    asked, said = [], []

    def missing() -> str | None:
        asked.append("docker")
        return "no engine: start one"

    another = notebook(tmp_path, "3.ipynb", "docker")
    assert chosen([another, images, plain], {"docker": missing}, said.append) == [plain]
    assert said == [f"left out: {images}: no engine: start one", f"left out: {another}: no engine: start one"]
    assert asked == ["docker"], "each part is looked for once"
    assert chosen([plain, images], {"docker": lambda: None}, said.append) == [plain, images]


def test_notebooks_that_need_most_are_dealt_out_first(tmp_path: Path) -> None:
    plain, images = notebook(tmp_path, "1.ipynb"), notebook(tmp_path, "2.ipynb", "docker")
    cluster, other = notebook(tmp_path, "3.ipynb", "docker", "kubernetes"), notebook(tmp_path, "4.ipynb")
    assert longest_first([plain, images, cluster, other]) == [cluster, images, plain, other]


def test_a_need_that_nobody_knows_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="quantum"):
        chosen([notebook(tmp_path, "1.ipynb", "quantum")], {}, print)


def test_what_is_missing_for_containers_is_told_with_the_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("MLJUPYTER_BASE_IMAGE", raising=False)
    monkeypatch.delenv("TESTBED_BASE_IMAGE", raising=False)
    monkeypatch.delenv("MLJUPYTER_TEST_BASE_IMAGE", raising=False)
    assert "MLJUPYTER_TEST_BASE_IMAGE is not set: set it to an image" in (docker_missing() or "")
    monkeypatch.setenv("MLJUPYTER_BASE_IMAGE", "python:3.11-slim")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nowhere.sock")
    reason = docker_missing() or ""
    assert "does not answer" in reason
    assert "set DOCKER_HOST" in reason


def test_what_is_missing_for_a_cluster_is_told_with_the_variable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("TESTBED_KUBECONFIG", raising=False)
    monkeypatch.delenv("MLJUPYTER_TEST_KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path))  # a tutorial never goes to a cluster that is not meant for tests
    assert "MLJUPYTER_TEST_KUBECONFIG is not set: set it to the kubeconfig" in (kubernetes_missing() or "")
    monkeypatch.setenv("MLJUPYTER_TEST_KUBECONFIG", str(tmp_path / "nothing"))
    assert "there is no such file" in (kubernetes_missing() or "")
    tmp_path.joinpath("team.yaml").touch()
    monkeypatch.setenv("MLJUPYTER_TEST_KUBECONFIG", str(tmp_path / "team.yaml"))
    assert kubernetes_missing() is None


def test_every_tutorial_needs_only_what_is_known() -> None:
    notebooks = sorted(Path("notebooks").glob("*.ipynb"))
    assert len(notebooks) >= 2
    assert chosen(notebooks, dict.fromkeys(NEEDS, lambda: None), print) == notebooks
