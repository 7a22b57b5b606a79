"""A replica that all tests of a module share."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.scoring.conftest import Replica


@contextlib.contextmanager
def replica_of(
    script: str | None, *flags: str, prepare: Callable[[Path], None] = lambda _: None, **environment: str
) -> Iterator[Replica]:
    """Start a replica in a directory that `prepare` may fill before."""
    with tempfile.TemporaryDirectory(prefix="mlj") as path:
        directory = Path(path)
        prepare(directory)
        replica = Replica(directory, script, *flags, environment=environment)
        try:
            yield replica.wait_ready()
        finally:
            replica.end()
