"""How errors name a scoring script: those of a cell by the cell, others by their file."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from mljupyter.core import Workspace
from mljupyter.deploy.cell_script import first_line, place_of
from mljupyter.spec import EndpointRecord, EndpointSpec, EndpointState, EndpointStatus, Problem, VersionStatus

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def record(digest: str, entry_script: str) -> EndpointRecord:
    """Return an endpoint whose second version has failed; its script is an artifact."""
    other = {"image": "registry.example/iris:1"}
    failed = {"code": {"digest": digest, "entryScript": entry_script}}
    spec = EndpointSpec.parse(
        {"name": "iris", "kind": "AKSENDPOINT", "defaultVersion": "one", "versions": {"one": other, "two": failed}}
    )
    problem = Problem(code="StartFailed", message="it failed")
    status = EndpointStatus(
        state=EndpointState.FAILED, versions={"one": VersionStatus(), "two": VersionStatus(problem=problem)}
    )
    return EndpointRecord(
        spec=spec, status=status, generation=1, resource_version=1, created_time=NOW, updated_time=NOW
    )


@pytest.mark.parametrize(("first", "place"), [(first_line("it's"), "the cell"), ("# written with %%score\n", "")])
def test_a_script_of_a_cell_is_called_the_cell_whether_it_is_deployed_alone_or_with_a_directory(
    workspace: Workspace, tmp_path: Path, first: str, place: str
) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "rows.py").write_text(first_line("another"))
    script = folder / "score.py"
    script.write_text(f"{first}def init(): raise OSError\n")
    store = workspace.artifacts
    with store.hold():
        alone, together = store.put(script), store.put(folder)
    assert place_of(store, record(alone.digest, "score.py")) == place
    assert place_of(store, record(together.digest, "project/score.py")) == place


def test_a_script_that_is_gone_has_the_name_of_its_file(workspace: Workspace) -> None:
    assert place_of(workspace.artifacts, record(f"sha256:{'0' * 64}", "score.py")) == ""
