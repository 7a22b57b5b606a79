"""A workspace with as many endpoints as wanted, as the channel of the server tells of them: no machine has 1,000."""

from __future__ import annotations

import json
import time
from typing import Any

from playwright.sync_api import Page, WebSocketRoute

WORKSPACE = "crowd"
EMPTY = "empty"
"""Another workspace, of whose endpoints the page is told nothing."""


def row(number: int, state: str = "Healthy") -> dict[str, Any]:
    """Return an endpoint as the server lists it."""
    version = {
        "name": "blue",
        "isDefault": True,
        "share": 100,
        "weight": 100,
        "state": state,
        "problem": None,
        "ready": 1,
        "wanted": 1,
        "models": [f"model-{number % 50}:1"],
        "replicas": [{"id": f"r-{number}", "phase": "ready"}],
    }
    return {
        "name": f"endpoint-{number:04}",
        "kind": "AKSENDPOINT",
        "target": "local" if number % 2 else "cluster",
        "state": state,
        "problem": {"code": "ScriptFailed", "message": "The script has failed."} if state == "Failed" else None,
        "uri": f"http://localhost:6789/api/v1/service/endpoint-{number:04}/score",
        "authentication": "key",
        "rollout": False,
        "ready": 1,
        "wanted": 1,
        "updated": time.time(),
        "versions": [version, {**version, "name": "green", "isDefault": False, "share": 0, "weight": 0}],
    }


class Crowd:
    """The server's end of the channel of one page, and what the page has asked there.

    Parameters:
        page: is opened afterwards.
        count: the number of endpoints.

    """

    def __init__(self, page: Page, count: int) -> None:
        self.rows = {number: row(number) for number in range(count)}
        self.asked: list[dict[str, Any]] = []
        self.connections: list[WebSocketRoute] = []
        self.is_open = False
        self.is_known = True
        page.route("**/mljupyter/workspaces*", lambda route: route.fulfill(json=self._workspaces()))
        page.route_web_socket("**/mljupyter/channel*", self._connected)

    def set(self, *changed: int, state: str) -> None:
        """Give endpoints another state, and tell the page if it is connected."""
        for number in changed:
            self.rows[number] = row(number, state)
        self.tell(whole=False, rows=[self.rows[number] for number in changed])

    def tell_all(self) -> None:
        """Tell of all endpoints, or of none while the server does not know them yet."""
        rows = list(self.rows.values()) if self.is_known else []
        self.tell(whole=True, known=self.is_known, gone=False, problems=[], rows=rows)

    def tell(self, **message: Any) -> None:
        """Send a message about the endpoints, if the page is connected."""
        if self.is_open:
            self.connections[-1].send(json.dumps({"is": "endpoints", "workspace": WORKSPACE, **message}))

    def lose(self) -> None:
        """End the connection, as a server that dies."""
        self.is_open = False
        self.connections[-1].close(code=1011)

    def times(self, word: str) -> int:
        """Return how often the page has asked for something."""
        return sum(message["do"] == word for message in self.asked)

    def _workspaces(self) -> dict[str, Any]:
        return {"names": [WORKSPACE, EMPTY], "default": WORKSPACE}

    def _connected(self, connection: WebSocketRoute) -> None:
        self.connections.append(connection)
        self.is_open = True
        connection.on_message(self._asked)
        connection.on_close(lambda *_: self._closed(connection))

    def _closed(self, connection: WebSocketRoute) -> None:
        if connection is self.connections[-1]:
            self.is_open = False

    def _asked(self, text: str | bytes) -> None:
        message = json.loads(text)
        self.asked.append(message)
        if message["do"] == "follow":
            self.tell_all()
