"""``mljupyter doctor`` says of the extensions of Jupyter what their lists say, with the command that mends them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import mljupyter
from mljupyter.workspace.doctor_jupyter import PAGE, SERVER, examine_jupyter
from tests.browser.lab import LABEXTENSION


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a directory that alone has extensions and configuration of Jupyter."""
    monkeypatch.setenv("JUPYTER_NO_CONFIG", "")
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "0")
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data"))
    for name in ("ENV_JUPYTER_PATH", "ENV_CONFIG_PATH", "SYSTEM_JUPYTER_PATH", "SYSTEM_CONFIG_PATH"):
        monkeypatch.setattr(f"jupyter_core.paths.{name}", [])
    return tmp_path


def found() -> dict[str, tuple[str, str, str]]:
    return {check.name.rpartition(" ")[0]: (check.status, check.text, check.fix) for check in examine_jupyter("pip")}


def install(place: Path, **changes: str) -> None:
    package = json.loads((LABEXTENSION / "package.json").read_text())
    write(place / "data" / "labextensions" / PAGE / "package.json", {**package, **changes})


def write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def enable(place: Path, value: bool) -> None:
    content = {"ServerApp": {"jpserver_extensions": {SERVER: value}}}
    write(place / "config" / "jupyter_server_config.d" / "mljupyter.json", content)


def test_both_are_ok_where_they_are_installed_and_enabled(place: Path) -> None:
    install(place)
    enable(place, True)
    assert {status for status, _, _ in found().values()} == {"ok"}


def test_an_extension_that_is_not_there_is_named_with_the_command_that_mends_it(place: Path) -> None:
    checks = found()
    assert checks["jupyter"][0] == "note"
    assert checks["jupyter"][2] == "pip install --force-reinstall --no-deps mljupyter"
    assert checks["jupyter server"][2] == f"jupyter server extension enable {SERVER}"


def test_another_version_of_the_page_is_told_with_both_versions(place: Path) -> None:
    install(place, version="0.0.9")
    _, text, fix = found()["jupyter"]
    assert "0.0.9" in text
    assert mljupyter.__version__ in text
    assert "--force-reinstall" in fix


def test_disabled_extensions_are_told_with_the_command_that_enables_them(place: Path) -> None:
    install(place)
    enable(place, False)
    write(place / "config" / "labconfig" / "page_config.json", {"disabledExtensions": {PAGE: True}})
    checks = found()
    assert checks["jupyter"][2] == f"jupyter labextension enable {PAGE}"
    assert checks["jupyter server"][2] == f"jupyter server extension enable {SERVER}"
