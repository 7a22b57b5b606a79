"""The controller's process, when it cannot go on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mljupyter.controller.layout import Layout
from tests.waiting import HANG_SECONDS

pytestmark = pytest.mark.system


def controller(workspace: Path) -> subprocess.CompletedProcess[str]:
    """Run a controller that ends by itself."""
    return subprocess.run(
        [sys.executable, "-m", "mljupyter.controller", str(workspace)],
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
    )


def test_what_the_system_refuses_is_said_in_a_line_and_kept_with_its_traceback_in_the_log(
    short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLJUPYTER_RUNTIME_DIR", str(short_path / "run"))
    workspace = short_path / "workspace"
    workspace.mkdir()
    layout = Layout.of(workspace)
    layout.prepare()
    layout.socket().mkdir()
    (layout.socket() / "in-the-way").touch()
    ended = controller(workspace)
    assert ended.returncode == 1
    assert ended.stderr.startswith("the controller ends: [Errno ") and "Endpoints keep serving" in ended.stderr
    assert "Traceback" not in ended.stderr
    log = layout.log.read_text()
    assert "E the controller ends\nTraceback" in log and str(layout.socket()) in log


def test_a_controller_for_a_workspace_that_was_deleted_meanwhile_creates_nothing(tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    ended = controller(workspace)
    assert ended.returncode == 1
    assert "was deleted" in ended.stderr
    assert not workspace.exists()
