"""Page of the deploy wizard for size and number of replicas, with the number from the documented formula."""

from __future__ import annotations

from typing import Any

from mljupyter.engine.scaling.autoscaling import replicas_needed
from mljupyter.notebook.options.autoscaling import broken_rule
from mljupyter.notebook.options.command_line import values_of
from mljupyter.notebook.options.option import Option
from mljupyter.widgets import fields
from mljupyter.widgets.fields import Choice, Field
from mljupyter.widgets.pages.deploy_pages import OPTIONS, Draft, DraftPage

USUAL, FIXED, FOLLOWING = "usual", "fixed", "following"
_LOAD = (
    Option("rate", "requests per second at peak load", kind="number", minimum=0),
    Option("duration", "milliseconds that one request takes", kind="number", minimum=0),
)
_LEAST = Option("least", "replicas at any time", kind="integer", required=True)
_MOST = Option("most", "replicas at the busiest time", kind="integer", required=True)
_USUAL_UTILIZATION = 70
# Key, label, default of an AKS web service (Azure ML v1: AksWebservice.deploy_configuration), help.
_UTILIZATION = (
    "target_utilization",
    "Target utilisation, in percent",
    "70",
    "The percentage of the replicas that should be busy.",
)
_SETTINGS = (
    ("cpu", "CPU cores of a replica", "0.1", "0.5 or 500m is half a core."),
    ("memory", "Memory of a replica, in GB", "0.5", "512Mi is half a GB."),
    ("max_concurrent_requests", "Requests a replica runs at a time", "1", "More only if the script can."),
    ("max_queue_wait_ms", "Longest wait for a free replica, in ms", "500", "A request that waits longer gets 503."),
)


class SizePage(DraftPage):
    """Page for size and number of replicas, fixed or autoscaled."""

    name = "Size"
    heading = "How large, and how many?"
    asks = (
        "replicas",
        "autoscale",
        "target_utilization",
        "cpu",
        "memory",
        "max_concurrent_requests",
        "max_queue_wait_ms",
    )
    settings = ("replicas", "cpu", "memory", "max_concurrent_requests", "max_queue_wait_ms")

    def __init__(self, draft: Draft) -> None:
        super().__init__(draft)
        self._own: dict[str, Any] = {"least": "1", "most": "10"}
        self._exists = False

    @property
    def about(self) -> str:  # type: ignore[override]
        """Return sentences about empty fields and the expected load."""
        empty = (
            "Empty fields stay as they are; the page Review can return them to their defaults."
            if self._exists
            else "Empty fields have the default, shown in grey."
        )
        return f"{empty} Enter the expected load, and the number of replicas is computed."

    def enter(self) -> None:
        """Read the present values, which another page may have changed."""
        self._exists = self.draft.endpoint() is not None
        typed = self.draft.typed
        least, _, most = str(typed.get("autoscale") or "").partition(":")
        if most:
            self._own |= {"least": least, "most": most}
        self._way = FIXED if typed.get("replicas") else FOLLOWING if most else USUAL

    def change(self, key: str, value: Any) -> None:
        """Store a value; the expected load is not part of the deployment."""
        if key == "way":
            self._way = str(value)
        elif key in ("rate", "duration", "least", "most"):
            self._own[key] = value
        else:
            self.draft.typed[key] = value
        self._settle()

    def fields(self) -> list[Field]:
        """Return number, size and the recommendation."""
        ways = [
            Choice(USUAL, "As it is", "The endpoint keeps its number of replicas.")
            if self._exists
            else Choice(USUAL, "Default", "Between 1 and 10, depending on the load."),
            Choice(FIXED, "A fixed number", "The same at any time."),
            Choice(FOLLOWING, "Autoscaling", "Between your own minimum and maximum, with the load."),
        ]
        return [
            fields.of_option(_LOAD[0], self._own.get("rate"), "Expected requests per second"),
            {
                **fields.of_option(_LOAD[1], self._own.get("duration"), "Time of one request, in ms"),
                "help": self._advice() or "With both numbers, the required number of replicas is shown here.",
            },
            fields.cards("way", "Number of replicas", self._way, ways),
            *self._number(),
            *(self._usual(*described) for described in _SETTINGS),
        ]

    def errors(self) -> dict[str, str]:
        """Also check the expected load and the bounds."""
        found = {**super().errors(), **values_of(_LOAD, self._own)[1]}
        if self._way == FIXED and not str(self.draft.typed.get("replicas") or "").strip():
            found["replicas"] = "How many? A whole number, 1 or more."
        if self._way == FOLLOWING:
            found.pop("autoscale", None)
            found |= self._wrong_bounds()
        return found

    def _number(self) -> list[Field]:
        if self._way == FIXED:
            return [self.field("replicas", "Replicas")]
        if self._way == FOLLOWING:
            return [
                fields.of_option(_LEAST, self._own["least"], "Minimum"),
                fields.of_option(_MOST, self._own["most"], "Maximum"),
                self._usual(*_UTILIZATION),
            ]
        return []

    def _usual(self, key: str, label: str, usual: str, about: str) -> Field:
        """Return the field of an option with its default as placeholder."""
        return {**self.field(key, label), "placeholder": "as it is" if self._exists else usual, "help": about}

    def _wrong_bounds(self) -> dict[str, str]:
        bounds, wrong = values_of((_LEAST, _MOST), self._own)
        if wrong:
            return wrong
        utilization = values_of([OPTIONS["target_utilization"]], self.draft.typed)[0].get("target_utilization")
        problem = broken_rule(bounds["least"], bounds["most"], utilization)
        if not problem:
            return {}
        if bounds["least"] > bounds["most"]:
            return {"most": f"{bounds['most']} is below the minimum, {bounds['least']}."}
        key = "most" if "maxReplicas" in problem else "least" if "minReplicas" in problem else "target_utilization"
        return {key: problem}

    def _settle(self) -> None:
        """Set the options to the present choice, and clear those of the other one."""
        typed = self.draft.typed
        if self._way != FIXED:
            typed.pop("replicas", None)
        if self._way == FOLLOWING:
            typed["autoscale"] = f"{self._own['least']}:{self._own['most']}"
        else:
            typed.pop("autoscale", None)
            typed.pop("target_utilization", None)

    def _advice(self) -> str:
        keys = ("max_concurrent_requests", "target_utilization")
        load, wrong = values_of(_LOAD, self._own)
        limits, wrong_too = values_of([OPTIONS[key] for key in keys], self.draft.typed)
        if wrong or wrong_too or load["rate"] is None or load["duration"] is None:
            return ""
        percent = min(limits["target_utilization"] or _USUAL_UTILIZATION, 100)
        at_once = limits["max_concurrent_requests"] or 1
        count = replicas_needed(load["rate"], load["duration"] / 1000, at_once, percent / 100)
        noun = "replica" if count == 1 else "replicas"
        advice = f"{count} {noun} would be {percent} % busy with that."
        if self._way == FOLLOWING and not self._wrong_bounds() and int(self._own["most"]) < count:
            return f"{advice} With {self._own['most']} at most, requests would have to wait."
        return advice
