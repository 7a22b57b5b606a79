"""What an object is made of: the classes and functions that whoever loads it must be able to import."""

from __future__ import annotations

import io
import pickle
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import FunctionType
from typing import Any


@dataclass
class Content:
    """What was found in an object.

    Parameters:
        packages: top-level packages of its classes and functions.
        nameless: what no name leads to: lambdas, and functions or classes made inside of functions.
        of_notebook: names of what is defined in the notebook, or in the script that runs.
        local_modules: modules from the current directory, and where they are.
        problem: why it cannot be pickled, else empty.

    """

    packages: set[str] = field(default_factory=set)
    nameless: list[str] = field(default_factory=list)
    of_notebook: list[str] = field(default_factory=list)
    local_modules: dict[str, Path] = field(default_factory=dict)
    problem: str = ""


def contents(value: Any) -> Content:
    """Return what an object is made of; large arrays in it are not copied."""
    content = Content()
    try:
        _Reader(content).dump(value)
    except Exception as error:  # noqa: BLE001 - objects raise what they like when they are pickled
        content.problem = f"{type(error).__name__}: {error}"
    return content


class _Nowhere(io.RawIOBase):
    def write(self, data: Any) -> int:
        return len(data)


class _Reader(pickle.Pickler):
    """Pickles into nothing and notes each class and function that comes along."""

    def __init__(self, content: Content) -> None:
        super().__init__(_Nowhere(), protocol=5, buffer_callback=lambda _: None)
        self._content = content

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, (type, FunctionType)):
            self._note(value)
        return NotImplemented

    def _note(self, value: Any) -> None:
        module, name = value.__module__ or "", value.__qualname__
        content = self._content
        if "<" in name:
            what = "a lambda" if name.endswith("<lambda>") else f"{value.__name__}, made inside of a function"
            content.nameless.append(what)
        elif module == "__main__":
            if name not in content.of_notebook:
                content.of_notebook.append(name)
        else:
            package = module.partition(".")[0]
            content.packages.add(package)
            place = _place_of(package)
            if place is not None and place == Path.cwd():
                content.local_modules[package] = place


def _place_of(package: str) -> Path | None:
    """Return the directory that a package is imported from, None for what is built in."""
    file = getattr(sys.modules.get(package), "__file__", None)
    if file is None:
        return None
    path = Path(file).resolve()
    return path.parent.parent if path.stem == "__init__" else path.parent
