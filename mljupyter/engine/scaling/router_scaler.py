"""Self-scaling of a cluster's router: a pure function of what its pods measure (Azure ML v1: azureml-fe, self-scaler).

The router grows when the time to route a request is above a threshold and stays there: first each pod requests more
cores (up), then there are more pods (out). It shrinks when little of the requested CPU is in use: first each pod
requests fewer cores (down), then there are fewer pods (in). It grows only while the cluster has room.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from mljupyter.spec import RouterScaling, RouterStep

LOOK_EVERY = 5.0
"""Seconds between two looks."""
PLACED_WITHIN = 10.0
"""Seconds in which a new pod of the router should find a node."""
PLACING = (RouterStep.UP, RouterStep.OUT, RouterStep.DOWN)
"""The steps that take new pods, for which the cluster must have room."""
_LONGEST_WAIT = 3600.0
_GAP = 3 * LOOK_EVERY  # after a longer time without a measurement, times begin again
_CLOSE = 1e-9


@dataclass(frozen=True)
class Size:
    """The size of the router: the cores that each pod requests, and the number of pods."""

    cpu: float
    pods: int

    def __str__(self) -> str:
        return f"{self.pods} pod{'s' if self.pods != 1 else ''} of {self.cpu:g} cores"


@dataclass(frozen=True)
class Node:
    """The room on a node that pods may use: free cores, free memory in bytes, and the pods of the router on it."""

    cpu: float
    memory: float
    routers: int = 0


@dataclass(frozen=True)
class Look:
    """The state of the router at one time.

    Parameters:
        time: seconds on the caller's clock.
        size: the desired size.
        settled: whether all pods of this size are ready, and no others are there.
        routing: the time to route a request in seconds; None when it is unknown.
        utilization: the part of the requested cores in use: 1 when all are; None when it is unknown.
        memory: the memory in bytes that each pod requests.
        nodes: the room of the cluster; None when it is unknown. Then it is tried.
        obstacle: why the cluster has no room for a pod of the router, such as the scheduler's message; empty if all
            have a node.

    """

    time: float
    size: Size
    settled: bool = True
    routing: float | None = None
    utilization: float | None = None
    memory: float = 0.0
    nodes: Sequence[Node] | None = None
    obstacle: str = ""


@dataclass(frozen=True)
class State:
    """What the self-scaler remembers from one look to the next. All times are on the clock of the looks.

    Parameters:
        looked: the time of the last look with a measurement.
        slow_for: how long routing has been above the threshold, in seconds. A time below it takes half of its length
            off, so that a load at the edge counts and a short burst does not.
        down_since, in_since: the times since which the use of CPU has been below the two thresholds.
        changed: the time of the last change.
        shrunk: the time of the last change to a smaller size.
        before: the size before the last change that takes new pods, until that is complete.
        full_until: the end of the pause after the cluster had no room.
        wait: how long the use of CPU must be low, in seconds; None before it is first set.

    """

    looked: float | None = None
    slow_for: float = 0.0
    down_since: float | None = None
    in_since: float | None = None
    changed: float = -math.inf
    shrunk: float = -math.inf
    before: Size | None = None
    full_until: float = -math.inf
    wait: float | None = None


@dataclass(frozen=True)
class Decision:
    """The desired size, the reason, the direction (None: the size stays), and the state for the next look."""

    size: Size
    reason: str
    step: RouterStep | None
    state: State


def routing_time(turns: Iterable[tuple[float, float]], elapsed: float) -> float | None:
    """Return the estimated time to route a request in seconds, from the durations of turns of Envoy's event loop.

    In each turn, Envoy handles everything that has arrived during the turn before. A request takes two turns: one on
    its way to the replica, one with its answer. Before each, it waits for the rest of the present turn: on average half
    of the sum of all squared durations, divided by the elapsed time. Slow clients, queues of replicas and models do not
    count.

    Parameters:
        turns: durations in seconds, each with the number of turns.
        elapsed: the seconds in which they were counted, of all pods together.

    Example:
        >>> routing_time([(0.001, 500)], elapsed=1.0)  # half of the time busy
        0.0025

    """
    listed = list(turns)
    count = sum(number for _, number in listed)
    if not count or elapsed <= 0:
        return None
    busy = sum(duration * number for duration, number in listed)
    squares = sum(duration**2 * number for duration, number in listed)
    return squares / max(elapsed, busy) + 2 * busy / count


def decide(look: Look, state: State, policy: RouterScaling) -> Decision:
    """Return the desired size of the router.

    Parameters:
        look: what is there.
        state: the state of the last decision; `State()` at first.
        policy: bounds, thresholds and times.

    """
    size = look.size
    within = Size(
        min(max(size.cpu, policy.min_cpu), policy.max_cpu), min(max(size.pods, policy.min_pods), policy.max_pods)
    )
    if within != size:
        reason = (
            f"the bounds are {policy.min_pods} to {policy.max_pods} pods of {policy.min_cpu:g} to {policy.max_cpu:g} "
            "cores"
        )
        return _changed(look, state, within, RouterStep.BOUNDS, reason)
    if look.obstacle and look.time - state.changed >= PLACED_WITHIN:
        return _without_room(look, state, policy)
    if not look.settled:
        return Decision(size, "pods are being replaced", None, _unmeasured(state))
    state = replace(state, before=None)
    if look.routing is None or look.utilization is None:
        return Decision(size, "there is no measurement yet", None, _unmeasured(state))
    state = _seen(look, state, policy)
    return _grown(look, state, policy) or _shrunk(look, state, policy) or _unchanged(look, state, policy)


def has_room(nodes: Sequence[Node] | None, size: Size, wanted: Size, memory: float) -> bool:
    """Return whether a cluster has room for another size of the router; True when its room is unknown.

    Pods of more or fewer cores replace the others one after the other: each is placed before an old one ends.

    Parameters:
        nodes: the room of the cluster.
        size: the present size. Each node says how many of these pods it has.
        wanted: the other size.
        memory: the memory in bytes that a pod requests.

    Example:
        >>> has_room([Node(cpu=0.5, memory=8e9, routers=2)], Size(0.5, 2), Size(1, 2), memory=5e8)
        False
        >>> has_room([Node(cpu=1.5, memory=8e9, routers=2)], Size(0.5, 2), Size(1, 2), memory=5e8)
        True

    """
    if nodes is None:
        return True
    free = [[node.cpu, node.memory, node.routers] for node in nodes]
    replaced = wanted.cpu != size.cpu
    for _ in range(wanted.pods if replaced else wanted.pods - size.pods):
        fitting = [node for node in free if node[0] >= wanted.cpu - _CLOSE and node[1] >= memory]
        if not fitting:
            return False
        chosen = max(fitting, key=lambda node: node[0])
        chosen[0] -= wanted.cpu
        chosen[1] -= memory
        old = max((node for node in free if node[2]), key=lambda node: node[2], default=None) if replaced else None
        if old is not None:
            old[0] += size.cpu
            old[1] += memory
            old[2] -= 1
    return True


def _seen(look: Look, state: State, policy: RouterScaling) -> State:
    """Return the state with the measurements of a look."""
    if state.looked is None or look.time - state.looked > _GAP:
        state = replace(_unmeasured(state), looked=look.time)
    elapsed = look.time - (state.looked or 0.0)
    slow = _milliseconds(look) > policy.routing_ms
    used = 100 * (look.utilization or 0.0)
    return replace(
        state,
        looked=look.time,
        slow_for=state.slow_for + elapsed if slow else max(state.slow_for - elapsed / 2, 0.0),
        down_since=_since(state.down_since, not slow and used <= policy.down_utilization, look.time),
        in_since=_since(state.in_since, not slow and used <= policy.in_utilization, look.time),
        wait=policy.shrink_seconds if state.wait is None else state.wait,
    )


def _grown(look: Look, state: State, policy: RouterScaling) -> Decision | None:
    """Return the decision to grow, or that the cluster has no room for it; None when it is not time to grow."""
    size, slow_for = look.size, state.slow_for
    if _milliseconds(look) <= policy.routing_ms or look.time < state.full_until:
        return None
    slow = f"routing a request takes {_milliseconds(look):.1f} ms, more than {policy.routing_ms:g} ms"
    up = Size(min(2 * size.cpu, policy.max_cpu), size.pods)
    out = Size(size.cpu, size.pods + 1)
    can_up, can_out = size.cpu < policy.max_cpu, size.pods < policy.max_pods
    if can_up and slow_for >= policy.up_seconds:
        if has_room(look.nodes, size, up, look.memory):
            return _changed(look, state, up, RouterStep.UP, f"{slow}, for {slow_for:.0f} s")
        if not can_out or not has_room(look.nodes, size, out, look.memory):
            return _full(look, state, policy, f"{slow}: no node has room for a pod of {up.cpu:g} cores")
    if can_out and slow_for >= (policy.out_seconds if not can_up else max(policy.up_seconds, policy.out_seconds)):
        if not has_room(look.nodes, size, out, look.memory):
            return _full(look, state, policy, f"{slow}: no node has room for another pod of {size.cpu:g} cores")
        why = "pods have the most cores" if not can_up else f"no node has room for a pod of {up.cpu:g} cores"
        return _changed(look, state, out, RouterStep.OUT, f"{slow}, for {slow_for:.0f} s; {why}")
    return None


def _shrunk(look: Look, state: State, policy: RouterScaling) -> Decision | None:
    """Return the decision to shrink; None when it is not time to."""
    size, wait = look.size, state.wait or 0.0

    def low(since: float | None) -> bool:
        return since is not None and look.time - since >= wait

    used = f"{100 * (look.utilization or 0.0):.0f} % of the requested CPU is in use"
    if size.cpu > policy.min_cpu and low(state.down_since) and look.time >= state.full_until:
        smaller = Size(max(size.cpu / 2, policy.min_cpu), size.pods)
        reason = f"{used}, at most {policy.down_utilization} % for {wait:.0f} s"
        if not has_room(look.nodes, size, smaller, look.memory):
            return _full(
                look, state, policy, f"{reason}: no node has room for a pod of {smaller.cpu:g} cores beside them"
            )
        return _changed(look, state, smaller, RouterStep.DOWN, reason)
    if size.cpu <= policy.min_cpu and size.pods > policy.min_pods and low(state.in_since):
        reason = f"{used}, at most {policy.in_utilization} % for {wait:.0f} s; pods have the fewest cores"
        return _changed(look, state, Size(size.cpu, size.pods - 1), RouterStep.IN, reason)
    return None


def _unchanged(look: Look, state: State, policy: RouterScaling) -> Decision:
    reason = "size and load match"
    if _milliseconds(look) > policy.routing_ms:
        largest = look.size == Size(policy.max_cpu, policy.max_pods)
        reason = "routing is slow"
        reason += ": the router has its largest size" if largest else ""
        reason += ": the cluster has no room" if not largest and look.time < state.full_until else ""
    return Decision(look.size, reason, None, state)


def _without_room(look: Look, state: State, policy: RouterScaling) -> Decision:
    """Return the decision when a pod of the router finds no node: go back to the size before, or one step down.

    The pods of the size before are still there, so that going back takes no new ones.
    """
    size = look.size
    state = replace(_unmeasured(state), full_until=look.time + policy.room_seconds)
    back = state.before
    if back is None and size.pods > policy.min_pods:
        back = Size(size.cpu, size.pods - 1)
    if back is None and size.cpu > policy.min_cpu:
        back = Size(max(size.cpu / 2, policy.min_cpu), size.pods)
    if back is None:
        return Decision(size, f"no room for a pod: {look.obstacle}", None, state)
    reason = f"the cluster has no room for {size}: {look.obstacle}"
    return Decision(back, reason, RouterStep.NO_ROOM, replace(state, before=None, changed=look.time))


def _full(look: Look, state: State, policy: RouterScaling, reason: str) -> Decision:
    state = replace(state, full_until=look.time + policy.room_seconds)
    return Decision(look.size, reason, RouterStep.NO_ROOM, state)


def _changed(look: Look, state: State, size: Size, step: RouterStep, reason: str) -> Decision:
    """Return a decision with another size, and the state after it: all measurements begin again."""
    state = replace(_unmeasured(state), changed=look.time, before=None)
    if step in PLACING:
        state = replace(state, before=look.size)
    if step in (RouterStep.UP, RouterStep.OUT):
        state = replace(state, wait=_longer_wait(state, look.time))
    if step in (RouterStep.DOWN, RouterStep.IN):
        state = replace(state, shrunk=look.time)
    return Decision(size, reason, step, state)


def _longer_wait(state: State, now: float) -> float | None:
    """Return the wait before the router shrinks: twice the last one, if it grows again soon after it has shrunk."""
    if state.wait is None or now - state.shrunk > 2 * state.wait:
        return None
    return max(min(2 * state.wait, _LONGEST_WAIT), state.wait)


def _unmeasured(state: State) -> State:
    return replace(state, looked=None, slow_for=0.0, down_since=None, in_since=None)


def _since(since: float | None, holds: bool, now: float) -> float | None:
    if not holds:
        return None
    return now if since is None else since


def _milliseconds(look: Look) -> float:
    return 1000 * (look.routing or 0.0)
