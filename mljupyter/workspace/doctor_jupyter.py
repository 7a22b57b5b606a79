"""Checks of the extensions of JupyterLab and Jupyter Server: installed, enabled, and of this package's version?

The files are read that `jupyter labextension list` and `jupyter server extension list` read. Those commands import all
extensions, which takes seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import mljupyter
from mljupyter.outside import json_value
from mljupyter.workspace.doctor_workspace import Check

PAGE = "mljupyter-labextension"
SERVER = "mljupyter.labserver"


def examine_jupyter(pip: str) -> Iterator[Check]:
    """Yield a check of the extension in the page, and one of the extension in the server. JupyterLab is installed.

    Parameters:
        pip: the command that runs pip here.

    """
    from jupyter_core.paths import jupyter_config_path, jupyter_path  # part of the extra lab

    configuration = [Path(path) for path in jupyter_config_path()]
    installed = [Path(path) / PAGE / "package.json" for path in jupyter_path("labextensions")]
    yield _page(installed, configuration, f"{pip} install --force-reinstall --no-deps mljupyter")
    yield _server(configuration)


def _page(installed: Iterable[Path], configuration: Iterable[Path], reinstall: str) -> Check:
    name = "jupyter labextension"
    found = next((path for path in installed if path.is_file()), None)
    if found is None:
        return Check(name, "note", f"{PAGE} is not installed: JupyterLab has no side panel", reinstall)
    version = _document(found).get("version")
    if version != mljupyter.__version__:
        text = f"{PAGE} has version {version}, mljupyter {mljupyter.__version__}: both must be the same"
        return Check(name, "note", text, reinstall)
    for path in configuration:  # the first one that says something counts
        disabled = _document(path / "labconfig" / "page_config.json").get("disabledExtensions", {})
        if PAGE in disabled:
            if isinstance(disabled, list) or disabled[PAGE]:
                return Check(name, "note", f"{PAGE} is disabled", f"jupyter labextension enable {PAGE}")
            break
    return Check(name, "ok", f"{PAGE} {version} is enabled")


def _server(configuration: Iterable[Path]) -> Check:
    name, enable = "jupyter server extension", f"jupyter server extension enable {SERVER}"
    for path in configuration:
        files = [path / "jupyter_server_config.json", *sorted((path / "jupyter_server_config.d").glob("*.json"))]
        for file in files:
            enabled = _document(file).get("ServerApp", {}).get("jpserver_extensions", {}).get(SERVER)
            if enabled is not None:
                if enabled:
                    return Check(name, "ok", f"{SERVER} is enabled")
                return Check(name, "note", f"{SERVER} is disabled in {file}", enable)
    return Check(name, "note", f"{SERVER} is not enabled", enable)


def _document(path: Path) -> dict[str, Any]:
    """Return a file of JSON; an empty object where there is none that can be read."""
    try:
        found = json_value(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
