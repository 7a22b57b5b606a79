"""Which failed request a fault explains. All others are failures of the soak (docs/faults.md, "The soak")."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tests.soak.plan import Kind

BROKEN_OFF = "broken off"
"""What a client says of an answer whose status it has got, and whose end it has not."""


@dataclass(frozen=True)
class Failure:
    """A request that was not answered as expected. Times in seconds of the epoch."""

    stream: str
    endpoint: str
    sent: float
    at: float
    what: str


@dataclass(frozen=True)
class Injected:
    """A fault that was injected between two moments, in seconds of the epoch; `endpoint` is empty if it meets all."""

    kind: Kind
    endpoint: str
    begun: float
    done: float
    about: str = ""


@dataclass(frozen=True)
class Rule:
    """A kind of fault and the failures that it explains, in words and as a decision."""

    kind: Kind
    failures: str
    explains: Callable[[Failure, Injected], bool]


def _cut(failure: Failure, fault: Injected) -> bool:
    open_then = failure.sent <= fault.done and fault.begun <= failure.at
    return failure.endpoint == fault.endpoint and open_then and failure.what.startswith(BROKEN_OFF)


RULES = (Rule(Kind.KILL, "an answer in pieces of this endpoint that had begun, and was broken off", _cut),)
"""A request that a killed replica has not answered yet is sent to another one; what has been answered cannot be."""


def explanation(failure: Failure, faults: Iterable[Injected]) -> Injected | None:
    """Return the fault that explains a failure; None if there is none."""
    rules = {rule.kind: rule for rule in RULES}
    return next((fault for fault in faults if fault.kind in rules and rules[fault.kind].explains(failure, fault)), None)
