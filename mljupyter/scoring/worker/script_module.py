"""The module of the scoring script: its name, its import, and how pickles and child processes find it.

The module shadows nothing. Its name is `entry_module`, as with azureml-inference-server-http. The name of its file is a
second one, unless `import` finds another module by it, such as the package `score` or an installed `joblib`.
"""

# ruff: noqa: PTH100, PTH118, PTH119, PTH120, PTH121, PTH122, PTH123
# pathlib takes 3 ms to import, and every start of a replica would pay them in both processes.
from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from types import ModuleType
from typing import Any

from mljupyter.scoring.shims import finder

VARIABLE = "MLJUPYTER_ENTRY_MODULE"
"""The environment variable by which processes that the script starts learn its module: ``NAME:PATH``."""

_NEUTRAL = "entry_module"


_FOR_PROCESSES = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "entry")
"""The directory whose `entry_module.py` is the script for processes that know nothing but `sys.path`, as joblib's."""


class ScriptFinder:
    """A meta path finder for the scoring script; it comes last, so that only names that nothing else has reach it.

    The name of the script's file is a second name of the module: pickles with its classes load. The module itself is
    loaded by it in processes that the script starts by `multiprocessing`, where pickles name it.
    """

    def __init__(self, name: str, path: str) -> None:
        self._name = name
        self._path = path
        self._stem = os.path.splitext(os.path.basename(path))[0]

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of the script's module by one of its two names; None for all other names."""
        if name == self._name:
            return _spec(name, self._path)
        if name == self._stem:
            return ModuleSpec(name, finder.AliasLoader((self._name,)))  # type: ignore[arg-type] # it has a loader's methods
        return None


class _ScriptLoader:
    """Runs the source of the script.

    The loader of the import system would write its cache beside the script, and add its frames to tracebacks.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def create_module(self, spec: ModuleSpec) -> None:
        """Let the import system create the module."""

    def exec_module(self, module: ModuleType) -> None:
        """Run the script in its module; raise OSError if it cannot be read."""
        _run(module, source_of(self._path), self._path)

    def get_filename(self, name: str) -> str:
        """Return the path of the script."""
        return self._path

    def get_source(self, name: str) -> str:
        """Return the text of the script."""
        from importlib.util import decode_source  # only debuggers and tools ask

        return decode_source(source_of(self._path))


def load(path: str, source: bytes, before: str) -> ModuleType:
    """Run the scoring script of a path, and return its module; raise what it raises.

    The module is in `sys.modules`. The names of the script are found in `__main__` as well, unless something there has
    the name: notebooks pickle their classes as those of `__main__`.

    Parameters:
        path: the script.
        source: its source.
        before: the entry of `sys.path` that the directory for child processes precedes.

    """
    name = free_name()
    os.environ[VARIABLE] = f"{name}:{path}"
    if name == _NEUTRAL and _FOR_PROCESSES not in sys.path:
        sys.path.insert(
            sys.path.index(before), _FOR_PROCESSES
        )  # it hides nothing: there is no other module of the name
    module = module_from_spec(_spec(name, path))
    found_in_script = _offer(name, path)
    main = sys.modules.get("__main__")
    if main is not None and not hasattr(main, "__getattr__"):
        main.__getattr__ = found_in_script  # type: ignore[method-assign] # mypy: not for every module
    _run(module, source, path)
    return module


def offer_to_child() -> Callable[[str], Any]:
    """Let a process that the script has started by `multiprocessing` import the script's module and what it imports.

    Return the `__getattr__` for `__main__` of the process. The script itself runs there only if a pickle names it.
    """
    finder.install()
    name, _, path = os.environ.get(VARIABLE, "").partition(":")
    return _offer(name, path)


def become_script(module: ModuleType) -> None:
    """Turn the module that a child process imports instead of the script into it; raise what the script raises."""
    offer_to_child()
    path = os.environ[VARIABLE].partition(":")[2]
    module.__spec__ = _spec(module.__name__, path)
    module.__loader__ = module.__spec__.loader
    module.__file__, module.__doc__ = path, None
    _run(module, source_of(path), path)


def _offer(name: str, path: str) -> Callable[[str], Any]:
    """Make the script's module known by both of its names; return what finds its names for `__main__` (PEP 562)."""
    if not any(isinstance(one, ScriptFinder) for one in sys.meta_path):
        sys.meta_path.append(ScriptFinder(name, path))
    return _names_of(name)


def free_name() -> str:
    """Return the name for the module of a script: one by which no other module can be imported."""
    return next(name for name in _neutral_names() if name not in sys.modules and _found(name) is None)


def is_second_name(stem: str, path: str) -> bool:
    """Return whether `import` finds the file of a path by its name without the suffix, and no other module."""
    if stem in sys.modules or "." in stem:
        return False
    found = _found(stem)
    if found is None or not found.has_location or found.origin is None:
        return False
    try:
        return os.path.samefile(found.origin, path)
    except OSError:
        return False


def source_of(path: str) -> bytes:
    """Return the source of the script; raise OSError if it cannot be read."""
    with open(path, "rb") as file:
        return file.read()


def _run(module: ModuleType, source: bytes, path: str) -> None:
    """Run the script in its module; an import of it by either name finds the module from now on."""
    stem = os.path.splitext(os.path.basename(path))[0]
    if is_second_name(stem, path):
        sys.modules[stem] = module  # otherwise an import would run the script again, for a second module
    sys.modules[module.__name__] = module
    exec(compile(source, path, "exec", dont_inherit=True), module.__dict__)  # noqa: S102 - the user's script


def _spec(name: str, path: str) -> ModuleSpec:
    spec = spec_from_file_location(name, path, loader=_ScriptLoader(path))  # type: ignore[arg-type] # as above
    assert spec is not None  # noqa: S101 (for the type checker: with a loader there is one)
    return spec


def _neutral_names() -> Iterator[str]:
    yield _NEUTRAL
    number = 2
    while True:
        yield f"{_NEUTRAL}_{number}"
        number += 1


def _found(name: str) -> ModuleSpec | None:
    try:
        return find_spec(name)
    except (ImportError, ValueError, AttributeError):  # of a finder of the user's environment, or of an odd name
        return None


def _names_of(name: str) -> Callable[[str], Any]:
    def from_script(attribute: str) -> Any:
        if not attribute.startswith("__"):
            try:
                return getattr(import_module(name), attribute)
            except (ImportError, AttributeError):
                pass
        raise AttributeError(f"module '__main__' has no attribute {attribute!r}")

    return from_script
