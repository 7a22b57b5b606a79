"""A shell with the magics loaded, in a directory and a home of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from mljupyter.errors import MLJupyterError

SCRIPT = """\
import json

def init():
    global factor
    factor = 2

def run(data):
    return [factor * sum(row) for row in json.loads(data)["data"]]
"""


class Shell:
    """An IPython shell that cells are run in; errors are raised."""

    def __init__(self) -> None:
        self.ip = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
        self.ip.run_line_magic("load_ext", "mljupyter")

    @property
    def variables(self) -> dict[str, Any]:
        return self.ip.user_ns

    def run(self, cell: str) -> Any:
        """Return the value of a cell, or raise what it raised."""
        outcome = self.ip.run_cell(cell)
        outcome.raise_error()
        return outcome.result

    def error(self, cell: str) -> str:
        """Return the text a notebook shows for a cell that fails."""
        with pytest.raises(MLJupyterError) as caught:
            self.run(cell)
        lines = caught.value._render_traceback_()
        assert 1 <= len("\n".join(lines).splitlines()) <= 16
        return caught.value.message

    def complete(self, line: str) -> list[str]:
        """Return what the completer offers at the end of a line."""
        with provisionalcompleter():
            return [found.text for found in self.ip.Completer.completions(line, len(line))]

    def close(self) -> None:
        self.ip.run_line_magic("unload_ext", "mljupyter")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the test an empty home, and a directory of its own to work in."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("MLJUPYTER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MLJUPYTER_WORKSPACE", "default")
    return tmp_path / "home"


@pytest.fixture
def shell(home: Path) -> Iterator[Shell]:
    shell = Shell()
    yield shell
    shell.close()
    assert os.environ["MLJUPYTER_HOME"] == str(home)
