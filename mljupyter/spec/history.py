"""The history of an endpoint: each change with its time and user."""

from __future__ import annotations

from datetime import datetime

from mljupyter.spec.document import Document
from mljupyter.spec.endpoint import EndpointSpec


class HistoryEntry(Document):
    """One change. `changes` are lines for people; `spec` is the spec of the endpoint after it."""

    number: int
    time: datetime
    user: str
    action: str
    changes: list[str] = []
    spec: EndpointSpec

    def text(self) -> str:
        """Return the entry as lines: number, time, user and action, then the changes."""
        head = f"{self.number}  {self.time:%Y-%m-%d %H:%M:%S}  {self.user or 'unknown'}  {self.action}"
        return "\n".join([head, *(f"   {line}" for line in self.changes)])

    def __repr__(self) -> str:
        return self.text()  # without the spec, whose environment variables may contain secrets
