"""Rollouts as a state machine: never above the step, and in the end either all of it or what was there before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mljupyter.engine.rollout.canary import (
    Observation,
    aborted,
    advance,
    begin,
    collides,
    completed,
    divided,
    in_force,
    paused,
    promoted,
    resumed,
)
from mljupyter.engine.rollout.request_counts import RequestCounts
from mljupyter.engine.rollout.traffic import weights
from mljupyter.spec import EndpointSpec, Rollout, RolloutPhase, RolloutPlan, Scaling

START = datetime(2026, 1, 1, tzinfo=UTC)
CODE = {"digest": "sha256:" + "0" * 64, "entryScript": "score.py"}


def endpoint(percentiles: dict[str, int], default: str = "aaa", **mirrors: int) -> EndpointSpec:
    versions = {
        name: {"code": CODE, "trafficPercentile": share, "mirrorPercentile": mirrors.get(name, 0)}
        for name, share in percentiles.items()
    }
    return EndpointSpec.parse({"name": "shared", "defaultVersion": default, "versions": versions})


def shares(spec: EndpointSpec) -> dict[str, int]:
    percentiles = {name: version.traffic_percentile for name, version in spec.versions.items()}
    return {name: weights(percentiles, spec.default_version).get(name, 0) for name in percentiles}


def rollout(*steps: int, guard: str | None = "p95<200ms, errors<1%", **fields: object) -> Rollout:
    plan = RolloutPlan(version="bbb", steps=list(steps), every_seconds=60, guard=guard, **fields)
    return begin(plan, START, "ada")


def counts(requests: int, errors: int = 0, milliseconds: float = 50.0) -> RequestCounts:
    return RequestCounts(requests, errors, {(milliseconds, 0.0): requests} if requests else {})


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("seconds", "seen", "phase", "step", "reason"),
    [
        (59, Observation(counts=counts(1000)), "Running", 0, ""),
        (60, Observation(counts=counts(1000)), "Running", 1, ""),
        (60, Observation(counts=counts(49)), "Running", 0, "waits for 50 requests to judge"),
        (60, Observation(counts=RequestCounts(1000, 0, {(1.0, 0.1): 49})), "Running", 0, "waits for 50 requests"),
        (
            1,
            Observation(counts=counts(50, milliseconds=200)),
            "Returned",
            0,
            "p95 is 200ms over 50 requests, the guard",
        ),
        (1, Observation(counts=counts(49, milliseconds=200)), "Running", 0, ""),
        (1, Observation(counts=counts(1000, 10)), "Returned", 0, "errors are 1% (10 of 1000 requests), the guard is"),
        (1, Observation(counts=counts(1000, 9)), "Running", 0, ""),
        (1, Observation(counts=counts(2, 1)), "Returned", 0, "errors are 50% (1 of 2 requests)"),
        (1, Observation(ready=False), "Returned", 0, "the version has no ready replica"),
    ],
)
def test_one_look(seconds: float, seen: Observation, phase: str, step: int, reason: str) -> None:
    found = advance(rollout(5, 25, 100), after(seconds), seen)
    assert (found.phase, found.step) == (phase, step)
    assert found.reason.startswith(reason) if reason else not found.reason
    assert found.phase is not RolloutPhase.RETURNED or found.ended_time == after(seconds)


def test_errors_below_what_the_least_number_of_requests_may_have_wait_for_more() -> None:
    begun = rollout(5, guard="errors<10%", least_requests=100)
    assert advance(begun, after(1), Observation(counts=counts(12, 9))).phase is RolloutPhase.RUNNING
    assert advance(begun, after(1), Observation(counts=counts(12, 10))).phase is RolloutPhase.RETURNED


def test_mistakes_of_clients_neither_take_a_version_back_nor_hide_its_errors() -> None:
    begun = rollout(5, guard="errors<10%", least_requests=50)
    only_mistakes = RequestCounts(1000, 0, {(1.0, 0.0): 1000}, client_errors=900)
    assert advance(begun, after(60), Observation(counts=only_mistakes)).phase is not RolloutPhase.RETURNED
    broken = RequestCounts(1000, 40, {(1.0, 0.0): 1000}, client_errors=900)  # 4 % of all, 40 % of those that count
    found = advance(begun, after(1), Observation(counts=broken))
    assert found.phase is RolloutPhase.RETURNED
    assert "errors are 40% (40 of 100 requests)" in found.reason
    nothing_else = RequestCounts(1000, 0, {(1.0, 0.0): 1000}, client_errors=1000)
    assert "waits for 50 requests" in advance(begun, after(60), Observation(counts=nothing_else)).reason


def test_without_a_guard_time_alone_decides_and_readiness() -> None:
    begun = rollout(5, 100, guard=None)
    second = advance(begun, after(60), Observation())
    assert (second.step, second.step_time) == (1, after(60))
    assert advance(second, after(119), Observation()).phase is RolloutPhase.RUNNING
    assert advance(second, after(120), Observation()).phase is RolloutPhase.COMPLETED
    assert advance(second, after(61), Observation(ready=False)).phase is RolloutPhase.RETURNED


def test_a_pause_holds_the_step_and_the_guard_and_going_on_begins_the_step_anew() -> None:
    held = paused(rollout(5, 100), "ada")
    assert (held.phase, held.reason) == (RolloutPhase.PAUSED, "paused by ada")
    assert advance(held, after(9999), Observation(counts=counts(1000))).step == 0
    assert advance(held, after(1), Observation(counts=counts(1000, 500))).phase is RolloutPhase.RETURNED
    on = resumed(held, after(100))
    assert (on.phase, on.step, on.step_time, on.requests) == (RolloutPhase.RUNNING, 0, after(100), 0)
    assert advance(on, after(159), Observation(counts=counts(1000))).step == 0
    assert advance(on, after(160), Observation(counts=counts(1000))).step == 1


def test_what_has_ended_stays_as_it_is() -> None:
    ended = aborted(rollout(5, 100), after(3), "aborted by ada")
    assert advance(ended, after(9999), Observation(ready=False)) == ended
    assert aborted(ended, after(4), "again") == ended


def test_one_line_says_where_it_is() -> None:
    seen = advance(rollout(5, 100), after(1), Observation(counts=counts(812, 1, 43)))
    assert seen.text() == "bbb Running: 5 % (step 1 of 2), 812 requests, p95 43ms, errors 0.123%"


@pytest.mark.parametrize(
    ("percentiles", "share", "expected"),
    [
        ({"aaa": 0, "bbb": 0}, 5, {"aaa": 95, "bbb": 5}),
        ({"aaa": 90, "bbb": 10}, 25, {"aaa": 75, "bbb": 25}),
        ({"aaa": 0, "bbb": 0, "ccc": 30}, 50, {"aaa": 20, "bbb": 50, "ccc": 30}),
        ({"aaa": 0, "bbb": 0, "ccc": 30}, 80, {"aaa": 0, "bbb": 80, "ccc": 20}),
        ({"aaa": 20, "bbb": 0, "ccc": 20, "ddd": 40}, 70, {"aaa": 0, "bbb": 70, "ccc": 10, "ddd": 20}),
        ({"aaa": 0, "bbb": 0, "ccc": 30, "ddd": 30}, 95, {"aaa": 0, "bbb": 95, "ccc": 3, "ddd": 2}),
        ({"aaa": 0, "bbb": 0, "ccc": 30}, 100, {"aaa": 0, "bbb": 100, "ccc": 0}),
    ],
)
def test_a_share_is_taken_from_the_default_first_then_from_the_others(
    percentiles: dict[str, int], share: int, expected: dict[str, int]
) -> None:
    assert shares(divided(endpoint(percentiles), "bbb", share)) == expected


def test_a_mirror_that_is_rolled_out_answers_and_is_a_mirror_again_after_a_return() -> None:
    spec = endpoint({"aaa": 0, "bbb": 0}, bbb=20)
    begun = rollout(5, 100)
    assert in_force(spec, begun).versions["bbb"].mirror_percentile == 0
    returned = advance(begun, after(1), Observation(ready=False))
    assert in_force(spec, returned) is spec


def test_a_promoted_version_is_default_and_control_and_leaves_the_others_nothing() -> None:
    spec = promoted(endpoint({"aaa": 20, "bbb": 30, "ccc": 50}), "bbb")
    assert (spec.default_version, spec.control) == ("bbb", "bbb")
    assert shares(spec) == {"aaa": 0, "bbb": 100, "ccc": 0}
    assert EndpointSpec.parse(spec.document()) == spec


def test_changes_collide_when_they_touch_versions_or_shares() -> None:
    spec = endpoint({"aaa": 0, "bbb": 10})
    more = spec.versions["bbb"].model_copy(update={"scaling": Scaling(replicas=3)})
    assert not collides(spec, spec.model_copy(update={"tags": {"a": "b"}, "description": "x"}))
    assert not collides(spec, spec.model_copy(update={"versions": {**spec.versions, "bbb": more}}))
    assert collides(spec, endpoint({"aaa": 0, "bbb": 20}))
    assert collides(spec, endpoint({"aaa": 0, "bbb": 10}, default="bbb"))
    assert collides(spec, endpoint({"aaa": 0, "bbb": 10, "ccc": 0}))
    assert collides(spec, spec.model_copy(update={"compute_target": "docker"}))


percentiles = st.lists(st.integers(0, 100), min_size=2, max_size=6).filter(lambda found: sum(found) <= 100)
steps = st.sets(st.integers(1, 100), min_size=1, max_size=5).map(sorted)
looks = st.lists(
    st.tuples(
        st.floats(0, 100),
        st.booleans() | st.just(True),
        st.integers(0, 200),
        st.integers(0, 3),
        st.sampled_from([10.0, 150.0, 250.0]),
        st.sampled_from(["look", "look", "look", "pause", "resume"]),
    ),
    max_size=40,
)


@given(percentiles, steps, st.booleans(), looks)
def test_any_course_keeps_to_the_step_and_ends_at_its_end_or_exactly_where_it_began(
    given_shares: list[int], given_steps: list[int], promote: bool, course: list[tuple]
) -> None:
    names = ["aaa", "bbb", "ccc", "ddd", "eee", "fff"]
    spec = endpoint(dict(zip(names, given_shares, strict=False)))
    promote = promote and given_steps[-1] == 100
    state, now = rollout(*given_steps, promote=promote), START
    for seconds, ready, requests, errors, milliseconds, what in course:
        now += timedelta(seconds=seconds)
        if what == "pause" and state.phase is RolloutPhase.RUNNING:
            state = paused(state)
        elif what == "resume" and state.phase is RolloutPhase.PAUSED:
            state = resumed(state, now)
        before, state = (
            state,
            advance(state, now, Observation(ready, counts(requests, min(errors, requests), milliseconds))),
        )
        found = shares(in_force(spec, state))
        assert sum(found.values()) == 100
        assert state.step in (before.step, before.step + 1)
        if state.active:
            assert found["bbb"] == given_steps[state.step]
            assert ready
        else:
            assert in_force(spec, state) == spec
            assert before.active or state == before
    if state.phase is RolloutPhase.COMPLETED:
        left = completed(spec, state.plan)
        assert shares(left)["bbb"] == given_steps[-1]
        assert left.default_version == ("bbb" if promote else "aaa")
        assert EndpointSpec.parse(left.document()) == left


@given(percentiles, st.integers(1, 100))
def test_the_others_lose_in_proportion_and_nobody_gains(given_shares: list[int], share: int) -> None:
    names = ["aaa", "bbb", "ccc", "ddd", "eee", "fff"]
    spec = endpoint(dict(zip(names, given_shares, strict=False)))
    before, found = shares(spec), shares(divided(spec, "bbb", share))
    assert found["bbb"] == share
    assert sum(found.values()) == 100
    others = [name for name in before if name not in ("aaa", "bbb")]
    assert all(found[name] <= before[name] for name in others)
    if found["aaa"] > 0:
        assert all(found[name] == before[name] for name in others)
    total = sum(before[name] for name in others)
    kept = sum(found[name] for name in others)
    assert all(abs(found[name] - before[name] * kept / total) < 1 for name in others if total)


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (RequestCounts(0, 0, {}), "no requests in this step"),
        (counts(2), "2 requests, p95 50ms, errors 0%"),
        (RequestCounts(2, 0, {}), "2 requests, errors 0%"),
    ],
)
def test_a_latency_that_nobody_has_measured_is_not_said_to_be_0(seen: RequestCounts, said: str) -> None:
    assert (
        advance(rollout(5, 100), after(1), Observation(counts=seen))
        .text()
        .startswith(f"bbb Running: 5 % (step 1 of 2), {said}")
    )
