"""Package indexes in the settings of pip on this machine: its variables and configuration files."""

from __future__ import annotations

import configparser
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from mljupyter.files import in_home

_SECTIONS = ("global", "install")  # the second one counts more, as in pip


def index_settings(variables: Mapping[str, str]) -> dict[str, str]:
    """Return pip's variables for indexes, with those of its configuration files if they name another index than PyPI.

    A company's index is usually named there. Without it, its packages would be looked for on PyPI.

    Parameters:
        variables: the environment variables, which count more than the files.

    """
    found: dict[str, str] = {}
    for file in _files(variables):
        parser = configparser.RawConfigParser()
        try:
            parser.read_string(file.read_text(encoding="utf-8-sig"))
        except (OSError, UnicodeDecodeError, configparser.Error):  # pip itself tells its user
            continue
        for section in _SECTIONS:
            items = parser.items(section) if parser.has_section(section) else []
            found |= {key.replace("_", "-"): value for key, value in items}
    names = {"index-url": "PIP_INDEX_URL", "extra-index-url": "PIP_EXTRA_INDEX_URL", "trusted-host": "PIP_TRUSTED_HOST"}
    named = {names[key]: value for key, value in found.items() if key in names}
    given = {name: value for name in names.values() if (value := variables.get(name))}
    return {**(named if "PIP_INDEX_URL" in named and "PIP_INDEX_URL" not in given else {}), **given}


def _files(variables: Mapping[str, str]) -> list[Path]:
    """Return the configuration files of pip on Linux and macOS, the one that counts most last."""
    own = variables.get("PIP_CONFIG_FILE")
    if own == os.devnull:
        return []
    configuration = in_home(variables.get("XDG_CONFIG_HOME"), ".config")
    files = [
        Path("/Library/Application Support/pip/pip.conf")
        if sys.platform == "darwin"
        else Path("/etc/xdg/pip/pip.conf"),
        Path("/etc/pip.conf"),
        in_home(None, ".pip") / "pip.conf",
        *([in_home(None, "Library/Application Support") / "pip/pip.conf"] if sys.platform == "darwin" else []),
        configuration / "pip/pip.conf",
        Path(sys.prefix) / "pip.conf",
    ]
    return [*files, Path(own)] if own else files
