"""One process at a time changes what the web services of a workspace use."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mljupyter.registry.locking import wait_for_lock

if TYPE_CHECKING:
    from mljupyter.core.workspace import Workspace

_FILE = "usage.lock"


@contextmanager
def changing_usage(workspace: Workspace) -> Iterator[None]:
    """Keep other processes, and threads, from changing what web services use, or what is noted of that.

    Of two that change the same web service, one could otherwise note what it found, and the other had changed it by
    then. The lock ends with the process that holds it.
    """
    descriptor = os.open(workspace.directory / _FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        wait_for_lock(descriptor, fcntl.LOCK_EX, None)
        yield
    finally:
        os.close(descriptor)
