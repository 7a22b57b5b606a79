"""Pages that several wizards use: the choice of an endpoint with versions, and the progress of an action."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mljupyter.core.webservice import AksEndpoint
from mljupyter.engine.endpoints.unknown_endpoint import unknown_endpoint
from mljupyter.errors import said_of
from mljupyter.notebook.session import Session
from mljupyter.spec import EndpointRecord
from mljupyter.widgets import fields
from mljupyter.widgets.fields import Choice, Field
from mljupyter.widgets.wizard import Page

NO_ENDPOINT = "There is no endpoint with versions yet. Make one: %deploy NAME --version VERSION --model … --score …"
ONE_VERSION = "It has one version. Add another one: %deploy {name} --version VERSION --model … --score …"


@dataclass
class Chosen:
    """The endpoint of a wizard.

    Parameters:
        session: has the workspace.
        name: the endpoint's name; empty until one is chosen.
        record: its record as of the last reading.

    """

    session: Session
    name: str = ""
    record: EndpointRecord | None = field(default=None, repr=False)
    _known: tuple[str, ...] = field(default=(), repr=False)

    def look(self) -> None:
        """Read the record again."""
        records = {record.spec.name: record for record in self.records()}
        self.record, self._known = records.get(self.name), tuple(records)

    def records(self) -> Sequence[EndpointRecord]:
        """Return the endpoints of the workspace; none without a workspace."""
        workspace = self.session.existing()
        return [] if workspace is None else workspace.endpoint_records()

    @property
    def missing(self) -> str:
        """The sentence for a name that no endpoint has, as of the last reading."""
        return unknown_endpoint(self.name, self._known)

    def endpoint(self) -> AksEndpoint:
        """Return the endpoint as an SDK object."""
        return AksEndpoint(self.session.workspace(), self.name)


class EndpointPage(Page):
    """Which endpoint."""

    name = "Endpoint"
    heading = "Which endpoint?"
    about = "One with several versions."

    def __init__(self, chosen: Chosen) -> None:
        self.chosen = chosen
        self._records: list[EndpointRecord] = []

    def enter(self) -> None:
        """Read the existing endpoints."""
        self._records = [record for record in self.chosen.records() if record.spec.kind == "AKSENDPOINT"]
        free = [record.spec.name for record in self._records if len(record.spec.versions) > 1]
        if not self.chosen.name and len(free) == 1:
            self.chosen.name = free[0]

    def fields(self) -> list[Field]:
        """Return a card for each endpoint."""
        offered = [
            Choice(
                record.spec.name,
                record.spec.name,
                f"{', '.join(sorted(record.spec.versions))}: {record.status.state}",
                reason=ONE_VERSION.format(name=record.spec.name) if len(record.spec.versions) < 2 else "",
            )
            for record in self._records
        ]
        return [fields.cards("endpoint", "Endpoint", self.chosen.name, offered)]

    def change(self, key: str, value: Any) -> None:
        """Set the endpoint."""
        self.chosen.name = str(value)

    def errors(self) -> dict[str, str]:
        """Require an endpoint."""
        there = {record.spec.name: record for record in self._records}
        if self.chosen.name not in there:
            return {"endpoint": "Choose one."}
        if len(there[self.chosen.name].spec.versions) < 2:
            return {"endpoint": ONE_VERSION.format(name=self.chosen.name)}
        return {}

    def blocked(self) -> str:
        """Return how to create an endpoint if there is none."""
        return "" if self._records else NO_ENDPOINT


@dataclass
class Action:
    """An operation of a page on its own thread, and its outcome.

    Parameters:
        changed: called, from any thread, when its state changes.

    """

    changed: Callable[[], None]
    state: str = ""
    problem: str = ""

    def start(self, work: Callable[[], object]) -> None:
        """Start it, unless it is running."""
        import threading

        if self.state != "running":
            self.state, self.problem = "running", ""
            threading.Thread(target=self._run, args=(work,), name="mljupyter wizard", daemon=True).start()

    def _run(self, work: Callable[[], object]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 (shown to the person who waits)
            self.problem = said_of(error)
        self.state = "failed" if self.problem else "ok"
        self.changed()
