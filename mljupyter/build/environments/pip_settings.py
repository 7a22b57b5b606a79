"""Settings of pip on this machine that say where packages come from, in variables and configuration files."""

from __future__ import annotations

import configparser
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from mljupyter.files import in_home

_SECTIONS = ("global", "install")  # the second one counts more, as in pip
_OPTIONS = ("cert", "extra-index-url", "find-links", "index-url", "no-index", "trusted-host")


def index_settings(variables: Mapping[str, str]) -> dict[str, str]:
    """Return pip's variables for its sources of packages, with those of its configuration files.

    A company's index is usually named there, alone or beside PyPI. Without it, its packages would be looked for on
    PyPI only. A variable counts more than the same option in a file; other options of the files stay in force.

    Parameters:
        variables: the environment variables.

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
    names = {option: f"PIP_{option.upper().replace('-', '_')}" for option in _OPTIONS}
    named = {names[key]: value for key, value in found.items() if key in names and value}
    return named | {name: value for name in names.values() if (value := variables.get(name))}


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
