"""A store of code and models in memory."""

from __future__ import annotations

from pathlib import Path


class FakeContents:
    """Places one file for each digest, and remembers the order of the requests."""

    def __init__(self) -> None:
        self.fetched: list[str] = []
        self.failure: OSError | None = None

    def fetch(self, digest: str, target: Path) -> Path:
        """Place content at a path, or fail as told."""
        if self.failure is not None:
            raise self.failure
        self.fetched.append(digest)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(digest)
        return target
