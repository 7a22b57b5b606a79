"""ViewComm: the connection of a widget that lives in the server to the page that shows it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from comm.base_comm import BaseComm

Send = Callable[[dict[str, Any]], None]


class ViewComm(BaseComm):
    """Takes the place of the connection to a kernel. What the widget sends while no page shows it is dropped.

    A page that shows the widget again gets its whole state, so nothing is missing then.
    """

    def __init__(self) -> None:
        self._send: Send | None = None
        self._sending = threading.Lock()
        super().__init__(target_name="jupyter.widget")

    def lead_to(self, send: Send | None) -> None:
        """Send what the widget says to a page from now on; None drops it. `send` is called on any thread."""
        with self._sending:
            self._send = send

    def publish_msg(
        self,
        msg_type: str,
        data: Any = None,
        metadata: Any = None,
        buffers: Any = None,
        **keys: Any,
    ) -> None:
        """Send an update of the widget's traits, or a message of its own."""
        with self._sending:
            send = self._send
        method = (data or {}).get("method") if msg_type == "comm_msg" else None
        if send is None or method is None:
            return
        if method == "update":
            send({"is": "update", "state": _public(data["state"])})
        elif method == "custom":
            send({"is": "message", "content": data["content"]})

    def receive(self, content: Any) -> None:
        """Give a message of the page to the widget."""
        self.handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})


def _public(state: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in state.items() if not name.startswith("_")}
