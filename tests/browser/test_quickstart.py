"""The quickstart in a real JupyterLab."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

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
