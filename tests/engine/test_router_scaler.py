"""The self-scaling of a cluster's router: a table of situations, properties, and whole loads played through it."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mljupyter.engine.scaling.router_scaler import (
    LOOK_EVERY,
    PLACED_WITHIN,
    Decision,
    Look,
    Node,
    Size,
    State,
    decide,
    has_room,
    routing_time,
)
from mljupyter.spec import RouterScaling, RouterStep, SpecError

POLICY = RouterScaling()
SMALLEST, LARGER, LARGEST = Size(0.5, 3), Size(1.0, 3), Size(1.0, 10)
GIB = float(1 << 30)
EMPTY = (Node(16.0, 64 * GIB),)
FAST, SLOW = 0.0005, 0.02


def after(
    seconds: float,
    size: Size,
    routing: float,
    utilization: float = 0.5,
    *,
    state: State | None = None,
    nodes: Sequence[Node] | None = EMPTY,
    policy: RouterScaling = POLICY,
) -> Decision:
    """Return the decision after the same measurement for a number of seconds, or the first that is not to stay."""
    found, now = Decision(size, "", None, state or State()), 1000.0
    until = now + seconds
    while now <= until and found.step is None:
        look = Look(now, size, routing=routing, utilization=utilization, memory=GIB / 2, nodes=nodes)
        found = decide(look, found.state, policy)
        now += LOOK_EVERY
    return found


@pytest.mark.parametrize(
    ("seconds", "size", "routing", "utilization", "step", "expected"),
    [
        (10, SMALLEST, SLOW, 0.9, None, SMALLEST),
        (15, SMALLEST, SLOW, 0.9, RouterStep.UP, LARGER),
        (15, SMALLEST, SLOW, 0.1, RouterStep.UP, LARGER),
        (3600, SMALLEST, 0.003, 0.9, None, SMALLEST),
        (25, LARGER, SLOW, 0.9, None, LARGER),
        (30, LARGER, SLOW, 0.9, RouterStep.OUT, Size(1.0, 4)),
        (15, Size(0.5, 7), SLOW, 0.9, RouterStep.UP, Size(1.0, 7)),
        (3600, LARGEST, SLOW, 0.9, None, LARGEST),
        (295, LARGER, FAST, 0.3, None, LARGER),
        (300, LARGER, FAST, 0.3, RouterStep.DOWN, SMALLEST),
        (3600, LARGER, FAST, 0.31, None, LARGER),
        (3600, LARGER, SLOW, 0.1, RouterStep.OUT, Size(1.0, 4)),
        (300, Size(1.0, 5), FAST, 0.1, RouterStep.DOWN, Size(0.5, 5)),
        (295, Size(0.5, 5), FAST, 0.2, None, Size(0.5, 5)),
        (300, Size(0.5, 5), FAST, 0.2, RouterStep.IN, Size(0.5, 4)),
        (3600, Size(0.5, 5), FAST, 0.21, None, Size(0.5, 5)),
        (3600, SMALLEST, FAST, 0.0, None, SMALLEST),
        (0, Size(0.1, 1), FAST, 0.5, RouterStep.BOUNDS, SMALLEST),
        (0, Size(4.0, 20), FAST, 0.5, RouterStep.BOUNDS, LARGEST),
    ],
)
def test_the_size_after_a_steady_load(seconds, size, routing, utilization, step, expected) -> None:
    found = after(seconds, size, routing, utilization)
    assert (found.step, found.size) == (step, expected), found.reason


def test_each_reason_names_the_measurement_and_the_threshold() -> None:
    assert after(15, SMALLEST, SLOW).reason == "routing a request takes 20.0 ms, more than 3 ms, for 15 s"
    assert after(30, LARGER, SLOW).reason.endswith("for 30 s; pods have the most cores")
    assert after(300, LARGER, FAST, 0.3).reason == "30 % of the requested CPU is in use, at most 30 % for 300 s"
    assert after(300, Size(0.5, 5), FAST, 0.1).reason.endswith("at most 20 % for 300 s; pods have the fewest cores")
    assert after(60, LARGEST, SLOW).reason == "routing is slow: the router has its largest size"


@pytest.mark.parametrize(("routing", "step"), [((SLOW, FAST), RouterStep.UP), ((SLOW, FAST, FAST), None)])
def test_slow_half_of_the_time_counts_and_a_third_of_the_time_does_not(routing, step) -> None:
    found, now = Decision(SMALLEST, "", None, State()), 1000.0
    while found.step is None and now < 2000:
        for seconds in routing:
            look = Look(now, SMALLEST, routing=seconds, utilization=0.5)
            found = found if found.step else decide(look, found.state, POLICY)
            now += LOOK_EVERY
    assert found.step is step


def test_the_router_does_not_grow_at_a_moment_when_routing_is_fast() -> None:
    found = after(10, SMALLEST, SLOW)
    fast = decide(Look(1015.0, SMALLEST, routing=FAST, utilization=0.5), replace(found.state, slow_for=100.0), POLICY)
    assert fast.step is None


@pytest.mark.parametrize(
    "between", [{"settled": False}, {"routing": None}, {"utilization": None}], ids=["rollout", "no time", "no CPU"]
)
def test_a_rollout_or_a_missing_measurement_begins_the_time_again(between) -> None:
    found = after(10, SMALLEST, SLOW)
    look = replace(Look(1015.0, SMALLEST, routing=SLOW, utilization=0.5), **between)
    found = decide(look, found.state, POLICY)
    found = decide(Look(1020.0, SMALLEST, routing=SLOW, utilization=0.5), found.state, POLICY)
    assert found.step is None
    assert found.state.slow_for == 0


def test_measurements_before_a_long_gap_do_not_count() -> None:
    found = after(10, SMALLEST, SLOW)
    assert decide(Look(1100.0, SMALLEST, routing=SLOW, utilization=0.5), found.state, POLICY).step is None


def test_without_room_for_larger_pods_there_is_another_pod() -> None:
    nodes = (Node(0.6, 8 * GIB, 3),)
    assert after(25, SMALLEST, SLOW, nodes=nodes).step is None
    found = after(60, SMALLEST, SLOW, nodes=nodes)
    assert (found.step, found.size) == (RouterStep.OUT, Size(0.5, 4))
    assert found.reason.endswith("no node has room for a pod of 1 cores")


def test_a_full_cluster_is_said_once_and_tried_again_after_a_pause() -> None:
    full = (Node(0.4, 8 * GIB, 3),)
    found = after(60, SMALLEST, SLOW, nodes=full)
    assert (found.step, found.size) == (RouterStep.NO_ROOM, SMALLEST)
    assert "no node has room for a pod of 1 cores" in found.reason
    again = [
        decide(Look(1000.0 + seconds, SMALLEST, routing=SLOW, utilization=0.5, nodes=full), found.state, POLICY)
        for seconds in (20, 290)
    ]
    assert [one.step for one in again] == [None, None]
    assert again[0].reason == "routing is slow: the cluster has no room"
    later = after(600, SMALLEST, SLOW, state=replace(found.state, full_until=1200.0))
    assert (later.step, later.size) == (RouterStep.UP, LARGER)


def test_a_pod_that_finds_no_node_takes_the_growth_back() -> None:
    grown = after(15, SMALLEST, SLOW, nodes=None)
    look = Look(grown.state.changed + 5, LARGER, settled=False, obstacle="Insufficient cpu")
    assert decide(look, grown.state, POLICY).step is None
    found = decide(replace(look, time=grown.state.changed + PLACED_WITHIN), grown.state, POLICY)
    assert (found.step, found.size) == (RouterStep.NO_ROOM, SMALLEST)
    assert found.reason == "the cluster has no room for 3 pods of 1 cores: Insufficient cpu"
    assert after(280, SMALLEST, SLOW, state=found.state, nodes=None).step is None
    assert after(400, SMALLEST, SLOW, state=found.state, nodes=None).step is RouterStep.UP


def test_smaller_pods_that_find_no_node_leave_the_larger_ones() -> None:
    shrunk = after(300, Size(1.0, 5), FAST, 0.1, nodes=None)
    assert shrunk.size == Size(0.5, 5)
    look = Look(shrunk.state.changed + PLACED_WITHIN, shrunk.size, settled=False, obstacle="Insufficient cpu")
    found = decide(look, shrunk.state, POLICY)
    assert (found.step, found.size) == (RouterStep.NO_ROOM, Size(1.0, 5))
    assert found.state.full_until == look.time + POLICY.room_seconds


def test_without_room_for_a_smaller_pod_beside_the_larger_ones_the_size_stays() -> None:
    found = after(300, Size(1.0, 5), FAST, 0.1, nodes=(Node(0.4, 8 * GIB, 5),))
    assert (found.step, found.size) == (RouterStep.NO_ROOM, Size(1.0, 5))
    assert found.reason.endswith("no node has room for a pod of 0.5 cores beside them")
    again = after(900, Size(1.0, 5), FAST, 0.1, state=replace(found.state, looked=None, full_until=1600.0))
    assert (again.step, again.state.changed) == (RouterStep.DOWN, 1600.0)


@pytest.mark.parametrize(("size", "expected"), [(Size(1.0, 5), Size(1.0, 4)), (LARGER, SMALLEST), (SMALLEST, SMALLEST)])
def test_an_operator_that_has_forgotten_the_last_size_goes_one_step_back(size, expected) -> None:
    found = decide(Look(1000.0, size, settled=False, obstacle="Insufficient cpu"), State(), POLICY)
    assert found.size == expected
    assert found.step is (None if size == expected else RouterStep.NO_ROOM)


def test_a_growth_soon_after_shrinking_doubles_the_wait_up_to_an_hour() -> None:
    state, waits = State(), []
    for _ in range(6):
        down = after(7200, LARGER, FAST, 0.1, state=replace(state, looked=None, shrunk=state.shrunk - 10_000))
        assert down.step is RouterStep.DOWN
        waits.append(down.state.wait)
        up = after(60, SMALLEST, SLOW, state=replace(down.state, shrunk=1000.0))
        assert up.step is RouterStep.UP
        state = up.state
    assert waits == [300, 600, 1200, 2400, 3600, 3600]


def test_a_growth_long_after_shrinking_brings_the_first_wait_back() -> None:
    state = State(wait=2400.0, shrunk=1000.0 - 4801)
    assert after(15, SMALLEST, SLOW, state=state).state.wait is None


@pytest.mark.parametrize(
    ("nodes", "size", "wanted", "expected"),
    [
        (None, SMALLEST, LARGEST, True),
        ((), SMALLEST, Size(0.5, 4), False),
        ((Node(0.5, GIB, 3),), SMALLEST, Size(0.5, 4), True),
        ((Node(0.4, GIB, 3),), SMALLEST, Size(0.5, 4), False),
        ((Node(0.5, GIB / 4, 3),), SMALLEST, Size(0.5, 4), False),
        ((Node(0.3, GIB), Node(0.3, GIB)), SMALLEST, Size(0.5, 4), False),
        # the last of three replacements takes 1.5 cores more than there were, and each is placed before an old pod ends
        ((Node(1.4, GIB, 3),), SMALLEST, LARGER, False),
        ((Node(2.0, 2 * GIB, 3),), SMALLEST, LARGER, True),
        ((Node(1.0, GIB, 1), Node(1.0, GIB, 1), Node(1.0, GIB, 1)), SMALLEST, LARGER, True),
        ((Node(1.0, GIB, 1), Node(0.1, GIB, 1), Node(0.1, GIB, 1)), SMALLEST, LARGER, False),
    ],
)
def test_room_is_counted_node_by_node(nodes, size, wanted, expected) -> None:
    assert has_room(nodes, size, wanted, memory=GIB / 2) is expected


def test_the_time_to_route_is_that_of_two_turns_and_the_waits_before_them() -> None:
    assert routing_time([(0.0001, 100)], elapsed=1.0) == pytest.approx(0.000201)
    assert routing_time([(0.01, 100)], elapsed=1.0) == pytest.approx(0.03)  # busy all the time
    assert routing_time([(0.01, 200)], elapsed=1.0) == pytest.approx(0.03)  # more turns than fit: a late clock
    assert routing_time([(0.01, 50)], elapsed=1.0) == pytest.approx(0.025)
    assert routing_time([], elapsed=1.0) is None
    assert routing_time([(0.01, 1)], elapsed=0.0) is None


def test_a_rare_long_turn_of_an_idle_router_does_not_count_as_slow() -> None:
    found = routing_time([(0.05, 1), (0.00002, 200)], elapsed=5.0)
    assert found is not None
    assert 1000 * found < POLICY.routing_ms


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"min_pods": 4, "max_pods": 3}, "min_pods is 4, above max_pods 3"),
        ({"min_cpu": 2, "max_cpu": 1}, "min_cpu is 2, above max_cpu 1"),
        ({"in_utilization": 31}, "in_utilization is 31, above down_utilization 30"),
        ({"down_utilization": 46}, "46"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(fields, message) -> None:
    with pytest.raises(SpecError, match=message):
        RouterScaling.parse(fields)


# Properties: whatever is measured, and in whatever order.

looks = st.fixed_dictionaries(
    {
        "routing": st.one_of(st.none(), st.floats(0, 0.1)),
        "utilization": st.one_of(st.none(), st.floats(0, 2)),
        "settled": st.booleans(),
        "obstacle": st.sampled_from(["", "", "", "Insufficient cpu"]),
        "nodes": st.sampled_from([None, (), EMPTY, (Node(0.7, 8 * GIB, 3),)]),
        "repeated": st.integers(1, 80),
    }
)
policies = st.builds(
    lambda pods, more_pods, cpu, more_cpu, up, out, shrink: RouterScaling(
        min_pods=pods,
        max_pods=pods + more_pods,
        min_cpu=cpu,
        max_cpu=cpu + more_cpu,
        up_seconds=up,
        out_seconds=out,
        shrink_seconds=shrink,
    ),
    st.integers(1, 5),
    st.integers(0, 5),
    st.floats(0.1, 2),
    st.floats(0, 4),
    st.floats(0, 60),
    st.floats(0, 60),
    st.floats(0, 600),
)


@settings(deadline=None)
@given(
    policy=policies, steps=st.lists(looks, max_size=12), first=st.builds(Size, st.floats(0.1, 5), st.integers(0, 20))
)
def test_the_size_stays_within_bounds_and_changes_one_thing_at_a_time(policy, steps, first) -> None:
    size, state, now, sizes = first, State(), 0.0, [first]
    for step in steps:
        fields = {name: value for name, value in step.items() if name != "repeated"}
        for _ in range(step["repeated"]):
            now += LOOK_EVERY
            before, found = size, decide(Look(now, size, memory=GIB / 2, **fields), state, policy)
            size, state = found.size, found.state
            assert policy.min_pods <= size.pods <= policy.max_pods
            assert policy.min_cpu <= size.cpu <= policy.max_cpu
            assert found.reason
            _check_direction(found, before, fields, policy, sizes)
            sizes = sizes if size == before else [*sizes, size]


def _check_direction(
    found: Decision, before: Size, look: dict[str, object], policy: RouterScaling, sizes: list[Size]
) -> None:
    cpu, pods = found.size.cpu - before.cpu, found.size.pods - before.pods
    match found.step:
        case None:
            assert (cpu, pods) == (0, 0)
        case RouterStep.UP:
            assert cpu > 0
            assert pods == 0
            assert look["nodes"] != ()
        case RouterStep.OUT:
            assert (cpu, pods) == (0, 1)
            assert before.cpu == policy.max_cpu or not has_room(
                look["nodes"],  # type: ignore[arg-type]
                before,
                Size(min(2 * before.cpu, policy.max_cpu), before.pods),
                GIB / 2,
            )
        case RouterStep.DOWN:
            assert cpu < 0
            assert pods == 0
        case RouterStep.IN:
            assert (cpu, pods) == (0, -1)
            assert before.cpu == policy.min_cpu
        case RouterStep.NO_ROOM:
            assert (cpu <= 0 and pods <= 0) or found.size == sizes[-2]


@settings(deadline=None, max_examples=40)
@given(
    load=st.floats(0, 12),
    slow_above=st.floats(0.05, 1.5),
    policy=policies.filter(lambda policy: policy.shrink_seconds >= 30),
)
def test_a_steady_load_changes_the_size_only_a_few_times(load, slow_above, policy) -> None:
    """Whatever use of CPU makes routing slow, the router does not go back and forth."""
    size, state, changes = Size(policy.min_cpu, policy.min_pods), State(), []
    for tick in range(6 * 720):
        used = load / (size.cpu * size.pods)
        look = Look(tick * LOOK_EVERY, size, routing=SLOW if used > slow_above else FAST, utilization=used)
        found = decide(look, state, policy)
        if found.step is not None:
            changes.append(found.step)
        size, state = found.size, found.state
    growing = [step in (RouterStep.UP, RouterStep.OUT) for step in changes]
    turns = sum(one != other for one, other in zip(growing, growing[1:], strict=False))
    doubled = math.ceil(math.log2(3600 / policy.shrink_seconds)) + 1
    assert turns <= 2 * (doubled + 6)  # each wait is twice the one before, until it is an hour


# Simulation: pods as queues of one server, with rollouts that take a while and a cluster with a limited size.


@dataclass
class Course:
    """The course of a simulated router: for each look the size and the time to route; all changes."""

    sizes: list[Size] = field(default_factory=list)
    routing: list[float] = field(default_factory=list)
    changes: list[tuple[float, RouterStep]] = field(default_factory=list)

    def steps(self) -> list[RouterStep]:
        return [step for _, step in self.changes]


def simulated(
    load: Callable[[float], float],
    seconds: float,
    *,
    policy: RouterScaling = POLICY,
    cores: float = 64.0,
    seed: int = 1,
) -> Course:
    """Play a load in requests a second. A core routes 10,000 a second, and a pod uses no more than it requests."""
    course, size, state, ready_at = Course(), Size(policy.min_cpu, policy.min_pods), State(), 0.0
    present, noise, tick = size, random.Random(seed), 0
    while tick * LOOK_EVERY < seconds:
        now = tick * LOOK_EVERY
        if now >= ready_at:
            present = size
        per_pod = load(now) * noise.uniform(0.97, 1.03) / present.pods
        busy = per_pod / (10_000 * present.cpu)
        routing = min(0.0002 / (1 - busy), 0.2) if busy < 1 else 0.2
        room = cores - size.cpu * size.pods
        look = Look(
            now,
            size,
            settled=present == size,
            routing=routing,
            utilization=min(busy, 1.0),
            memory=GIB / 2,
            nodes=(Node(room, 64 * GIB, size.pods),),
        )
        found = decide(look, state, policy)
        if found.step is not None:
            course.changes.append((now, found.step))
        if found.size != size:
            ready_at = now + 20.0
        size, state = found.size, found.state
        course.sizes.append(size)
        course.routing.append(routing)
        tick += 1
    return course


def test_a_step_of_the_load_makes_pods_larger_then_more_and_its_end_makes_them_smaller_then_fewer() -> None:
    course = simulated(lambda now: 52_000 if 600 <= now < 2400 else 3_000, 7200)
    steps = course.steps()
    assert steps[:4] == [RouterStep.UP, RouterStep.OUT, RouterStep.OUT, RouterStep.OUT]
    assert steps[4:] == [RouterStep.DOWN, RouterStep.IN, RouterStep.IN, RouterStep.IN]
    assert max(course.sizes, key=lambda size: size.pods) == Size(1.0, 6)
    assert course.sizes[-1] == SMALLEST


def test_after_a_step_of_the_load_routing_is_fast_again_within_five_minutes() -> None:
    course = simulated(lambda now: 52_000 if now >= 600 else 3_000, 3600)
    slow = [tick * LOOK_EVERY for tick, routing in enumerate(course.routing) if 1000 * routing > POLICY.routing_ms]
    assert min(slow) >= 600
    assert max(slow) <= 900


def test_a_burst_shorter_than_the_time_changes_nothing() -> None:
    assert simulated(lambda now: 50_000 if now % 300 < 10 else 8_000, 7200).steps() == []


def test_a_day_of_waves_makes_few_changes_and_none_back_and_forth() -> None:
    course = simulated(lambda now: 30_000 - 27_000 * math.cos(2 * math.pi * now / 86_400), 86_400)
    growth = [step in (RouterStep.UP, RouterStep.OUT) for step in course.steps()]
    assert growth == sorted(growth, reverse=True)  # first it only grows, then it only shrinks
    assert len(growth) <= 10
    slow = sum(1000 * routing > POLICY.routing_ms for routing in course.routing)
    assert slow / len(course.routing) < 0.01


def test_a_cluster_without_room_keeps_the_size_that_fits() -> None:
    course = simulated(lambda now: 90_000, 7200, cores=5.5)
    assert max(size.cpu * size.pods for size in course.sizes) <= 5.5
    assert RouterStep.NO_ROOM in course.steps()
    pauses = [time for time, step in course.changes if step is RouterStep.NO_ROOM]
    assert all(later - earlier >= POLICY.room_seconds for earlier, later in zip(pauses, pauses[1:], strict=False))


def test_a_load_at_the_edge_does_not_flap() -> None:
    course = simulated(lambda now: 14_300, 86_400)
    assert len(course.steps()) <= 2
