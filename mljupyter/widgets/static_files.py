"""The JavaScript and the style sheets of the widgets, which `make widgets` builds from `widgets-js/`."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_BUILT = Path(__file__).parent / "static"


@cache
def module(name: str) -> str:
    """Return the JavaScript module of a widget: ``wizard``, ``monitor``, ``comparison``, ``log`` or ``history``."""
    return (_BUILT / f"{name}.js").read_text(encoding="utf-8")


@cache
def styles(name: str) -> str:
    """Return the style sheet of a widget, by the same names."""
    return (_BUILT / f"{name}.css").read_text(encoding="utf-8")
