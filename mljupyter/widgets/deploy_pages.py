"""The pages of the deploy wizard that ask: model, where, size, access, traffic."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mljupyter.frontend.deployment_options import DEPLOYMENT_OPTIONS
from mljupyter.frontend.line import values_of
from mljupyter.frontend.options import Option
from mljupyter.widgets import fields
from mljupyter.widgets.fields import Choice, Field
from mljupyter.widgets.wizard import Page

if TYPE_CHECKING:
    from mljupyter.frontend.session import Session
    from mljupyter.spec import EndpointRecord

_OPTIONS = {option.key: option for option in DEPLOYMENT_OPTIONS}


@dataclass
class Draft:
    """A deployment while it is being described.

    Parameters:
        session: knows the workspace.
        namespace: the user's variables.
        typed: what was typed, by option of `DEPLOYMENT_OPTIONS`.
        project: options for which the project has another default: the line says them in any case.

    """

    session: Session
    namespace: Mapping[str, Any]
    typed: dict[str, Any] = field(default_factory=dict)
    project: frozenset[str] = frozenset()

    def errors(self, keys: Iterable[str]) -> dict[str, str]:
        """Return what is wrong with some of the options."""
        return values_of([_OPTIONS[key] for key in keys], self.typed)[1]

    def endpoint(self) -> EndpointRecord | None:
        """Return the endpoint of the name typed, if there is one already."""
        name = str(self.typed.get("name", "")).strip()
        return next(
            (record for record in self.session.workspace().endpoint_records() if record.spec.name == name), None
        )


class DraftPage(Page):
    """A page that asks for some of the options.

    Attributes:
        asks: the options, by key.

    """

    asks: tuple[str, ...] = ()

    def __init__(self, draft: Draft) -> None:
        self.draft = draft

    def change(self, key: str, value: Any) -> None:
        """Keep what was typed, as it was typed."""
        self.draft.typed[key] = value

    def errors(self) -> dict[str, str]:
        """Return what breaks an option's rule."""
        return self.draft.errors(self.asks)

    def field(self, key: str, label: str = "") -> Field:
        """Return the field of an option."""
        return fields.of_option(_OPTIONS[key], self.draft.typed.get(key), label)


class TargetPage(DraftPage):
    """Where: each compute target with a look at whether it can be used now."""

    name = "Where"
    heading = "Where should it run?"
    about = "The same model, script and settings run on every target; you can move later."
    asks = ("to",)
    _about = {
        "local": "Processes on this machine: up in about a second.",
        "docker": "Containers of a Docker engine, from an image that is built once.",
    }

    def enter(self) -> None:
        """Look at every target."""
        found = self.draft.session.workspace().compute_targets
        self._targets = {name: target.provisioning_errors for name, target in found.items()}
        self.draft.typed.setdefault("to", "local")

    def fields(self) -> list[Field]:
        """Return a card for each target."""
        present = self.draft.endpoint()
        offered = []
        for name, problem in self._targets.items():
            reason = problem or ""
            if present is not None and present.spec.kind == "AKSENDPOINT" and name != present.spec.compute_target:
                reason = f"{present.spec.name!r} runs on {present.spec.compute_target}, and so do all its versions."
            state = "failed" if problem else "ok"
            offered.append(Choice(name, name, self._about.get(name, ""), state, reason))
        return [fields.cards("to", "Compute target", self.draft.typed.get("to"), offered)]

    def errors(self) -> dict[str, str]:
        """Refuse a target that cannot be used now."""
        problem = self._targets.get(str(self.draft.typed.get("to")))
        return {"to": problem} if problem else super().errors()


