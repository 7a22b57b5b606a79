"""The registry of a workspace: models, environments and images, and the content-addressed store of their files.

`Registry` is imported on first use, so that the artifact store alone does not import SQLAlchemy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mljupyter.lazy import lazy_names

if TYPE_CHECKING:
    from mljupyter.registry.registry import Registry

__all__ = ["Registry"]

__getattr__, __dir__ = lazy_names(__name__, {"Registry": "registry"})  # SQLAlchemy is heavy
