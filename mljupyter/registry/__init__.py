"""The registry of a workspace: models, environments and images, and the content-addressed store of their files.

`Registry` is imported when it is asked for, so that the artifact store alone does not import SQLAlchemy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mljupyter.registry.registry import Registry  # a lazy name: SQLAlchemy is heavy

__all__ = ["Registry"]


def __getattr__(name: str) -> Any:
    if name == "Registry":
        from mljupyter.registry.registry import Registry  # a lazy name: SQLAlchemy is heavy

        return Registry
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
