"""Packages of an estimator: those that its classes come from, in the versions that are installed here."""

from __future__ import annotations

from importlib import metadata
from typing import Any

from mljupyter.deploy.estimator.content import contents

_ALWAYS = ("joblib", "numpy", "inference_schema")


def pinned_packages(estimator: Any, *, frame: bool = False) -> list[str]:
    """Return pip requirements for the packages of an estimator and of its scoring script, sorted.

    Parameters:
        estimator: a fitted estimator.
        frame: whether its rows are data frames.

    """
    modules = {*_ALWAYS, *contents(estimator).packages, *(["pandas"] if frame else [])}
    sources = metadata.packages_distributions()
    names = {source for module in modules for source in sources.get(module, ())[:1]}
    return sorted(f"{source}=={metadata.version(source).partition('+')[0]}" for source in names)