class SizePage(DraftPage):
    """How large, how many, with the advice of the documented formula."""

    name = "Size"
    heading = "How large, and how many?"
    about = "What you leave empty is as usual. The advice helps to find a number of replicas for the load you expect."
    asks = ("replicas", "cpu", "memory", "max_concurrent_requests", "max_queue_wait_ms")
    _load = (
        Option("rate", "requests a second at the busiest time", kind="number", minimum=0),
        Option("duration", "milliseconds that one request takes", kind="number", minimum=0),
    )

    def __init__(self, draft: Draft) -> None:
        super().__init__(draft)
        self._expected: dict[str, Any] = {}

    def change(self, key: str, value: Any) -> None:
        """Keep an answer; the expected load is no part of the deployment."""
        kept = self._expected if key in ("rate", "duration") else self.draft.typed
        kept[key] = value

    def fields(self) -> list[Field]:
        """Return size and number, and the advice."""
        advice = self._advice()
        return [
            fields.of_option(self._load[0], self._expected.get("rate"), "Expected requests per second"),
            {
                **fields.of_option(self._load[1], self._expected.get("duration"), "Time of one request, in ms"),
                "help": advice or "With both, the number of replicas that keeps them 70 % busy is shown here.",
            },
            self.field("replicas", "Replicas"),
            self.field("cpu", "CPU cores of a replica"),
            self.field("memory", "Memory of a replica, in GB"),
            self.field("max_concurrent_requests", "Requests a replica runs at a time"),
            self.field("max_queue_wait_ms", "Longest wait for a free replica, in ms"),
        ]

    def errors(self) -> dict[str, str]:
        """Check the expected load too."""
        return {**super().errors(), **values_of(self._load, self._expected)[1]}

    def _advice(self) -> str:
        from mljupyter.engine.autoscaling import replicas_needed

        load, wrong = values_of(self._load, self._expected)
        concurrent, wrong_too = values_of([_OPTIONS["max_concurrent_requests"]], self.draft.typed)
        if wrong or wrong_too or load["rate"] is None or load["duration"] is None:
            return ""
        at_once = concurrent["max_concurrent_requests"] or 1
        count = replicas_needed(load["rate"], load["duration"] / 1000, at_once)
        return f"{count} {'replica' if count == 1 else 'replicas'} would be 70 % busy with that."


class AccessPage(DraftPage):
    """Who may score."""

    name = "Access"
    heading = "Who may send requests?"
    about = "A key is sent in the Authorization header. You can look at keys and make new ones at any time."
    asks = ("kind", "auth", "port")

    def fields(self) -> list[Field]:
        """Return the kind of web service and its authentication."""
        kinds = [
            Choice("aks", "As on a cluster", "Keys, several replicas and versions; behind the shared address."),
            Choice("aci", "As a container instance", "One replica; open unless you ask for a key."),
            Choice("local", "For development", "A port of its own on this machine; open, can be reloaded."),
        ]
        kind = self.draft.typed.get("kind") or "aks"
        found = [fields.cards("kind", "Kind of web service", kind, kinds)]
        if kind == "local":
            found.append(self.field("port", "Port"))
        else:
            ways = [Choice("key", "with a key"), Choice("none", "without")]
            usual = "key" if kind == "aks" else "none"
            found.append(fields.choice("auth", "Authentication", self.draft.typed.get("auth") or usual, ways))
        return found

    def change(self, key: str, value: Any) -> None:
        """Forget what the other kind does not have."""
        super().change(key, value)
        if key == "kind":
            for other in ("auth", "port", *(SizePage.asks if value == "local" else ())):
                self.draft.typed.pop(other, None)


class TrafficPage(DraftPage):
    """The share of a new version of an endpoint that is there already."""

    name = "Traffic"
    heading = "Which part of the requests should it get?"
    asks = ("version", "traffic")

    def enter(self) -> None:
        """Look whether there is something to share with."""
        present = self.draft.endpoint()
        self._present = present if present is not None and present.spec.kind == "AKSENDPOINT" else None
        self._taken = present is not None and self._present is None
        if self._present is not None:
            number = len(self._present.spec.versions) + 1
            self.draft.typed.setdefault("version", f"version-{number}")
            self.draft.typed.setdefault("traffic", "0")

    @property
    def about(self) -> str:  # type: ignore[override]
        """Say what is there."""
        if self._present is not None:
            there = ", ".join(self._present.spec.versions)
            return f"{self._present.spec.name!r} has the versions {there}. A new one can start with no traffic at all."
        if self._taken:
            return "An endpoint of this name is there: it is updated, and keeps its address and its keys."
        return "A new endpoint sends everything to its first version. With a version's name it can have others later."

    def fields(self) -> list[Field]:
        """Return the version's name, and its share where others have the rest."""
        if self._taken:
            return []
        found = [self.field("version", "Name of the version")]
        if self._present is None:
            return found
        spec = self._present.spec
        mine = str(self.draft.typed.get("version", ""))
        shares = {name: version.traffic_percentile or 0 for name, version in spec.versions.items() if name != mine}
        asked = values_of([_OPTIONS["traffic"]], self.draft.typed)[0].get("traffic") or 0
        if mine == spec.default_version:
            return found
        others = sum(share for name, share in shares.items() if name != spec.default_version)
        percent = max(0, min(asked, 100 - others))
        shares[spec.default_version] = 100 - others - percent
        percentiles = {**shares, mine or "new": percent}
        return [*found, fields.split("traffic", "Shares in percent", percentiles, spec.default_version, fixed=shares)]

    def change(self, key: str, value: Any) -> None:
        """Take the new version's share; those of the others are changed with %traffic."""
        if key == "traffic" and isinstance(value, dict):
            if value.get("name") != self.draft.typed.get("version"):
                return
            value = str(int(value.get("percent", 0)))
        super().change(key, value)
