"""Page of the deploy wizard for the compute target, with a check of each target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mljupyter.targets.base import Target
from mljupyter.targets.catalog import default_name
from mljupyter.widgets import fields
from mljupyter.widgets.fields import Choice, Field
from mljupyter.widgets.pages.deploy_pages import DraftPage
from mljupyter.widgets.pages.target_checks import Look, TargetChecks

LOOKING = "Checking whether it can be used …"


def looks(targets: Mapping[str, Target]) -> dict[str, Look]:
    """Return the check function of each target."""
    return {name: target.availability for name, target in targets.items()}


def about(target: Target) -> str:
    """Return a sentence for people who choose a target."""
    return target.about or f"A target of type {target.type}."


def as_choice(checks: TargetChecks, name: str, text: str, reason: str = "") -> Choice:
    """Return a target as a choice with its check; `reason` disables it regardless of the check."""
    check = checks.of(name)
    said = LOOKING if check.state == "running" else text
    return Choice(name, name, said, check.state, reason or check.reason)


class TargetPage(DraftPage):
    """The page for the compute target: each one is checked while the page is shown."""

    name = "Where"
    heading = "Where should it run?"
    about = "The same model, script and settings run on every target; you can move later."
    asks = ("to",)

    def enter(self) -> None:
        """Start to check all targets."""
        there = self.draft.session.targets()
        self._targets = {name: target for name, target in there.items() if not target.stands_for}
        self._mapped = {place: [name for name in there if there[name].stands_for == place] for place in self._targets}
        self._present = self.draft.endpoint()
        self._checks = TargetChecks(self.refresh)
        self._checks.look(looks(self._targets))

    def fields(self) -> list[Field]:
        """Return a card for each target."""
        offered = [as_choice(self._checks, name, self._about(name), self._fixed(name)) for name in self._targets]
        return [fields.cards("to", "Compute target", self._chosen, offered)]

    def errors(self) -> dict[str, str]:
        """Refuse a target that cannot be used now."""
        chosen = self._chosen
        problem = self._fixed(chosen) or self._checks.of(chosen).reason
        return {"to": problem} if problem else super().errors()

    def blocked(self) -> str:
        """Return that the check of the target is still running."""
        chosen = self._chosen
        if chosen in self._targets and self._checks.of(chosen).state == "running":
            return f"Still looking whether {chosen!r} can be used: this takes a moment."
        return ""

    def buttons(self) -> list[dict[str, Any]]:
        """Return the button that repeats the check."""
        reason = "The check is running." if self._checks.looking else ""
        return [{"key": "check", "label": "Check again", "reason": reason}]

    def press(self, button: str) -> None:
        """Look again."""
        self._checks.look(looks(self._targets))

    @property
    def _chosen(self) -> str:
        """The target that was chosen; otherwise that of the existing endpoint, or the default one."""
        usual = self._present.spec.compute_target if self._present is not None else default_name()
        return str(self.draft.typed.get("to") or usual)

    def _about(self, name: str) -> str:
        mapped = ", ".join(self._mapped[name])
        return f"{about(self._targets[name])}{f' {mapped} of old notebooks is mapped to it.' if mapped else ''}"

    def _fixed(self, name: str) -> str:
        """Return the reason why an existing endpoint cannot move to a target."""
        spec = self._present.spec if self._present is not None else None
        if spec is None or spec.kind != "AKSENDPOINT" or name == spec.compute_target:
            return ""
        return f"{spec.name!r} runs on {spec.compute_target}, and so do all its versions."
