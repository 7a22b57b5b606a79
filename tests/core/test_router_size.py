"""The size of a cluster's router, as the SDK and the command line show it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from mljupyter.core.router import Router
from mljupyter.notebook.views.scaling import router_decision_rows, router_size_fields
from mljupyter.spec import RouterRecord, RouterScaling, RouterScalingDecision, RouterSize, RouterSpec, RouterStep

UP = RouterScalingDecision(
    time=datetime(2030, 1, 1, tzinfo=UTC),
    step=RouterStep.UP,
    pods_before=3,
    pods_after=3,
    cpu_before=0.5,
    cpu_after=1,
    reason="routing is slow",
    routing_ms=12.34,
    utilization=87.6,
)
OUT = UP.model_copy(update={"step": RouterStep.OUT, "pods_after": 4, "cpu_before": 1, "routing_ms": None})
SIZE = RouterSize(pods=4, ready=3, cpu=1, settings=RouterScaling(), reason="size and load match", decisions=[UP, OUT])


class ControlPlane:
    """A control plane whose router has a size."""

    def __init__(self, size: RouterSize | None) -> None:
        self._size = size

    def router(self) -> RouterRecord:
        return RouterRecord.parse(RouterRecord(spec=RouterSpec(), port=80, size=self._size).json_text())

    def put_router(self, spec: RouterSpec, *, overwrite_domain: bool = False) -> RouterRecord:
        raise NotImplementedError

    def rotate_token_keys(self, *, revoke: bool = False) -> list[str]:
        raise NotImplementedError


@pytest.mark.parametrize(("most", "expected"), [(50, [UP, OUT]), (1, [OUT]), (0, [])])
def test_the_history_has_the_newest_decisions(most: int, expected: list[RouterScalingDecision]) -> None:
    workspace: Any = None
    assert Router(workspace, ControlPlane(SIZE)).scaling_history(most) == expected


def test_the_router_of_a_machine_has_no_history() -> None:
    workspace: Any = None
    assert Router(workspace, ControlPlane(None)).scaling_history() == []


def test_a_decision_is_one_row_with_what_changes_and_why() -> None:
    assert router_decision_rows([UP, OUT]) == [
        ["2030-01-01 00:00:00", "Up", "3", "0.5 → 1", "12.3 ms", "88 %", "routing is slow"],
        ["2030-01-01 00:00:00", "Out", "3 → 4", "1", "", "88 %", "routing is slow"],
    ]


def test_the_size_says_how_many_pods_are_ready_and_how_it_may_change() -> None:
    assert router_size_fields(SIZE) == [
        ("Pods", "3/4, 1 cores each"),
        ("Self-scaling", "3 to 10 pods, 0.5 to 1 cores each; size and load match"),
    ]
    off = RouterSize(pods=1, ready=1, cpu=0.1, routing_ms=0.2, utilization=3)
    assert dict(router_size_fields(off)) == {
        "Pods": "1/1, 0.1 cores each",
        "Routing": "0.2 ms a request",
        "CPU": "3 % of the requested cores",
        "Self-scaling": "off: it is on for the cluster purpose FastProd",
    }
