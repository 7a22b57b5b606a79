"""The interface of an artifact store, as builders need it."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class Store(Protocol):
    """The source of content: an artifact store."""

    def fetch(self, digest: str, target: Path, *, writable: bool = False) -> Path:
        """Place content at a path and return the path."""
        ...
