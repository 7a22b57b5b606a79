from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mljupyter.core import Workspace


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MLJUPYTER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def workspace(home: Path, tmp_path: Path) -> Iterator[Workspace]:
    """A workspace with two versions of a model, one of a directory, an environment, a dataset and a secret."""
    made = Workspace.create("source")
    fill(made, tmp_path)
    yield made
    made.context.close()


@pytest.fixture
def empty(home: Path) -> Iterator[Workspace]:
    made = Workspace.create("target")
    yield made
    made.context.close()


def fill(workspace: Workspace, folder: Path) -> None:
    registry, tracking = workspace.registry, workspace.context.tracking
    (folder / "model.pkl").write_bytes(b"weights")
    (folder / "net").mkdir()
    (folder / "net" / "a.bin").write_bytes(b"a" * 100_000)
    (folder / "net" / "b.bin").write_bytes(b"b")
    registry.models.register("ridge", folder / "model.pkl", tags={"area": "demo"})
    (folder / "model.pkl").write_bytes(b"better weights")
    registry.models.register("ridge", folder / "model.pkl")
    registry.models.register("net", folder / "net")
    registry.environments.register("serving", {"python": "3.11"}, "f" * 64, password="registry-password")
    registry.environments.label("serving", 1, ["stable"])
    (folder / "data.csv").write_text("x\n1\n")
    tracking.datastores.files("workspaceblobstore").put({"data/data.csv": folder / "data.csv"})
    sources = [{"datastore": "workspaceblobstore", "path": "data/*.csv"}]
    tracking.datasets.register("numbers", {"kind": "file", "sources": sources, "options": {}, "steps": []})
    workspace.get_default_keyvault().set_secret("db-password", "very-secret-value")
