"""Traffic wizard: new shares, at once or in a rollout with a guard."""

from __future__ import annotations

from typing import Any

from mljupyter.notebook.session import Session
from mljupyter.widgets import fields
from mljupyter.widgets.fields import Field
from mljupyter.widgets.pages.endpoint_pages import Action, Chosen, EndpointPage
from mljupyter.widgets.pages.shares_page import SharesPage
from mljupyter.widgets.wizard import Page, Wizard

_STATES = {"": "waiting", "running": "running", "ok": "ok", "failed": "failed"}


class ApplyPage(Page):
    """Page with the present and new shares, the line, and its execution."""

    name = "Review"
    heading = "Is this what you want?"
    next_label = ""

    def __init__(self, shares: SharesPage) -> None:
        self._shares = shares
        self._chosen = shares.chosen

    def enter(self) -> None:
        """Start again."""
        self._action = Action(self.refresh)

    @property
    def about(self) -> str:  # type: ignore[override]
        """Return that nothing has been done, until it is."""
        so_far = "" if self._action.state else "Nothing has been done so far. "
        return f"{so_far}The line below does the same in every notebook."

    def fields(self) -> list[Field]:
        """Return present and new shares, line and progress."""
        now = self._shares.now
        rows = [[name, f"{now.get(name, 0)} %", f"{share} %"] for name, share in self._shares.shares.items()]
        then = "In the end" if self._shares.stepwise else "Then"
        found = [
            fields.table("plan", f"Requests of {self._chosen.name!r}", ["Version", "Now", then], rows),
            fields.code("line", "Equivalent magic", self._shares.line),
        ]
        if self._action.state:
            said = self._said() if self._action.state == "ok" else ""
            name = "begin the rollout" if self._shares.stepwise else "set the shares"
            found.append(fields.stages("stages", "Progress", [(name, _STATES[self._action.state], said)]))
        if self._action.problem:
            found.append(fields.code("problem", "What went wrong", self._action.problem))
        return found

    def buttons(self) -> list[dict[str, Any]]:
        """Return the buttons that insert and run the line."""
        running = self._action.state == "running"
        reason = "It is under way." if running else "It is done." if self._action.state == "ok" else ""
        label = "Begin now" if self._shares.stepwise else "Apply now"
        return [
            {"key": "insert", "label": "Insert the line below", "inserts": [self._shares.line]},
            {"key": "apply", "label": label, "primary": True, "reason": reason},
        ]

    def press(self, button: str) -> None:
        """Set the shares, or start the rollout."""
        if button == "apply" and self._action.state != "ok":
            self._action.start(self._shares.apply)

    def _said(self) -> str:
        if self._shares.stepwise:
            return f"follow it with %rollout {self._chosen.name}; it continues without this notebook"
        return "the router uses the new shares"


class TrafficWizard(Wizard):
    """Wizard that splits the requests of an endpoint between its versions.

    Parameters:
        session: has the current workspace.
        name: the endpoint; empty to be asked for it.

    """

    def __init__(self, session: Session, name: str = "") -> None:
        chosen = Chosen(session, name)
        shares = SharesPage(chosen)
        pages = [*([] if name else [EndpointPage(chosen)]), shares, ApplyPage(shares)]
        reopen = f"%traffic {name} --wizard" if name else "%traffic"
        super().__init__(f"Traffic of {name}" if name else "Shift traffic", pages, reopen=reopen)
