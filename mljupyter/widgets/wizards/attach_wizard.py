"""Wizard for compute targets: their availability, attaching a cluster, and the Docker engine for containers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mljupyter.notebook.options.command_line import quoted
from mljupyter.notebook.session import Session
from mljupyter.notebook.sources.docker_engines import address_rule, current_engine, known_engines, problem_of
from mljupyter.widgets import fields
from mljupyter.widgets.fields import Choice, Field
from mljupyter.widgets.pages.cluster_pages import cluster_pages
from mljupyter.widgets.pages.endpoint_pages import Action
from mljupyter.widgets.pages.target_checks import TargetChecks
from mljupyter.widgets.pages.target_page import about, as_choice, looks
from mljupyter.widgets.wizard import Page, Wizard

OTHER = "other"
CLUSTER, ENGINE = "cluster", "engine"


class TargetsPage(Page):
    """Page with all targets and their checks, and the choice of what to do.

    Parameters:
        session: has the workspace.
        pages: the pages of each choice.

    """

    name = "Targets"
    heading = "Where can endpoints run?"

    def __init__(self, session: Session, pages: Mapping[str, list[Page]]) -> None:
        self.session = session
        self._pages = pages
        self._chosen = ENGINE
        self._checks = TargetChecks(lambda: self.refresh())

    @property
    def about(self) -> str:  # type: ignore[override]
        """Return a sentence about the checks."""
        return "Each target is being checked." if self._checks.looking else "A problem is shown with its solution."

    @property
    def next_label(self) -> str:  # type: ignore[override]
        """The label of the button to the pages of the choice."""
        return {CLUSTER: "Attach a cluster", ENGINE: "Choose a Docker engine"}[self._chosen]

    def following(self) -> list[Page]:
        """Return the pages of the choice."""
        return self._pages[self._chosen]

    def change(self, key: str, value: Any) -> None:
        """Set the choice."""
        if key == "next" and str(value) in self._pages:
            self._chosen = str(value)

    def enter(self) -> None:
        """Check all targets."""
        self._targets = self.session.targets()
        self._checks.look(looks(self._targets))

    def fields(self) -> list[Field]:
        """Return the check of each target, and what can be done."""
        said = {"running": "Checking …", "ok": "Can be used now."}
        rows = [
            (name, self._checks.of(name).state, self._checks.of(name).reason or said[self._checks.of(name).state])
            for name in self._targets
        ]
        known = [(name, about(target)) for name, target in self._targets.items()]
        offered = [
            Choice(ENGINE, "a Docker engine", "Containers run on it, and images are built there."),
            Choice(CLUSTER, "a Kubernetes cluster", "Replicas run as pods. A kubeconfig is all that is needed."),
        ]
        return [
            fields.stages("targets", "Targets", rows),
            fields.summary("about", "What they are", known),
            fields.cards("next", "Use another one", self._chosen, offered),
        ]

    def buttons(self) -> list[dict[str, Any]]:
        """Return the button that repeats the check."""
        reason = "The checks are running." if self._checks.looking else ""
        return [{"key": "check", "label": "Check again", "reason": reason}]

    def press(self, button: str) -> None:
        """Look again."""
        self.enter()


class EnginePage(Page):
    """Page for the Docker engine."""

    name = "Docker engine"
    heading = "Which Docker engine?"

    def __init__(self, session: Session) -> None:
        self.session = session
        self._checks = TargetChecks(lambda: self.refresh())
        self._chosen = ""
        self._own = ""

    def enter(self) -> None:
        """Check the known engines."""
        now = current_engine()
        self._now = now.address
        self._engines = {engine.address: engine for engine in [now, *known_engines()] if engine.address}
        self._chosen = self._chosen or self._now
        self._look()

    @property
    def about(self) -> str:  # type: ignore[override]
        """Return a sentence about the current engine."""
        now = f"Containers run on {self._now} now." if self._now else "No engine is chosen: Docker's default is used."
        return f"{now} Images are built there too."

    @property
    def address(self) -> str:
        """The chosen address."""
        return self._own.strip() if self._chosen == OTHER else self._chosen

    def fields(self) -> list[Field]:
        """Return the engines, and a field for another address."""
        offered = [
            as_choice(self._checks, engine.address, engine.name, engine.reason) for engine in self._engines.values()
        ]
        cards = [*offered, Choice(OTHER, "another one", "By its address: on this machine, or over SSH.")]
        found = [fields.cards("engine", "Engine", self._chosen, cards)]
        if self._chosen == OTHER:
            about = "It is checked when you continue."
            found.append(fields.text("address", "Address", self._own, about=about, placeholder="ssh://user@host"))
        return found

    def change(self, key: str, value: Any) -> None:
        """Set the engine, or an address."""
        if key == "engine":
            self._chosen = str(value)
        else:
            self._own = str(value)

    def errors(self) -> dict[str, str]:
        """Refuse a text that is not an address, and an engine that cannot be used."""
        if self._chosen == OTHER:
            wrong = address_rule(self.address)
            return {"address": wrong} if wrong else {}
        reason = self._engines[self._chosen].reason if self._chosen in self._engines else "Choose one."
        reason = reason or self._checks.of(self._chosen).reason
        return {"engine": reason} if reason else {}

    def blocked(self) -> str:
        """Return that the check of the engine is still running."""
        if self._chosen in self._engines and self._checks.of(self._chosen).state == "running":
            return "Still looking whether this engine answers: this takes a moment."
        return ""

    def buttons(self) -> list[dict[str, Any]]:
        """Return the button that repeats the check."""
        reason = "The checks are running." if self._checks.looking else ""
        return [{"key": "check", "label": "Check again", "reason": reason}]

    def press(self, button: str) -> None:
        """Look again."""
        self._look()

    def _look(self) -> None:
        self._checks.look({address: _look_at(address) for address in self._engines})


class AttachPage(Page):
    """The code that makes it the target's engine."""

    name = "Use it"
    heading = "Use this engine"
    next_label = ""

    def __init__(self, engine: EnginePage) -> None:
        self._engine = engine

    def enter(self) -> None:
        """Check the engine again: an address may have been typed."""
        self._problem: str | None = None
        self._action = Action(self.refresh)
        address = self._engine.address
        self._action.start(lambda: self._look(address))

    @property
    def about(self) -> str:  # type: ignore[override]
        """Return a sentence about the effect of the code."""
        return "Put the line near the top of the notebook: it applies to this kernel and to its later deployments."

    @property
    def code(self) -> str:
        """The line of the cell."""
        return f"%mlj attach {quoted(self._engine.address)}"

    def fields(self) -> list[Field]:
        """Return the check and the code."""
        state = {"running": "running", "ok": "failed" if self._problem else "ok"}.get(self._action.state, "failed")
        said = self._problem or self._action.problem or {"running": "looking …", "ok": "it answers"}.get(state, "")
        return [
            fields.stages("check", "Engine", [(self._engine.address, state, said)]),
            fields.code("line", "Equivalent magic", self.code),
        ]

    def buttons(self) -> list[dict[str, Any]]:
        """Return the button that inserts the code."""
        reason = "The check is running." if self._action.state == "running" else ""
        if self._problem or self._action.problem:
            reason = "It does not answer: see above, or go back and choose another engine."
        return [
            {
                "key": "insert",
                "label": "Insert the code below",
                "inserts": [self.code],
                "primary": True,
                "reason": reason,
            }
        ]

    def _look(self, address: str) -> None:
        self._problem = problem_of(address)


class AttachWizard(Wizard):
    """Wizard that shows the compute targets, attaches a cluster, and generates the code that chooses a Docker engine.

    Parameters:
        session: has the current workspace.

    """

    def __init__(self, session: Session) -> None:
        engine = EnginePage(session)
        pages = {ENGINE: [engine, AttachPage(engine)], CLUSTER: cluster_pages(session)}
        super().__init__("Compute targets", [TargetsPage(session, pages), *pages[ENGINE]], "%mlj attach")


def _look_at(address: str) -> Any:
    return lambda: problem_of(address)
