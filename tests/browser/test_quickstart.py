"""The quickstart in a real JupyterLab."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.browser.lab import Notebook

QUICKSTART = Path(__file__).parents[2] / "notebooks" / "01-quickstart.ipynb"


def test_the_quickstart_runs_from_top_to_bottom(opened: Callable[..., Notebook], shot: Callable[..., None]) -> None:
    notebook = opened(path=QUICKSTART)
    notebook.run_all()
    shot("quickstart")
    assert notebook.errors() == []
    assert all(notebook.counts())
