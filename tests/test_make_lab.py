"""`make lab` starts JupyterLab for everybody: as root with the option that JupyterLab asks for, which it says."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_make_lab_allows_root_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    jupyter = tmp_path / "bin" / "jupyter"
    jupyter.write_text('#!/bin/sh\necho "jupyter $@"\n')
    jupyter.chmod(0o755)
    stamps = [f"--old-file={tmp_path}/.{name}" for name in ("dev", "demo")]
    command = ["make", "--no-print-directory", *stamps, f"VENV={tmp_path}", "lab"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    if os.geteuid() == 0:
        assert said[0] == "You are root: JupyterLab starts with --allow-root."
        assert said[1:] == ["jupyter lab --allow-root notebooks/00-tour.ipynb"]
    else:
        assert said == ["jupyter lab notebooks/00-tour.ipynb"]
