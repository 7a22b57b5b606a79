"""The decision to run, queue or refuse, as a table and as properties."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mljupyter.scoring.admission import MAX_WAITING, SHORT_WAIT_SECONDS, Action, Decision, Load, admit, expected_wait


def load(**changes: object) -> Load:
    return Load(ready=True, running=1, waiting=0, concurrency=1, usual_run=0.001, shortest_elapsed=0.0)._replace(
        **changes
    )  # type: ignore[arg-type]


def test_a_free_slot_is_used_however_old_the_request_is() -> None:
    assert admit(load(running=0), 99.0, 0.5) == Decision(Action.RUN)


def test_nobody_overtakes_those_who_wait() -> None:
    assert admit(load(running=0, waiting=1), None, 0.5).action is Action.WAIT


def test_a_routed_request_waits_only_if_the_wait_is_short() -> None:
    assert admit(load(), 0.0, 0.5).action is Action.WAIT
    assert admit(load(waiting=3), 0.0, 0.5).action is Action.WAIT
    assert admit(load(waiting=4), 0.0, 0.5).action is Action.BUSY
    assert admit(load(usual_run=0.006), 0.0, 0.5).action is Action.BUSY


def test_an_unknown_run_time_is_not_trusted() -> None:
    assert admit(load(usual_run=None), 0.0, 0.5).action is Action.BUSY


def test_a_call_that_runs_longer_than_usual_is_noticed() -> None:
    assert admit(load(shortest_elapsed=2.0), 0.0, 0.5).action is Action.BUSY


def test_a_routed_request_over_its_time_is_refused_for_good() -> None:
    assert admit(load(), 0.5, 0.5) == Decision(Action.OVERDUE)
    assert admit(load(usual_run=1.0), 0.49, 0.5) == Decision(Action.BUSY)


def test_without_a_router_a_request_waits_its_whole_time() -> None:
    assert admit(load(usual_run=10.0), None, 0.5) == Decision(Action.WAIT, 0.5, Action.OVERDUE)
    assert admit(load(ready=False, running=0), None, 0.5) == Decision(Action.WAIT, 0.5, Action.OVERDUE)


def test_the_queue_is_bounded() -> None:
    assert admit(load(waiting=MAX_WAITING), None, 0.5).action is Action.OVERDUE
    assert admit(load(waiting=MAX_WAITING, usual_run=0.0), 0.0, 0.5).action is Action.BUSY


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
    ),
    age=st.none() | st.floats(0, 100),
    max_wait=st.floats(0, 10),
)
def test_no_decision_breaks_a_limit(state: Load, age: float | None, max_wait: float) -> None:
    action, patience, then = admit(state, age, max_wait)
    if action is Action.RUN:
        assert state.ready and state.running < state.concurrency
    if action is Action.WAIT:
        assert state.waiting < MAX_WAITING
        assert 0 < patience <= max_wait - (age or 0.0) + 1e-9
        assert then in (Action.BUSY, Action.OVERDUE)
        assert age is None or expected_wait(state) < SHORT_WAIT_SECONDS
    if age is None:
        assert action is not Action.BUSY and then is not Action.BUSY
