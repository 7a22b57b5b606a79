"""Wizard that compares the versions of an endpoint, and promotes one or rolls back."""

from __future__ import annotations

from typing import Any

from mljupyter.errors import said_of
from mljupyter.notebook.options.command_line import quoted
from mljupyter.notebook.session import Session
from mljupyter.notebook.views.comparison import COLUMNS, compared
from mljupyter.widgets import fields
from mljupyter.widgets.fields import Choice, Field
from mljupyter.widgets.pages.endpoint_pages import Action, Chosen, EndpointPage
from mljupyter.widgets.wizard import Page, Wizard

_STATES = {"": "waiting", "running": "running", "ok": "ok", "failed": "failed"}


class ComparePage(Page):
    """Page with the table, and the choice of a version."""

    name = "Compare"
    heading = "Which version is better?"
    next_label = "Promote it"

    def __init__(self, chosen: Chosen) -> None:
        self.chosen = chosen
        self._rows: list[list[str]] = []
        self._version = ""
        self._action = Action(self.refresh)

    def enter(self) -> None:
        """Read the versions."""
        self._look()
        self._action = Action(self._done)

    @property
    def version(self) -> str:
        """The chosen version."""
        return self._version

    @property
    def about(self) -> str:  # type: ignore[override]
        """Return a sentence about the comparison."""
        if self._spec is None:
            return self.chosen.missing
        return f"The control of {self.chosen.name!r} is {self._spec.control!r}; the others are treatments."

    def fields(self) -> list[Field]:
        """Return the table and the choice of a treatment."""
        if self._spec is None:
            return []
        found = [fields.table("versions", "Versions, over the last 15 minutes", COLUMNS, self._rows)]
        offered = [
            Choice(name, name, "", "", "It already has all requests." if self._has_all(name) else "")
            for name in sorted(self._spec.versions)
        ]
        found.append(fields.cards("version", "Version to promote", self._version, offered))
        if self._action.state:
            found.append(fields.stages("stages", "Progress", [("rolling back", _STATES[self._action.state], "")]))
        if self._action.problem:
            found.append(fields.code("problem", "What went wrong", self._action.problem))
        return found

    def change(self, key: str, value: Any) -> None:
        """Set the version."""
        self._version = str(value)

    def errors(self) -> dict[str, str]:
        """Require a version."""
        if self._spec is not None and self._version in self._spec.versions and not self._has_all(self._version):
            return {}
        return {"version": "Choose the version that will get all requests."}

    def blocked(self) -> str:
        """Return that there is nothing to promote."""
        return "" if self._spec is not None else "There is no such endpoint."

    def buttons(self) -> list[dict[str, Any]]:
        """Return the buttons for a new comparison and for a rollback."""
        found = [{"key": "look", "label": "Refresh"}]
        if self._spec is not None:
            reason = "It is under way." if self._action.state == "running" else ""
            found.append({"key": "rollback", "label": "Undo the last change", "reason": reason})
        return found

    def press(self, button: str) -> None:
        """Compare again, or restore the endpoint to its state before the last change."""
        if button == "rollback":
            self._action.start(self.chosen.endpoint().rollback)
        self._look()

    @property
    def _spec(self) -> Any:
        return self.chosen.record.spec if self.chosen.record is not None else None

    def _has_all(self, name: str) -> bool:
        others = [version.traffic_percentile for other, version in self._spec.versions.items() if other != name]
        return bool(name == self._spec.default_version and not any(others))

    def _look(self) -> None:
        self.chosen.look()
        if self.chosen.record is not None:
            self._rows = compared(self.chosen.session.workspace(), self.chosen.record)

    def _done(self) -> None:
        try:
            self._look()
        except Exception as error:  # noqa: BLE001 (shown to the person who waits)
            self._action.problem = self._action.problem or said_of(error)
        self.refresh()


class PromotePage(Page):
    """Page with the line, and its execution."""

    name = "Promote"
    heading = "Give it all requests?"
    about = "It becomes the default and the control version once it is ready; the others stay, without any requests."
    next_label = ""

    def __init__(self, compare: ComparePage) -> None:
        self._compare = compare

    def enter(self) -> None:
        """Start again."""
        self._action = Action(self.refresh)

    @property
    def code(self) -> str:
        """The code that does it."""
        name, version = self._compare.chosen.name, self._compare.version
        return f"%traffic {quoted(name)} --promote {quoted(version)}"

    def fields(self) -> list[Field]:
        """Return changes, code and progress."""
        endpoint, version = self._compare.chosen.name, self._compare.version
        found = [
            fields.summary("plan", f"Endpoint {endpoint!r}", [("All requests", version), ("Control", version)]),
            fields.code("line", "Equivalent magic", self.code),
        ]
        if self._action.state:
            found.append(fields.stages("stages", "Progress", [("promote", _STATES[self._action.state], "")]))
        if self._action.problem:
            found.append(fields.code("problem", "What went wrong", self._action.problem))
        return found

    def buttons(self) -> list[dict[str, Any]]:
        """Return the buttons that insert and run the code."""
        reason = {"running": "It is under way.", "ok": "It is done."}.get(self._action.state, "")
        return [
            {"key": "insert", "label": "Insert the code below", "inserts": [self.code]},
            {"key": "promote", "label": "Promote now", "primary": True, "reason": reason},
        ]

    def press(self, button: str) -> None:
        """Promote."""
        if button == "promote" and self._action.state != "ok":
            self._action.start(self._promote)

    def _promote(self) -> None:
        endpoint = self._compare.chosen.endpoint()
        endpoint.promote(self._compare.version)
        endpoint.wait_for_deployment()


class CompareWizard(Wizard):
    """Wizard that compares the versions of an endpoint, and promotes one.

    Parameters:
        session: has the current workspace.
        name: the endpoint; empty to be asked for it.

    """

    def __init__(self, session: Session, name: str = "") -> None:
        chosen = Chosen(session, name)
        compare = ComparePage(chosen)
        pages = [*([] if name else [EndpointPage(chosen)]), compare, PromotePage(compare)]
        title = f"Versions of {name}" if name else "Compare versions"
        super().__init__(title, pages, f"%mlj compare {name}".rstrip())
