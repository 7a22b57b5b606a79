"""Deployment of an endpoint in four steps: `prepare`, `plan`, `build`, `apply`.

Each module is imported when it is used for the first time. The SDK's classes use the modules through this package, as
``deploy.apply``, so that importing a class does not import the steps of a deployment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mljupyter.lazy import lazy_names

if TYPE_CHECKING:
    from mljupyter.deploy import (
        apply,
        build,
        cell_script,
        content,
        environments,
        images,
        leftovers,
        model_delivery,
        prepare,
        profiling,
        references,
        rollout,
        spec_builder,
        versions,
        wait,
    )

__all__ = [
    "apply",
    "build",
    "cell_script",
    "content",
    "environments",
    "images",
    "leftovers",
    "model_delivery",
    "prepare",
    "profiling",
    "references",
    "rollout",
    "spec_builder",
    "versions",
    "wait",
]

__getattr__, __dir__ = lazy_names(__name__, {}, modules=__all__)
