"""The plan for one version: table of situations, and properties that hold in every situation."""

from __future__ import annotations

import dataclasses
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mljupyter.engine.replicas.crash_backoff import CrashBackoff, pause_after
from mljupyter.engine.replicas.replica_plan import DesiredVersion, ReplicaObservation, ReplicaPlan, plan
from mljupyter.spec import ReplicaPhase

READY, STARTING, EXITED = ReplicaPhase.READY, ReplicaPhase.STARTING, ReplicaPhase.EXITED


def replica(id: str, phase: ReplicaPhase = READY, revision: str = "new", since: float = 0.0) -> ReplicaObservation:
    return ReplicaObservation(id=id, revision=revision, phase=phase, since=since)


def test_nothing_runs_so_all_replicas_are_started() -> None:
    assert plan(DesiredVersion("new", 3), [], now=0) == ReplicaPlan(revision="new", start=3)


def test_a_first_start_gets_no_requests_until_a_replica_is_ready() -> None:
    assert plan(DesiredVersion("new", 1), [replica("a", STARTING)], now=0).routed == ()
    assert plan(DesiredVersion("new", 1), [replica("a")], now=0).routed == ("a",)


def test_ready_replicas_serve_while_others_of_the_same_revision_start() -> None:
    step = plan(DesiredVersion("new", 3), [replica("a"), replica("b", STARTING)], now=0)
    assert (step.start, step.routed, step.complete) == (1, ("a",), False)


def test_old_replicas_keep_all_requests_until_every_new_one_is_ready() -> None:
    old = [replica("x", revision="old"), replica("y", revision="old")]
    step = plan(DesiredVersion("new", 2, ready_revision="old"), [*old, replica("a"), replica("b", STARTING)], now=0)
    assert step.routed == ("x", "y")
    assert step.drain == ()


def test_requests_move_and_old_replicas_drain_once_the_new_ones_are_ready() -> None:
    replicas = [replica("x", revision="old"), replica("a"), replica("b")]
    step = plan(DesiredVersion("new", 2, ready_revision="old"), replicas, now=0)
    assert (step.routed, step.drain, step.complete) == (("a", "b"), ("x",), True)


def test_a_revision_that_failed_is_left_alone_and_the_old_one_keeps_serving() -> None:
    goal = DesiredVersion("new", 1, ready_revision="old", failed_revision="new")
    step = plan(goal, [replica("x", revision="old"), replica("a", EXITED)], now=0)
    assert (step.start, step.routed, step.drain) == (0, ("x",), ())


def test_the_old_revision_is_restarted_while_the_new_one_cannot_start() -> None:
    step = plan(DesiredVersion("new", 2, ready_revision="old", failed_revision="new"), [], now=0)
    assert (step.revision, step.start) == ("old", 2)


def test_a_first_deployment_that_failed_starts_nothing_more() -> None:
    step = plan(DesiredVersion("new", 2, failed_revision="new"), [replica("b", STARTING)], now=0)
    assert (step.start, step.drain, step.routed, step.complete) == (0, ("b",), (), False)


def test_a_crashed_replica_is_restarted_at_once_and_the_router_holds_requests_for_it() -> None:
    goal = DesiredVersion("new", 1, ready_revision="new", crashes=CrashBackoff(1, last=10.0))
    assert plan(goal, [replica("a", EXITED)], now=10.0).start == 1
    assert plan(goal, [replica("b", STARTING)], now=10.1).routed == ("b",)


def test_crashes_in_a_row_are_answered_with_growing_pauses() -> None:
    goal = DesiredVersion("new", 1, ready_revision="new", crashes=CrashBackoff(3, last=10.0))
    step = plan(goal, [], now=10.5)
    assert (step.start, step.look_again_at) == (0, 10.0 + pause_after(3))
    assert plan(goal, [], now=11.0).start == 1


def test_scaling_down_stops_starting_replicas_first_then_the_newest() -> None:
    replicas = [replica("oldest", since=1), replica("newest", since=9), replica("starting", STARTING, since=5)]
    assert plan(DesiredVersion("new", 1), replicas, now=10).drain == ("starting", "newest")


def busy(id: str, **values: Any) -> ReplicaObservation:
    return dataclasses.replace(replica(id, **values), busy=True)


