"""Lazy names and modules of a package: each is imported on first use."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping
from importlib import import_module
from typing import Any


def lazy_names(
    package: str, homes: Mapping[str, str], *, modules: Collection[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the functions ``__getattr__`` and ``__dir__`` of a package with lazy names (PEP 562).

    Parameters:
        package: the package's ``__name__``.
        homes: the module of each name, relative to the package.
        modules: modules of the package that are lazy attributes themselves.

    """

    def get(name: str) -> Any:
        if name in modules:
            return import_module(f"{package}.{name}")  # which also sets the attribute
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f"{package}.{homes[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *homes, *modules})

    return get, names
