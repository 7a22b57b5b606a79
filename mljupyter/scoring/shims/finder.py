"""The import finder for old scripts and old pickles: modules of the SDK, and renamed modules of scikit-learn."""

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
"""Empty packages, which are needed for the modules below them."""

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
    "applicationinsights": f"{_HERE}.applicationinsights",
    "applicationinsights.exceptions": f"{_HERE}.applicationinsights",
    "applicationinsights.logging": f"{_HERE}.applicationinsights",
}
_FORMER_PARTS = ("sklearn.externals.joblib", "sklearn.externals.six")
"""Packages that scikit-learn had copies of."""


class ShimFinder:
    """A meta path finder for the names above; all other names cost a prefix test."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a module that no other finder has found; None for unknown names."""
        if not name.startswith(("azureml", "sklearn.", "applicationinsights")):
            return None
        if name in ALIASES:
            return _spec(name, AliasLoader((ALIASES[name],)))
        if name in PACKAGES:
            return _spec(name, _EmptyLoader())
        if any(name == part or name.startswith(f"{part}.") for part in _FORMER_PARTS):
            return _spec(name, AliasLoader((name.removeprefix("sklearn.externals."),)))
        if name.startswith("sklearn."):
            from mljupyter.scoring.shims.renamed import successors  # a table that only old pickles need

            found = successors(name)
            if found:
                return _spec(name, AliasLoader(found), package=False)
        return None


class AliasLoader:
    """Loads an existing module under a second name; the first of `names` that exists is used."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._own_spec: ModuleSpec | None = None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Import the module by its present name."""
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
        """Restore the module's own spec, which the import system has replaced by that of the alias.

        The submodules get second names as well. Otherwise they would be loaded again from the module's path, and the
        classes of old pickles would differ from those of the module.
        """
        alias = module.__spec__.name if module.__spec__ is not None else module.__name__
        module.__spec__ = self._own_spec
        start = f"{module.__name__}."
        for name in [name for name in sys.modules if name.startswith(start)]:
            sys.modules[f"{alias}.{name.removeprefix(start)}"] = sys.modules[name]


class _EmptyLoader:
    def create_module(self, spec: ModuleSpec) -> None:
        """Let the import system create the package."""

    def exec_module(self, module: ModuleType) -> None:
        """Leave the package empty."""


def _spec(name: str, loader: Any, package: bool = True) -> ModuleSpec:
    # Loaders need only their methods. To derive them from importlib.abc.Loader would cost its import: 9 ms.
    return ModuleSpec(name, loader, is_package=package)


def install() -> None:
    """Install the finder, for modules that are not installed."""
    if not any(isinstance(finder, ShimFinder) for finder in sys.meta_path):
        sys.meta_path.append(ShimFinder())
