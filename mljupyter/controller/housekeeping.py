"""Housekeeping starts a separate process once a day, which removes files that are not needed any more."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import time

from mljupyter.client.errors import StorageError
from mljupyter.controller.layout import Layout
from mljupyter.controller.storage.store import Store

EVERY_SECONDS = 86_400.0
_SETTING = "garbageCollectedTime"
_LONGEST_SECONDS = 3600.0
_MOST_LINES = 20

log = logging.getLogger(__name__)


class Housekeeping:
    """Runs ``mljupyter gc`` for a workspace, a day after its first start and then every day.

    The time of the last run is stored, so that restarts of the controller neither repeat nor prevent a run.

    Parameters:
        layout: the file layout of the workspace.
        store: stores the time of the last run.
        every_seconds: the interval.

    """

    def __init__(self, layout: Layout, store: Store, every_seconds: float = EVERY_SECONDS) -> None:
        self._layout = layout
        self._store = store
        self._every = every_seconds

    async def run(self) -> None:
        """Run it whenever it is due, until cancelled."""
        while True:
            try:
                await asyncio.sleep(self._due_in())
                self._store.put_setting(_SETTING, str(time.time()))
                async with asyncio.timeout(_LONGEST_SECONDS):
                    await self._collect()
            except (OSError, TimeoutError, StorageError) as error:
                log.warning("collecting garbage failed: %s", error or type(error).__name__)
                await asyncio.sleep(self._every)

    def _due_in(self) -> float:
        last = self._store.setting(_SETTING)
        if last is None:
            last = str(time.time())
            self._store.put_setting(_SETTING, last)
        # A stored time in the future, from a wrong clock, must not delay it for ever.
        return min(self._every, max(0.0, float(last) + self._every - time.time()))

    async def _collect(self) -> None:
        """Run the command at the lowest priority. Its output goes to the log."""
        child = await asyncio.create_subprocess_exec(
            *("nice", "-n", "19", sys.executable, "-m", "mljupyter.cli", "gc"),
            *("--workspace", str(self._layout.directory)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            output, _ = await child.communicate()
        finally:
            if child.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    child.kill()  # the next run removes the rest
                await child.communicate()
        for line in output.decode(errors="replace").splitlines()[:_MOST_LINES]:
            log.info("garbage: %s", line)
