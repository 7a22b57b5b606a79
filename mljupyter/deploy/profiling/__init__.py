"""Profiling: measures a model on a temporary endpoint under load, and recommends a size.

These modules are imported when they are used for the first time, as those of `mljupyter.deploy`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mljupyter.lazy import lazy_names

if TYPE_CHECKING:
    from mljupyter.deploy.profiling import input, run  # noqa: A004 - a module, reached by its full name

__all__ = ["input", "run"]

__getattr__, __dir__ = lazy_names(__name__, {}, modules=__all__)
