"""Facades: real modules with the names of the SDK, whose content is copied from `mljupyter` at the first import.

Since the content is copied, ``importlib.reload``, ``from azureml.core import *`` and pickling work as usual, and each
class is the same object under both names.
"""

from __future__ import annotations

from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from mljupyter.azureml.modules import CONTAINERS, MODULES
from mljupyter.azureml.reasons import sentence
from mljupyter.scoring.shims.finder import ShimFinder

_SDK = "azureml"


def find(name: str) -> ModuleSpec | None:
    """Return the spec of a module of the SDK, or of a former module of scikit-learn; None for other names.

    The spec of a module that is not there loads with an error that gives the reason.
    """
    if name in MODULES or name in CONTAINERS:
        # Every module counts as a package: the import system then looks for an absent name as a submodule, which is
        # the only way to give a reason in `from azureml.core import Name` and to keep `hasattr` free of errors.
        return ModuleSpec(name, _Facade(), is_package=True)
    spec = ShimFinder().find_spec(name)  # the modules that scoring scripts import, and those of old pickles
    if spec is None and name.startswith(f"{_SDK}."):
        return ModuleSpec(name, _Absent())
    return spec


class _Facade(Loader):
    def create_module(self, spec: ModuleSpec) -> None:
        """Let the import system create the module."""

    def exec_module(self, module: ModuleType) -> None:
        """Copy the module's names; `importlib.reload` copies them again."""
        name = module.__name__
        names: dict[str, Any] = {}
        for source in MODULES.get(name, ()):
            names |= source.values()
        vars(module).update(names)
        about = f", names of {', '.join(sorted({one.module for one in MODULES[name]}))}" if name in MODULES else ""
        module.__doc__ = f"The module {name} of the Azure ML SDK v1 in mljupyter{about}. See docs/azureml.md."
        module.__all__ = [one for one in names if not one.startswith("__")]  # type: ignore[attr-defined]
        module.__getattr__ = _reason_for(name)  # type: ignore[method-assign]
        if "Workspace" in names:
            from mljupyter.azureml.first_workspace import install  # it imports the SDK, which not every module needs

            install()


class _Absent(Loader):
    def create_module(self, spec: ModuleSpec) -> None:
        """Raise the error of a module or name that is not there."""
        __tracebackhide__ = True  # IPython shows the user's line alone
        raise ModuleNotFoundError(sentence(spec.name))

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: the module was not created."""


def _reason_for(module: str) -> Any:
    def get(name: str) -> Any:
        __tracebackhide__ = True
        raise AttributeError(f"module {module!r} has no attribute {name!r}" if name[:2] == "__" else _of(module, name))

    return get


def _of(module: str, name: str) -> str:
    return sentence(f"{module}.{name}")
