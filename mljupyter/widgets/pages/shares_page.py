"""Page of the traffic wizard for the shares; the default version gets the rest."""

from __future__ import annotations

from typing import Any

from mljupyter.notebook.endpoint_commands import change_traffic
from mljupyter.notebook.options.command_line import quoted, values_of
from mljupyter.notebook.options.option import Option
from mljupyter.outside import whole
from mljupyter.spec import RolloutPlan, SpecError
from mljupyter.widgets import fields
from mljupyter.widgets.fields import Choice, Field
from mljupyter.widgets.pages.endpoint_pages import Chosen
from mljupyter.widgets.wizard import Page

AT_ONCE, STEPWISE = "at-once", "stepwise"
_STEPS = Option("steps", "increasing shares in percent; the last one is kept", default="5,25,100")
_EVERY = Option("every", "minimum duration of a step", kind="duration", default="1m")
_GUARD = Option("guard", "such as p95<200ms, errors<1%; if it is broken, the previous shares are restored")


class SharesPage(Page):
    """Page for the shares of all versions, at once or step by step."""

    name = "Shares"
    heading = "Who gets which part of the requests?"

    def __init__(self, chosen: Chosen) -> None:
        self.chosen = chosen
        self._looked_at = ""
        self._way = AT_ONCE
        self._version = ""
        self._typed: dict[str, Any] = {}
        self._own: dict[str, int] = {}
        self._lowered = ""

    def enter(self) -> None:
        """Read the endpoint; shares that were chosen before stay."""
        self.chosen.look()
        if self._looked_at != self.chosen.name:
            self._looked_at, self._own, self._version = self.chosen.name, {}, ""
        if not self._version and self._treatments:
            self._version = self._treatments[0]

    @property
    def about(self) -> str:  # type: ignore[override]
        """Return a sentence about the version that gets the rest."""
        if self._spec is None:
            return self.chosen.missing
        return f"{self._spec.default_version!r} is the default version: it gets the rest."

    @property
    def now(self) -> dict[str, int]:
        """The present shares; that of the default version is the rest."""
        if self._spec is None:
            return {}
        shares = {name: self._spec.versions[name].traffic_percentile or 0 for name in self._treatments}
        return {self._spec.default_version: 100 - sum(shares.values()), **shares}

    @property
    def stepwise(self) -> bool:
        """Whether the change is made in steps."""
        return self._way == STEPWISE

    @property
    def shares(self) -> dict[str, int]:
        """The new shares."""
        if self._spec is None:
            return {}
        if self.stepwise:
            return self._after_rollout()
        shares = {name: self._own.get(name, self.now[name]) for name in self._treatments}
        return {self._spec.default_version: 100 - sum(shares.values()), **shares}

    @property
    def line(self) -> str:
        """The equivalent line of a magic."""
        name = quoted(self.chosen.name)
        if not self.stepwise:
            return " ".join([f"%traffic {name}", *(f"{version}={share}" for version, share in self.shares.items())])
        words = [f"%rollout {name} {self._version}"]
        for option in (_STEPS, _EVERY, _GUARD):
            text = str(self._typed.get(option.key) or option.default or "").replace(" ", "")
            words += [f"--{option.name} {quoted(text)}"] if text else []
        return " ".join(words)

    def apply(self) -> None:
        """Set the shares and wait for the router, or start the rollout."""
        if self.stepwise:
            values = values_of((_STEPS, _EVERY, _GUARD), self._typed)[0]
            self.chosen.endpoint().rollout(self._version, self._steps(), values["every"], values["guard"])
            return

        words = [f"{version}={share}" for version, share in self.shares.items()]
        change_traffic(self.chosen.session.workspace(), self.chosen.name, words)

    def fields(self) -> list[Field]:
        """Return the choice between both ways, and the fields of the chosen one."""
        if self._spec is None:
            return []
        ways = [
            Choice(AT_ONCE, "At once", "The router uses the new shares within a second; no request is lost."),
            Choice(STEPWISE, "Step by step", "The share of a version grows in steps while a guard holds."),
        ]
        found = [fields.cards("way", "How", self._way, ways)]
        if not self.stepwise:
            default = self._spec.default_version
            return [*found, fields.split("shares", "Shares in percent", self.shares, default, about=self._lowered)]
        versions = [Choice(name, f"{name} ({self.now[name]} % now)") for name in self._treatments]
        return [
            *found,
            fields.choice("version", "Version", self._version, versions, about="Its share grows in steps."),
            fields.of_option(_STEPS, self._typed.get("steps"), "Steps, in percent"),
            fields.of_option(_EVERY, self._typed.get("every"), "Duration of a step"),
            fields.of_option(_GUARD, self._typed.get("guard"), "Guard"),
        ]

    def change(self, key: str, value: Any) -> None:
        """Set a share, limited by the other versions, or another value."""
        if key == "way":
            self._way = str(value)
        elif key == "version":
            self._version = str(value)
        elif key == "shares" and isinstance(value, dict) and value.get("name") in self._treatments:
            name = str(value["name"])
            others = sum(share for other, share in self.shares.items() if other in self._treatments and other != name)
            wanted, most = fields.percent_of(value), 100 - others
            self._own[name] = max(0, min(wanted, most))
            self._lowered = f"{name} cannot get {wanted} %: the others have {others} %." if wanted > most else ""
        elif key in ("steps", "every", "guard"):
            self._typed[key] = value

    def errors(self) -> dict[str, str]:
        """Check the input for a rollout, by the rules of its document."""
        if not self.stepwise:
            same = self._spec is not None and self.shares == self.now
            return {"shares": "These are the shares now: change one."} if same else {}
        wrong = values_of((_STEPS, _EVERY, _GUARD), self._typed)[1]
        return {**_broken_rules(self._version, self._typed, self._steps()), **wrong}

    def blocked(self) -> str:
        """Return what is missing."""
        if self._spec is None:
            return "There is no such endpoint."
        rollout = self.chosen.record.rollout if self.chosen.record is not None else None
        if rollout is not None and rollout.active:
            name = self.chosen.name
            return (
                f"A rollout is under way: {rollout}. Wait for it (%rollout {name}), or stop it: %rollout {name} --abort"
            )
        return "" if self._treatments else "It has one version: there is no traffic to split."

    @property
    def _spec(self) -> Any:
        return self.chosen.record.spec if self.chosen.record is not None else None

    @property
    def _treatments(self) -> list[str]:
        if self._spec is None:
            return []
        return sorted(name for name in self._spec.versions if name != self._spec.default_version)

    def _steps(self) -> list[int]:
        text = str(self._typed.get("steps") or _STEPS.default)
        return [-1 if (step := whole(part)) is None else step for part in text.replace(" ", "").split(",")]

    def _after_rollout(self) -> dict[str, int]:
        """Return the shares at the last step, taken from the default version first, then from the others."""
        wanted = min(max(self._steps()[-1], 0), 100)
        others = {name: share for name, share in self.now.items() if name != self._version}
        default = self._spec.default_version
        left = 100 - wanted
        rest = sum(share for name, share in others.items() if name != default)
        if rest <= left:
            shares = {name: share for name, share in others.items() if name != default}
        else:
            shares = {name: share * left // rest for name, share in others.items() if name != default}
        shares[self._version] = wanted
        return {default: 100 - sum(shares.values()), **dict(sorted(shares.items()))}


def _broken_rules(version: str, typed: dict[str, Any], steps: list[int]) -> dict[str, str]:
    """Return the rules that the fields of a rollout break, each by its field."""
    found = {}
    for key, document in (
        ("steps", {"version": version, "steps": steps, "everySeconds": 1}),
        ("guard", {"version": version, "steps": [100], "everySeconds": 1, "guard": typed.get("guard") or None}),
    ):
        try:
            RolloutPlan.parse(document)
        except SpecError as error:
            found[key] = error.message
    return found
