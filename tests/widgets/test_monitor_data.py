"""What the monitor says of the router of a cluster."""

from __future__ import annotations

from mljupyter.spec import RouterStep
from mljupyter.widgets.panels.monitor_data import router_of
from tests.core.test_router_size import OUT, SIZE, UP

NO_ROOM = OUT.model_copy(update={"step": RouterStep.NO_ROOM, "pods_after": 3, "cpu_before": 1, "reason": "no node"})


def test_the_size_is_that_of_the_command_line_and_decisions_have_the_newest_first() -> None:
    shown = router_of(SIZE)
    assert shown["fields"][0] == ["Pods", "3/4, 1 cores each"]
    assert [one["words"] for one in shown["decisions"]] == [
        ["Out", "3 → 4 pods", "routing is slow"],
        ["Up", "0.5 → 1 cores", "routing is slow"],
    ]
    assert shown["decisions"][0]["time"] == OUT.time.timestamp()


def test_the_three_newest_decisions_are_shown_and_one_that_changes_nothing_has_no_change() -> None:
    shown = router_of(SIZE.model_copy(update={"decisions": [UP, UP, OUT, NO_ROOM]}))
    assert [one["words"][:2] for one in shown["decisions"]] == [
        ["NoRoom", ""],
        ["Out", "3 → 4 pods"],
        ["Up", "0.5 → 1 cores"],
    ]


def test_without_self_scaling_there_are_no_decisions() -> None:
    shown = router_of(SIZE.model_copy(update={"settings": None, "decisions": []}))
    assert shown["decisions"] == []
    assert dict(shown["fields"])["Self-scaling"].startswith("off")
