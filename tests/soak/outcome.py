"""What the records of a piece say: how long it was, what failed, what has grown, and what does not hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.soak.judgement import Growth, Sample, differences, growth, longest_lived, problems, warm_up

ROLES = ("controller", "router", "replica")
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Outcome:
    """The outcome of a piece.

    Attributes:
        started: when the load began, in UTC.
        seconds: how long the load was.
        ended: whether the piece came to its end, so that the counts were compared.
        requests: answered, or failed.
        explained: failed requests that an injected fault explains.
        unexplained: the others.
        faults: how many of each kind were injected.
        memory, descriptors: growth by role, of the processes that lived longest; None if there are too few samples.
        disk: growth of the workspace.
        load_average: processes that wanted a processor, on average; all programs of the machine.
        problems: what does not hold.

    """

    started: str
    seconds: float
    ended: bool
    requests: int
    explained: int
    unexplained: int
    faults: Counter[str]
    memory: dict[str, Growth | None]
    descriptors: dict[str, Growth | None]
    disk: Growth | None
    load_average: float
    problems: list[str]


def outcome(records: Sequence[Record]) -> Outcome:
    """Return what the records of one piece say, in the order in which they were written."""
    minutes = [record for record in records if record["record"] == "minute"]
    end = next((record for record in records if record["record"] == "end"), None)
    seconds = float(minutes[-1]["seconds"]) if minutes else 0.0
    after = warm_up(seconds)
    failures = [failure for record in minutes for failure in record["failures"]]
    unexplained = sum(failure["explained_by"] is None for failure in failures)
    memory = {role: growth(longest_lived(by_process(minutes, role, 0)), after) for role in ROLES}
    descriptors = {role: growth(longest_lived(by_process(minutes, role, 1)), after, min) for role in ROLES}
    disk = growth([(record["seconds"], record["disk"]) for record in minutes], after)
    differing = differences(end["clients"], end["metrics"]) if end else []
    return Outcome(
        started=str(records[0]["time"])[:16].replace("T", " "),
        seconds=seconds,
        ended=end is not None,
        requests=sum(sum(record["sent"].values()) for record in minutes),
        explained=len(failures) - unexplained,
        unexplained=unexplained,
        faults=Counter(fault["kind"] for record in minutes for fault in record["faults"] if happened(fault)),
        memory=memory,
        descriptors=descriptors,
        disk=disk,
        load_average=sum(record["load_average"] for record in minutes) / max(len(minutes), 1),
        problems=[
            *(end.get("failed_injections", ()) if end else ()),
            *problems(seconds, unexplained, differing, memory, descriptors, disk),
        ],
    )


def unexplained(records: Sequence[Record]) -> list[str]:
    """Return a line for each failed request that no fault explains: when it was sent, its stream, and what came."""
    failures = (failure for record in records if record["record"] == "minute" for failure in record["failures"])
    return [
        f"{failure['sent']} {failure['stream']}: {failure['what']}"
        for failure in failures
        if failure["explained_by"] is None
    ]


def happened(fault: Record) -> bool:
    """Return whether a fault was injected: there may have been no victim, no small disk, or no room."""
    return not str(fault["about"]).startswith(("none", "not possible", "refused"))


def by_process(minutes: Sequence[Record], role: str, which: int) -> dict[str, list[Sample]]:
    """Return the samples of each process of a role: kilobytes (`which` is 0) or file descriptors (1)."""
    found: dict[str, list[Sample]] = {}
    for record in minutes:
        for pid, values in record["processes"].get(role, {}).items():
            found.setdefault(pid, []).append((record["seconds"], values[which]))
    return found
