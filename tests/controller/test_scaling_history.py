"""Decisions on numbers of replicas are kept, the newest of each version, and go with their endpoint."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from mljupyter.controller.storage import scaling_history
from mljupyter.controller.storage.store import Store
from mljupyter.spec import EndpointStatus, ScalingDecision
from tests.controller.test_store import SPEC


def decision(after: int, version: str = "iris") -> ScalingDecision:
    return ScalingDecision(
        time=datetime.now(UTC),
        version=version,
        before=1,
        after=after,
        admitted=after,
        reason="2.5 requests run or wait: 1 replica is too few",
        demand=2.5,
        needed=4,
        min_replicas=1,
        max_replicas=10,
        target_utilization=70,
        max_concurrent_requests=1,
    )


def test_decisions_survive_and_are_told_oldest_first(tmp_path: Path) -> None:
    store = Store(tmp_path / "controller.db")
    written = [decision(2), decision(3, "other"), decision(4)]
    for item in written:
        store.scaling.add("iris", item)
    store.close()
    again = Store(tmp_path / "controller.db").scaling
    assert again.of("iris") == written
    assert [item.after for item in again.of("iris", "iris")] == [2, 4]
    assert [item.after for item in again.of("iris", most=1)] == [4]
    assert again.of("another") == []


def test_of_each_version_the_newest_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling_history, "KEPT", 3)
    store = Store(tmp_path / "controller.db")
    store.scaling.add("iris", decision(99, "other"))
    for number in range(10):
        store.scaling.add("iris", decision(number))
    assert [item.after for item in store.scaling.of("iris", "iris")] == [7, 8, 9]
    assert [item.after for item in store.scaling.of("iris", "other")] == [99]


def test_a_removed_endpoint_takes_them_along(tmp_path: Path) -> None:
    store = Store(tmp_path / "controller.db")
    store.put(SPEC, EndpointStatus(), None)
    store.scaling.add("iris", decision(2))
    store.remove("iris")
    assert store.scaling.of("iris") == []
