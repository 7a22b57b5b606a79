"""Measure the connection pool of the router each second. As it fills, idle connections are closed sooner."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path

from mljupyter.client.errors import ControllerError
from mljupyter.controller.router.local_http import UNREACHABLE, LocalHttp
from mljupyter.controller.router.resource_files import RouterSettings
from mljupyter.engine.envoy.overload import NO_PRESSURE, fullest
from mljupyter.files import write_whole
from mljupyter.spec import ConnectionLimits

LOOK_EVERY = 1.0
# Open connections by listener, and those that have not sent a byte yet. Workers count them again, so they are left out.
_OPEN = r"^listener\.[^w]*_\d+\.downstream_(pre_)?cx_active$"
_LISTENER = re.compile(r"^listener\..*_(?P<port>\d+)\.downstream_(?:pre_)?cx_active$")

log = logging.getLogger(__name__)


def forget(settings: RouterSettings) -> None:
    """Write that the pool is empty, for a starting router, which reads the file at once."""
    write_whole(Path(settings.pressure_file), json.dumps(NO_PRESSURE))


class ConnectionPool:
    """Reports the pressure of connections to the router, by a file that is written when the pressure changes."""

    def __init__(self, settings: RouterSettings, admin: LocalHttp) -> None:
        self._settings = settings
        self._admin = admin

    async def look(self, limits: ConnectionLimits) -> None:
        """Count connections, and report the pressure to the router.

        Raises:
            ControllerError: when the router does not answer, or the file cannot be written.

        """
        try:
            _, body = await self._admin.get("/stats", format="json", filter=_OPEN, type="Gauges")
        except UNREACHABLE as error:
            raise ControllerError(f"the router does not answer: {type(error).__name__}.") from None
        connections: dict[int, int] = {}
        for item in json.loads(body)["stats"]:
            if match := _LISTENER.match(item.get("name", "")):
                port = int(match["port"])
                connections[port] = connections.get(port, 0) + int(item["value"])
        pressure = fullest(connections, self._settings.port, limits.max_connections)
        try:
            written = _write(Path(self._settings.pressure_file), json.dumps(pressure))
        except OSError as error:
            raise ControllerError(f"'{self._settings.pressure_file}' cannot be written: {error.strerror}.") from None
        if written and pressure == 1.0:
            log.warning("the router has reached its limit of connections: silent ones are closed after 2 s")


def _write(file: Path, text: str) -> bool:
    """Write a file if its content differs or it does not exist. Return whether it was written."""
    if file.exists() and file.read_text(encoding="utf-8") == text:
        return False
    write_whole(file, text)
    return True
