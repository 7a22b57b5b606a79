"""The quickstart in a clean kernel, where an earlier run was cut off and has left an endpoint behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from jupyter_client.manager import start_new_kernel

from mljupyter.core import Workspace
from tests.magics.conftest import SCRIPT
from tests.quickstart import code, shortened
from tests.waiting import COMMAND_SECONDS

pytestmark = pytest.mark.system


@contextmanager
def kernel(directory: Path) -> Iterator[list[str]]:
    """Start a kernel, and give the list whose cells it is to run; end it as a crash does. Errors fail the test."""
    manager, client = start_new_kernel(startup_timeout=COMMAND_SECONDS, cwd=str(directory))
    wanted: list[str] = []
    try:
        yield wanted
        for cell in wanted:
            failed: list[str] = []

            def look(message: dict[str, object], failed: list[str] = failed) -> None:
                if message["msg_type"] == "error":
                    failed.append(str(message["content"]))

            reply = client.execute_interactive(cell, output_hook=look, timeout=COMMAND_SECONDS)
            assert not failed, f"{cell}\n{failed}"
            assert reply["content"]["status"] == "ok"
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_run_all_works_in_a_clean_kernel_after_a_run_that_was_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLJUPYTER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.delenv("MLJUPYTER_WORKSPACE", raising=False)
    cells = code(shortened())
    try:
        with kernel(tmp_path) as wanted:
            wanted += [cells[0], f"%%score ridge-score\n{SCRIPT}", "%deploy diabetes --score ridge-score"]
        (left,) = (Workspace.get(name) for name in Workspace.list())
        assert [record.spec.name for record in left.endpoint_records()], "the endpoint outlives the kernel"
        with kernel(tmp_path) as wanted:
            wanted += cells
        assert not any(Workspace.get(name).endpoint_records() for name in Workspace.list())
    finally:
        for name in Workspace.list():
            Workspace.get(name).delete(delete_dependent_resources=True)
