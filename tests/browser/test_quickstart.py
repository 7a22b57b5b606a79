"""The quickstart, and cells of an old notebook, in a real JupyterLab."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import expect

from tests.azureml.test_kernel import CALL, DEPLOY, OLD_CELL
from tests.browser.lab import Notebook
from tests.quickstart import QUICKSTART, shortened


def test_the_quickstart_runs_from_top_to_bottom(
    opened: Callable[..., Notebook], shot: Callable[..., None], tmp_path: Path
) -> None:
    path = tmp_path / "quickstart.ipynb"
    path.write_text(json.dumps(shortened()))
    (tmp_path / "images").symlink_to(QUICKSTART.parent / "images")
    notebook = opened(path=path)
    notebook.run_all()
    shot("quickstart")
    assert notebook.errors() == []
    assert all(notebook.counts())


def test_old_cells_that_are_pasted_run_without_an_edit(opened: Callable[..., Notebook]) -> None:
    cells = [text.strip() for text in (OLD_CELL, DEPLOY, CALL)]
    notebook = opened("%load_ext mljupyter", *cells, "print(result)\nws.delete()")
    notebook.run_all()
    assert notebook.errors() == []
    expect(notebook.cell(4)).to_contain_text("[6, 12]")
