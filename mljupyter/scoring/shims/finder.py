"""Resolve imports that old scripts and old pickles make: modules of the SDK, and modules that were renamed."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_HERE = "mljupyter.scoring.shims"

PACKAGES = frozenset(
    (
        *("azureml", "azureml.contrib", "azureml.contrib.services", "sklearn.externals"),
        *("azureml_inference_server_http", "azureml_inference_server_http.api"),
    )
)
"""Packages that exist only to hold what is below them."""

ALIASES = {
    "azureml.core": f"{_HERE}.core",
    "azureml.core.model": f"{_HERE}.model",
    "azureml.exceptions": f"{_HERE}.exceptions",
    "azureml.monitoring": f"{_HERE}.monitoring",
    "azureml.monitoring.modeldatacollector": f"{_HERE}.monitoring",
    "azureml.contrib.services.aml_request": f"{_HERE}.aml_request",
    "azureml.contrib.services.aml_response": f"{_HERE}.aml_response",
    "azureml_inference_server_http.api.aml_request": f"{_HERE}.aml_request",
    "azureml_inference_server_http.api.aml_response": f"{_HERE}.aml_response",
}
_JOBLIB = "sklearn.externals.joblib"


class ShimFinder:
    """A meta path finder for the names above; for every other name it costs a prefix test."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return how to load a module that nobody else has found, None when it is none of ours."""
        if not name.startswith(("azureml", "sklearn.")):
            return None
        if name in ALIASES:
            return _spec(name, AliasLoader((ALIASES[name],)))
        if name in PACKAGES:
            return _spec(name, _EmptyLoader())
        if name == _JOBLIB or name.startswith(_JOBLIB + "."):
            return _spec(name, AliasLoader((name.removeprefix("sklearn.externals."),)))
        if name.startswith("sklearn."):
            from mljupyter.scoring.shims.renamed import successors

            found = successors(name)
            if found:
                return _spec(name, AliasLoader(found), package=False)
        return None


class AliasLoader:
    """Gives a module that has another name, the first that exists, a second one."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._own_spec: ModuleSpec | None = None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the module under its present name."""
        for name in self._names:
            try:
                module = importlib.import_module(name)
            except ModuleNotFoundError as error:
                if error.name is None or not (name == error.name or name.startswith(error.name + ".")):
                    raise
                continue
            self._own_spec = module.__spec__
            return module
        names = " or ".join(self._names)
        raise ModuleNotFoundError(f"{spec.name} is {names} today, which is not installed", name=spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Give the module its own spec back: the import system has put the alias's in its place.

        Its submodules get second names too. By the module's path they would be found and loaded a second time, and
        classes of old pickles would not be those that the module knows.
        """
        alias = module.__spec__.name if module.__spec__ is not None else module.__name__
        module.__spec__ = self._own_spec
        start = f"{module.__name__}."
        for name in [name for name in sys.modules if name.startswith(start)]:
            sys.modules[f"{alias}.{name.removeprefix(start)}"] = sys.modules[name]


class _EmptyLoader:
    def create_module(self, spec: ModuleSpec) -> None:
        """Leave it to the import system to make the package."""

    def exec_module(self, module: ModuleType) -> None:
        """Leave the package empty."""


def _spec(name: str, loader: Any, package: bool = True) -> ModuleSpec:
    # Loaders are told by their methods. Deriving them from importlib.abc.Loader would cost its import: 9 ms.
    return ModuleSpec(name, loader, is_package=package)


def install() -> None:
    """Ask the finder for modules that are not installed, from now on."""
    if not any(isinstance(finder, ShimFinder) for finder in sys.meta_path):
        sys.meta_path.append(ShimFinder())