def test_scaling_down_stops_idle_replicas_and_lets_those_work_that_do() -> None:
    found = [replica("old idle", since=1), busy("old busy", since=2), busy("new busy", since=9)]
    step = plan(DesiredVersion("new", 1, most=10), found, now=10)
    assert (step.drain, step.look_again_at) == (("old idle",), 11.0)
    assert step.routed == ("old busy", "new busy")


def test_replicas_beyond_the_bound_go_even_while_they_work() -> None:
    found = [busy("a", since=1), busy("b", since=2), busy("c", since=3)]
    assert plan(DesiredVersion("new", 1, most=2), found, now=10).drain == ("c",)
    assert plan(DesiredVersion("new", 1), found, now=10).drain == ("c", "b")


def test_a_version_may_sleep_once_it_has_shown_that_it_can_start() -> None:
    asleep = DesiredVersion("new", 0, ready_revision="new", may_sleep=True)
    assert (plan(asleep, [], now=1).waiting, plan(asleep, [], now=1).complete) == (True, True)
    last = plan(asleep, [replica("a")], now=1)
    assert (last.drain, last.routed, last.waiting) == (("a",), (), True)
    waking = dataclasses.replace(asleep, replicas=1)
    assert (plan(waking, [], now=1).start, plan(waking, [], now=1).waiting) == (1, True)
    assert plan(waking, [replica("a", STARTING)], now=1).routed == ()
    assert plan(waking, [replica("a", STARTING)], now=1).waiting
    assert not plan(waking, [replica("a")], now=1).waiting
    assert not plan(DesiredVersion("new", 1, may_sleep=True), [], now=1).waiting


def test_one_without_room_replaces_nothing() -> None:
    goal = DesiredVersion("new", 0, ready_revision="old", shortage="there is no room")
    step = plan(goal, [replica("a", revision="old")], now=1)
    assert (step.start, step.drain, step.routed, step.complete) == (0, (), ("a",), False)


replicas_strategy = st.lists(
    st.builds(
        ReplicaObservation,
        id=st.uuids().map(str),
        revision=st.sampled_from(["new", "old", "older"]),
        phase=st.sampled_from(list(ReplicaPhase)),
        since=st.floats(0, 100),
        busy=st.booleans(),
    ),
    max_size=12,
    unique_by=lambda item: item.id,
)
goals = st.builds(
    DesiredVersion,
    revision=st.just("new"),
    replicas=st.integers(1, 5),
    ready_revision=st.sampled_from([None, "new", "old"]),
    failed_revision=st.sampled_from([None, "new", "old"]),
    crashes=st.builds(CrashBackoff, in_a_row=st.integers(0, 40), last=st.floats(0, 100)),
)


@given(goals, replicas_strategy, st.floats(0, 200))
def test_a_plan_never_stops_a_replica_that_it_routes_to(
    goal: DesiredVersion, found: list[ReplicaObservation], now: float
) -> None:
    step = plan(goal, found, now)
    phases = {item.id: item.phase for item in found}
    assert not set(step.routed) & set(step.drain)
    assert all(phases[id] in (READY, STARTING) for id in (*step.routed, *step.drain))


@given(goals, replicas_strategy, st.floats(0, 200))
def test_a_ready_replica_always_gets_requests_if_there_is_one(
    goal: DesiredVersion, found: list[ReplicaObservation], now: float
) -> None:
    usable = [item for item in found if item.phase is READY and item.revision != goal.failed_revision]
    if usable and goal.attainable is not None:
        assert plan(goal, found, now).routed


@given(goals, replicas_strategy)
def test_following_the_plan_reaches_the_goal_and_then_rests(
    goal: DesiredVersion, found: list[ReplicaObservation]
) -> None:
    now, count, replicas = 1000.0, 0, list(found)
    for _ in range(6):
        step = plan(goal, replicas, now)
        replicas = [
            ReplicaObservation(item.id, item.revision, READY, item.since)
            for item in replicas
            if item.id not in step.drain and item.serving
        ]
        for _ in range(step.start):
            count += 1
            replicas.append(ReplicaObservation(f"started-{count}", step.revision or "", STARTING, now))
    last = plan(goal, replicas, now)
    assert (last.start, last.drain) == (0, ())
    wanted = goal.replicas if goal.attainable is not None else 0
    assert sorted(last.routed) == sorted(item.id for item in replicas if item.revision == goal.attainable)
    assert len(last.routed) == wanted
