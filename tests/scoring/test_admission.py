"""The decision to run, queue or refuse, as a table and as properties."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mljupyter.scoring.server.admission import (
    LONGEST_ABSENCE_SECONDS,
    LONGEST_SEND_SECONDS,
    LONGEST_STAY_SECONDS,
    MAX_WAITING,
    SEND_BYTES_PER_SECOND,
    SHORTEST_STAY_SECONDS,
    Action,
    Decision,
    Load,
    admit,
    keep,
)


def load(**changes: object) -> Load:
    return Load(ready=True, running=1, waiting=0, concurrency=1, usual_run=0.001, shortest_elapsed=0.0)._replace(
        **changes
    )  # type: ignore[arg-type]


def test_a_free_slot_is_used_however_old_the_request_is() -> None:
    assert admit(load(running=0), 99.0, 0.5) == Decision(Action.RUN)


def test_nobody_overtakes_those_who_wait() -> None:
    assert admit(load(running=0, waiting=1), None, 0.5).action is Action.WAIT


def test_a_routed_request_stays_a_moment_and_is_then_sent_elsewhere() -> None:
    assert admit(load(), 0.0, 5.0) == Decision(Action.WAIT, SHORTEST_STAY_SECONDS, Action.BUSY)
    assert admit(load(usual_run=None, shortest_elapsed=9.0), 0.0, 5.0).timeout == SHORTEST_STAY_SECONDS


def test_the_longer_it_has_waited_the_longer_it_stays_within_a_bound() -> None:
    assert admit(load(), 0.64, 5.0).timeout == 0.08
    assert admit(load(), 4.0, 5.0).timeout == LONGEST_STAY_SECONDS


def test_a_large_body_stays_as_long_as_sending_it_again_would_take() -> None:
    assert admit(load(), 0.0, 5.0, size=SEND_BYTES_PER_SECOND // 4).timeout == SHORTEST_STAY_SECONDS + 0.25
    assert admit(load(), 0.0, 5.0, size=SEND_BYTES_PER_SECOND * 25).timeout == (
        SHORTEST_STAY_SECONDS + LONGEST_SEND_SECONDS
    )


def test_the_end_of_the_time_it_may_wait_comes_before_the_moment_it_may_stay() -> None:
    assert admit(load(), 0.499, 0.5).then is Action.OVERDUE


def test_a_routed_request_over_its_time_is_refused_for_good() -> None:
    assert admit(load(), 0.5, 0.5) == Decision(Action.OVERDUE)
    assert admit(load(), 99.0, 0.5, size=10**9) == Decision(Action.OVERDUE)


@pytest.mark.parametrize(
    ("state", "ahead", "stays"),
    [
        (load(usual_run=0.3, shortest_elapsed=0.26), 0, True),
        (load(usual_run=0.3, shortest_elapsed=0.2), 0, False),
        (load(usual_run=0.3, shortest_elapsed=0.26), 1, False),
        (load(usual_run=0.3, shortest_elapsed=0.26, concurrency=2, running=2), 1, True),
        (load(usual_run=0.3, shortest_elapsed=0.26, batch=4), 3, True),
        (load(usual_run=0.01), 3, True),
        (load(usual_run=0.01), 6, False),
        (load(usual_run=LONGEST_ABSENCE_SECONDS, shortest_elapsed=9.0), 0, True),
        (load(usual_run=None), 0, False),
        (load(usual_run=0.01, ready=False), 0, False),
    ],
)
def test_a_request_is_not_sent_away_when_its_turn_comes_before_it_is_back(state: Load, ahead: int, stays: bool) -> None:
    assert keep(state, ahead) == (LONGEST_STAY_SECONDS if stays else 0.0)


def test_without_a_router_a_request_waits_its_whole_time() -> None:
    assert admit(load(usual_run=10.0), None, 0.5) == Decision(Action.WAIT, 0.5, Action.OVERDUE)
    assert admit(load(ready=False, running=0), None, 0.5) == Decision(Action.WAIT, 0.5, Action.OVERDUE)


def test_the_queue_is_bounded() -> None:
    assert admit(load(waiting=MAX_WAITING), None, 0.5).action is Action.OVERDUE
    assert admit(load(waiting=MAX_WAITING), 0.0, 0.5).action is Action.BUSY
    assert admit(load(waiting=3, most_waiting=3), 0.0, 0.5).action is Action.BUSY
    assert admit(load(waiting=3, most_waiting=3), None, 0.5).action is Action.OVERDUE


def test_a_replica_that_is_not_ready_sends_routed_requests_elsewhere() -> None:
    assert admit(load(ready=False, running=0), 0.0, 0.5).action is Action.BUSY


@given(
    state=st.builds(
        Load,
        ready=st.booleans(),
        running=st.integers(0, 20),
        waiting=st.integers(0, 2000),
        concurrency=st.integers(1, 20),
        usual_run=st.none() | st.floats(0, 100),
        shortest_elapsed=st.floats(0, 100),
        batch=st.integers(1, 100),
        most_waiting=st.integers(0, 1000),
    ),
    age=st.none() | st.floats(0, 100),
    max_wait=st.floats(0, 10),
)
def test_no_decision_breaks_a_limit(state: Load, age: float | None, max_wait: float) -> None:
    action, timeout, then = admit(state, age, max_wait)
    if action is Action.RUN:
        assert state.ready and state.running < state.concurrency
    if action is Action.WAIT:
        assert state.waiting < state.most_waiting
        assert 0 < timeout <= max_wait - (age or 0.0) + 1e-9
        assert then in (Action.BUSY, Action.OVERDUE)
    if age is None:
        assert action is not Action.BUSY and then is not Action.BUSY
