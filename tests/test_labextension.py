"""The extension of JupyterLab that is kept with the sources: up to date, small, and in every installation."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import mljupyter

ROOT = Path(__file__).parents[1]
BUILT = ROOT / "labextension" / "prebuilt"
PLACE = "data/share/jupyter/labextensions/mljupyter-labextension/"
MOST_BYTES = 100_000
CONFIGURATION = "data/etc/jupyter/jupyter_server_config.d/mljupyter.json"


def test_what_is_kept_was_built_from_the_sources_beside_it() -> None:
    check = subprocess.run([sys.executable, ROOT / "labextension" / "built_from.py"], capture_output=True, text=True)
    assert check.returncode == 0, check.stderr


def test_it_is_small_and_its_entry_is_there() -> None:
    entry = json.loads((BUILT / "package.json").read_text())["jupyterlab"]["_build"]["load"]
    assert (BUILT / entry).is_file()
    assert sum(path.stat().st_size for path in BUILT.rglob("*.js")) < MOST_BYTES


@pytest.mark.parametrize("kind", ["wheel", "editable"])
def test_an_installation_without_node_brings_it(kind: str, tmp_path: Path) -> None:
    build = f"import hatchling.build, sys; hatchling.build.build_{kind}(sys.argv[1])"
    command = [sys.executable, "-c", build, tmp_path]
    subprocess.run(command, cwd=ROOT, env={"PATH": ""}, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    built = {path.relative_to(BUILT).as_posix() for path in BUILT.rglob("*") if path.is_file()}
    packed = {name.partition(PLACE)[2] for name in names if PLACE in name}
    assert packed == {*built, "install.json"}
    assert any(name.endswith(CONFIGURATION) for name in names)  # the server extension needs no command to be on


def test_python_npm_and_the_page_have_one_version() -> None:
    package = json.loads((ROOT / "labextension" / "package.json").read_text())["version"]
    page = re.search(r"VERSION = '(.+)'", (ROOT / "labextension" / "src" / "version.ts").read_text())
    assert page is not None
    assert mljupyter.__version__ == package == page.group(1)
    assert json.loads((ROOT / "labextension" / "install.json").read_text())["packageName"] == "mljupyter"
