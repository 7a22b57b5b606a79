"""The JavaScript and the styles of a widget, from the files beside this one."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_HERE = Path(__file__).parent / "static"


@cache
def module(*names: str) -> str:
    """Return the module of a widget from its files, with the help that all of them use in front."""
    return "".join((_HERE / f"{name}.js").read_text(encoding="utf-8") for name in ("dom", *names))


@cache
def styles(*names: str) -> str:
    """Return the styles of a widget, one file after the other."""
    return "".join((_HERE / f"{name}.css").read_text(encoding="utf-8") for name in names)
