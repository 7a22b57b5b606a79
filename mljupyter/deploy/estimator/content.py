"""Content of an object: the classes, functions and packages that a process must import to load it from a pickle."""

from __future__ import annotations

import io
import pickle
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from types import FunctionType
from typing import Any

from mljupyter.build.environments.requirements import pin_of
from mljupyter.deploy.estimator.frameworks import ServingFormat

_ALWAYS = ("joblib", "numpy", "inference_schema")


@dataclass
class Content:
    """The classes and functions in an object.

    Parameters:
        packages: their top-level packages.
        nameless: those that cannot be imported by name: lambdas, and functions or classes defined inside functions.
        of_notebook: names of those that are defined in the notebook, or in the script that runs.
        local_modules: modules from the current directory, with that directory.
        problem: the reason why the object cannot be pickled, else empty.

    """

    packages: set[str] = field(default_factory=set)
    nameless: list[str] = field(default_factory=list)
    of_notebook: list[str] = field(default_factory=list)
    local_modules: dict[str, Path] = field(default_factory=dict)
    problem: str = ""


def contents(value: Any) -> Content:
    """Return the content of an object; large arrays in it are not copied."""
    content = Content()
    try:
        _Collector(content).dump(value)
    except Exception as error:  # noqa: BLE001 - pickling runs code of the object, which may raise anything
        content.problem = f"{type(error).__name__}: {error}"
    return content


def contents_of_classes(classes: Iterable[type]) -> Content:
    """Return the content of an object that is saved in its own format, and needs these classes to be loaded."""
    content = Content()
    for kind in classes:
        _note(content, kind)
    return content


def pinned_packages(form: ServingFormat, estimator: Any, *, frame: bool = False) -> list[str]:
    """Return pip requirements for the packages of an estimator and of its scoring script, sorted.

    Parameters:
        form: how it is saved.
        estimator: a fitted estimator.
        frame: whether its rows are data frames.

    """
    own = contents(estimator).packages if form.packages is None else form.packages
    modules = {*_ALWAYS, *own, *(["pandas"] if frame else [])}
    sources = metadata.packages_distributions()
    names = {source for module in modules for source in sources.get(module, ())[:1]}
    return sorted(pin_of(source, metadata.version(source)) for source in names)


class _NullWriter(io.RawIOBase):
    def write(self, data: Any) -> int:
        return len(data)


class _Collector(pickle.Pickler):
    """Pickler that writes nothing and collects each class and function it meets."""

    def __init__(self, content: Content) -> None:
        super().__init__(_NullWriter(), protocol=5, buffer_callback=lambda _: None)
        self._content = content

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, (type, FunctionType)):
            _note(self._content, value)
        return NotImplemented


def _note(content: Content, value: Any) -> None:
    module, name = value.__module__ or "", value.__qualname__
    if "<" in name:
        what = "a lambda" if name.endswith("<lambda>") else f"{value.__name__}, defined inside a function"
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
    """Return the directory that a package is imported from; None for a built-in package."""
    file = getattr(sys.modules.get(package), "__file__", None)
    if file is None:
        return None
    path = Path(file).resolve()
    return path.parent.parent if path.stem == "__init__" else path.parent
