"""The packages that serve an estimator elsewhere: those its classes come from, in the versions that are here."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING, Any

from mljupyter.core.estimator.content import contents

if TYPE_CHECKING:
    from mljupyter.core.environment import Environment

_ALWAYS = ("joblib", "numpy", "inference_schema")


def environment_for(estimator: Any, name: str, *, frame: bool = False) -> Environment:
    """Return an environment with what an estimator needs, each package in the version that is installed here.

    Parameters:
        estimator: fitted.
        name: of the environment.
        frame: whether its rows are data frames.

    """
    from mljupyter.core.conda_dependencies import CondaDependencies
    from mljupyter.core.environment import Environment

    modules = {*_ALWAYS, *contents(estimator).packages, *(["pandas"] if frame else [])}
    sources = metadata.packages_distributions()
    names = {source for module in modules for source in sources.get(module, ())[:1]}
    environment = Environment(name)
    pins = sorted(f"{source}=={metadata.version(source).partition('+')[0]}" for source in names)
    environment.python.conda_dependencies = CondaDependencies.create(pip_packages=pins)
    return environment
