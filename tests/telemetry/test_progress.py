from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from mljupyter.telemetry.metrics.histogram import Histogram
from mljupyter.telemetry.metrics.progress import Progress
from mljupyter.telemetry.metrics.samples import Counts, total

steps = st.lists(
    st.builds(
        lambda requests, bytes_in, values: Counts(requests=requests, bytes_in=bytes_in, latency=Histogram.of(values)),
        st.integers(0, 50),
        st.integers(0, 5000),
        st.lists(st.integers(0, 3000), max_size=5),
    ),
    min_size=1,
    max_size=12,
)


@given(steps, st.sets(st.integers(0, 11)), st.sets(st.integers(0, 11)))
def test_nothing_is_lost_or_counted_twice_when_source_or_reader_begin_anew(
    steps: list[Counts], source_restarts: set[int], reader_restarts: set[int]
) -> None:
    progress, saved, process, counted, found = Progress({}), {}, 0, Counts(), []
    for number, step in enumerate(steps):
        if number in reader_restarts:
            progress = Progress(saved)
        if number in source_restarts:
            process, counted = process + 1, Counts()
        counted = counted.plus(step)
        progress.begin()
        found.append(progress.advance("router:a.b", str(process), counted))
        saved |= progress.changed()
        progress.commit()
    assert total(found) == total(steps)


@given(steps, st.sets(st.integers(0, 10)))
def test_what_could_not_be_written_down_is_told_again(steps: list[Counts], failures: set[int]) -> None:
    progress, counted, written = Progress({}), Counts(), []
    for number, step in enumerate([*steps, Counts()]):
        counted = counted.plus(step)
        progress.begin()
        new = progress.advance("router:a.b", "1", counted)
        if number not in failures or number == len(steps):
            written.append(new)
            progress.commit()
    assert total(written) == total(steps)


def test_a_source_that_counts_less_than_before_counts_from_zero() -> None:
    progress = Progress({})
    progress.advance("router:a.b", "1", Counts(requests=9))
    progress.commit()
    assert progress.advance("router:a.b", "1", Counts(requests=4)) == Counts(requests=4)


def test_sources_that_do_not_advance_need_not_be_saved_again() -> None:
    progress = Progress({})
    progress.advance("a:1", "1", Counts(requests=9))
    progress.advance("a:2", "1", Counts())
    assert set(progress.changed()) == {"a:1", "a:2"}
    progress.commit()
    progress.advance("a:1", "1", Counts(requests=9))
    progress.advance("a:2", "1", Counts(requests=1))
    assert set(progress.changed()) == {"a:2"}


def test_forgotten_sources_count_from_zero() -> None:
    progress = Progress({})
    progress.advance("a:1", "1", Counts(requests=9))
    progress.commit()
    assert progress.gone({"a:2"}) == ["a:1"]
    progress.forget(["a:1"])
    assert progress.advance("a:1", "1", Counts(requests=9)).requests == 9


def test_a_reading_that_an_earlier_release_has_saved_goes_on() -> None:
    earlier = Progress({})
    earlier.advance("replica:a", "1", Counts(runs=5))
    identity, numbers, latency = json.loads(earlier.changed()["replica:a"])
    later = Progress({"replica:a": json.dumps([identity, numbers[:-2], latency])})
    assert later.advance("replica:a", "1", Counts(runs=8, streamed=2)) == Counts(runs=3, streamed=2)


def test_counters_that_another_source_had_go_on_from_its_last_reading() -> None:
    progress = Progress({})
    progress.advance("router", "1@1", Counts(requests=5))
    progress.commit()
    progress.begin()
    assert progress.advance("router@1@1", "1@1", Counts(requests=7), after="router").requests == 2
    assert progress.advance("router", "2@2", Counts(requests=1)).requests == 1
    progress.begin()  # nothing was stored: the same again
    assert progress.advance("router@1@1", "1@1", Counts(requests=7), after="router").requests == 2
    assert progress.advance("router", "2@2", Counts(requests=1)).requests == 1
    progress.commit()
    assert progress.advance("router@1@1", "1@1", Counts(requests=8), after="router").requests == 1


def test_counters_that_stayed_while_they_became_anothers_are_known_there() -> None:
    progress = Progress({})
    progress.advance("router", "1@1", Counts(requests=5))
    progress.commit()
    assert progress.advance("router@1@1", "1@1", Counts(requests=5), after="router") == Counts()
    progress.advance("router", "2@2", Counts(requests=1))
    progress.commit()
    assert progress.advance("router@1@1", "1@1", Counts(requests=6), after="router").requests == 1
