"""Keep the exporter process running while there are request records to send and a destination for them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from mljupyter.controller.layout import Layout
from mljupyter.controller.storage.store import Store
from mljupyter.runtimes.catalog import outside_process_table
from mljupyter.spec import EndpointRecord
from mljupyter.telemetry.export.destination import FILE_NAME

_LOOK_EVERY = 0.5
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
_FAREWELL_SECONDS = 5.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Wanted:
    """The settings of the process. When they change, a new process is needed."""

    configured: float
    targets: tuple[str, ...]


class RecordExport:
    """The process ``mljupyter.telemetry`` of this workspace. It ends with its standard input and so the controller."""

    def __init__(self, layout: Layout, store: Store) -> None:
        self._layout = layout
        self._store = store
        self._process: asyncio.subprocess.Process | None = None
        self._for: _Wanted | None = None
        self._pause = _FIRST_PAUSE

    async def run(self) -> None:
        """Start and end the process as needed, until cancelled."""
        try:
            while True:
                try:
                    await self._look()
                except Exception:  # a failed export must not end the controller
                    log.exception("the export of records cannot be supervised")
                await asyncio.sleep(_LOOK_EVERY)
        finally:
            await self._end()

    async def _look(self) -> None:
        wanted = self._wanted()
        if self._process is not None and self._process.returncode is not None:
            text = await self._last_words(self._process)
            log.error("the export of records ended with status %d: %s", self._process.returncode, text)
            self._process = None
            await asyncio.sleep(self._pause)
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        if wanted != self._for:
            await self._end()
            self._pause = _FIRST_PAUSE
        if wanted is not None and self._process is None:
            await self._start(wanted)

    def _wanted(self) -> _Wanted | None:
        try:
            configured = (self._layout.control / FILE_NAME).stat().st_mtime
        except OSError:
            return None
        recording = [record for record in map(self._store.find, self._store.names()) if _records(record)]
        return _Wanted(configured, _targets(recording)) if recording else None

    async def _start(self, wanted: _Wanted) -> None:
        layout = self._layout
        places = ["--workspace", layout.directory, "--control", layout.control, "--replicas", layout.replicas]
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "mljupyter.telemetry",
            *map(str, places),
            *(part for target in wanted.targets for part in ("--target", target)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        self._for = wanted

    async def _end(self) -> None:
        process, self._process, self._for = self._process, None, None
        if process is None or process.returncode is not None:
            return
        assert process.stdin is not None  # noqa: S101 (for the type checker)
        process.stdin.close()
        try:
            async with asyncio.timeout(_FAREWELL_SECONDS):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _last_words(self, process: asyncio.subprocess.Process) -> str:
        assert process.stderr is not None  # noqa: S101 (for the type checker)
        return (await process.stderr.read(10_000)).decode("utf-8", "replace").strip()[-1000:]


def _records(record: EndpointRecord | None) -> bool:
    return record is not None and any(version.app_insights_enabled for version in record.spec.versions.values())


def _targets(records: Iterable[EndpointRecord | None]) -> tuple[str, ...]:
    """Return the targets whose replicas do not write request logs to files. (Files are always read.)"""
    found = {record.spec.compute_target for record in records if record is not None}
    return tuple(sorted(filter(outside_process_table, found)))
