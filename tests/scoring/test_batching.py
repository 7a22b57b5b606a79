"""The decisions about batches, as tables and properties."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mljupyter.scoring.server.admission import Action, Load, admit
from mljupyter.scoring.server.batching import MAX_BATCH_BYTES, WAIT_SHARE, first_batch, seconds_to_wait


@pytest.mark.parametrize(
    ("waiting", "expected", "usual_run", "free_for", "seconds"),
    [
        (1, 1, 0.1, 0.0, 0.0),  # alone before, alone now
        (1, 8, 0.1, 0.0, 0.01),  # seven more have just been answered and may ask again
        (7, 8, 0.1, 0.0, 0.01),
        (8, 8, 0.1, 0.0, 0.0),  # all are back
        (64, 100, 0.1, 0.0, 0.0),  # as many as a batch holds
        (1, 8, 0.1, 0.004, 0.006),  # the wait counts from the end of the run, not from the arrival
        (1, 8, 0.1, 5.0, 0.0),  # a late one does not wait
        (1, 8, None, 0.0, 0.0),  # nothing is known yet
        (1, 8, 0.005, 0.0, 0.0),  # a tenth of this is too short for a timer
    ],
)
def test_the_wait_for_a_fuller_batch(
    waiting: int, expected: int, usual_run: float | None, free_for: float, seconds: float
) -> None:
    assert seconds_to_wait(waiting, expected, 64, usual_run, free_for) == pytest.approx(seconds)


@given(
    waiting=st.integers(1, 200),
    expected=st.integers(0, 200),
    most=st.integers(2, 100),
    usual_run=st.floats(0, 100),
    free_for=st.floats(0, 100),
)
def test_the_wait_never_exceeds_its_share(
    waiting: int, expected: int, most: int, usual_run: float, free_for: float
) -> None:
    seconds = seconds_to_wait(waiting, expected, most, usual_run, free_for)
    assert 0 <= seconds <= max(0.0, usual_run * WAIT_SHARE - free_for)
    if waiting >= expected or waiting >= most:
        assert seconds == 0


@given(sizes=st.lists(st.integers(0, 2 * MAX_BATCH_BYTES)), most=st.integers(1, 100))
def test_a_batch_is_as_large_as_allowed_and_never_empty(sizes: list[int], most: int) -> None:
    count = first_batch(sizes, most)
    assert count <= most and (count > 0) == bool(sizes)
    assert count <= 1 or sum(sizes[:count]) <= MAX_BATCH_BYTES
    if 0 < count < min(most, len(sizes)):
        assert sum(sizes[: count + 1]) > MAX_BATCH_BYTES


def busy(**changes: object) -> Load:
    load = Load(ready=True, running=1, waiting=0, concurrency=1, usual_run=0.05, shortest_elapsed=0.0, batch=8)
    return load._replace(**changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("load", "stay"),
    [
        (busy(), 0.15),  # two runs, and the moment that any request stays
        (busy(waiting=7), 0.15),
        (busy(waiting=8), 0.05),  # the batch after the next one is another replica's
        (busy(usual_run=None), 0.05),
        (busy(shortest_elapsed=0.3), 0.05),  # the run before it hangs
        (busy(batch=1), 0.05),
    ],
)
def test_routed_requests_stay_as_long_as_they_fit_into_the_next_batch(load: Load, stay: float) -> None:
    assert admit(load, 0.0, 10.0) == (Action.WAIT, pytest.approx(stay), Action.BUSY)


def test_requests_about_to_start_are_joined_and_a_replica_without_worker_is_left() -> None:
    assert admit(busy(running=0, waiting=3), 0.0, 10.0).action is Action.RUN
    assert admit(busy(ready=False), 0.0, 10.0).action is Action.BUSY
    assert admit(busy(), 9.95, 10.0)[2] is Action.OVERDUE


@given(
    load=st.builds(
        Load,
        ready=st.booleans(),
        running=st.integers(0, 20),
        waiting=st.integers(0, 2000),
        concurrency=st.integers(1, 20),
        usual_run=st.none() | st.floats(0, 100),
        shortest_elapsed=st.floats(0, 100),
        batch=st.integers(1, 100),
    ),
    age=st.none() | st.floats(0, 100),
    max_wait=st.floats(0, 10),
)
def test_no_decision_about_batches_breaks_a_limit(load: Load, age: float | None, max_wait: float) -> None:
    action, timeout, _ = admit(load, age, max_wait)
    if action is Action.RUN:
        assert load.ready and load.running < load.concurrency and load.waiting < load.batch
    if action is Action.WAIT:
        assert 0 < timeout <= max_wait - (age or 0.0) + 1e-9
    assert age is not None or action is not Action.BUSY
