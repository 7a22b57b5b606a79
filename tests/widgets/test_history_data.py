"""The history panel's data: changes and scaling decisions of an endpoint in one list."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mljupyter.spec import ScalingDecision
from mljupyter.spec.history import HistoryEntry
from mljupyter.widgets.panels.history_data import MOST_ENTRIES, timeline_of
from tests.widgets.test_comparison_data import endpoint

NOW = datetime(2026, 11, 30, 16, 0, tzinfo=UTC)


def entry(number: int, action: str = "updated", *changes: str) -> HistoryEntry:
    spec, time = endpoint().spec, NOW + timedelta(minutes=number)
    return HistoryEntry(number=number, time=time, user="ada", action=action, changes=list(changes), spec=spec)


def decision(minute: int, admitted: int = 4) -> ScalingDecision:
    return ScalingDecision(
        time=NOW + timedelta(minutes=minute),
        version="blue",
        before=1,
        after=4,
        admitted=admitted,
        reason="3.6 requests at once",
        demand=3.6,
        needed=4,
        min_replicas=1,
        max_replicas=5,
        target_utilization=70,
        max_concurrent_requests=1,
    )


@pytest.mark.parametrize(
    ("action", "changes", "kind"),
    [
        ("created", (), "deployment"),
        ("updated", ("versions.blue.trafficPercentile: 50 → 30",), "traffic"),
        ("updated", ("versions.blue.trafficPercentile: 50 → 30", "versions.blue.code: a → b"), "deployment"),
        ("rolled out blue to 100 %", ("versions.blue.models: a → b",), "traffic"),
        ("promoted blue", (), "traffic"),
        ("updated", ("versions.blue.scaling.replicas: 1 → 2",), "scaling"),
        ("rolled back to 1", ("versions.blue.code: a → b",), "deployment"),
    ],
)
def test_a_change_is_a_deployment_unless_it_is_about_shares_or_replicas_alone(
    action: str, changes: tuple[str, ...], kind: str
) -> None:
    (event,) = timeline_of([entry(1, action, *changes)], [])
    assert (event["kind"], event["who"], event["what"]) == (kind, "ada", f"{action} (1)")
    assert event["lines"] == list(changes)


def test_decisions_are_among_the_changes_with_their_reason_the_newest_first() -> None:
    found = timeline_of([entry(1), entry(3)], [decision(2, admitted=2)])
    assert [event["what"] for event in found] == ["updated (3)", "blue: 1 → 4 replicas, room for 2", "updated (1)"]
    assert (found[1]["who"], found[1]["lines"]) == ("autoscaler", ["3.6 requests at once"])
    assert len({event["key"] for event in found}) == 3


def test_a_long_history_keeps_its_newest_part() -> None:
    found = timeline_of([entry(number) for number in range(MOST_ENTRIES + 5)], [])
    assert len(found) == MOST_ENTRIES
    assert found[0]["what"] == f"updated ({MOST_ENTRIES + 4})"
