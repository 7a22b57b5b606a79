"""How many replicas have room on a machine."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mljupyter.engine.scaling.capacity import Capacity, Claim, admit
from mljupyter.spec import Resources

LAPTOP = Capacity(cpu=4, memory_in_gb=8)


def claim(name: str, wanted: int, *, least: int = 1, present: int = 0, cpu: float = 0.1, memory: float = 0.5) -> Claim:
    return Claim((name, name), wanted, least, present, Resources(cpu=cpu, memory_in_gb=memory))


def admitted(*claims: Claim, capacity: Capacity = LAPTOP) -> list[int]:
    found = admit(claims, capacity)
    return [found[item.version].replicas for item in claims]


def test_the_default_size_is_small_enough_for_a_small_machine() -> None:
    assert admitted(claim("a", 10), capacity=Capacity(2, 5)) == [10]


def test_there_are_no_more_than_cores_and_memory_admit() -> None:
    assert admitted(claim("a", 10, cpu=1)) == [4]
    assert admitted(claim("a", 10, memory=3)) == [2]
    assert admitted(claim("a", 10, cpu=0.8)) == [5]


def test_every_version_has_its_first_replica() -> None:
    assert admitted(*(claim(name, 3, cpu=2) for name in "abcde")) == [1, 1, 1, 1, 1]


def test_one_that_does_not_fit_the_machine_has_none_and_says_why() -> None:
    found = admit([claim("a", 1, cpu=8)], LAPTOP)["a", "a"]
    assert found.replicas == 0
    assert found.shortage is not None
    assert "8 cores" in found.shortage
    assert "the machine has 4 cores and 8.0 GB" in found.shortage


def test_a_shortage_names_the_numbers() -> None:
    found = admit([claim("a", 9, cpu=1)], LAPTOP)["a", "a"]
    assert found.shortage is not None
    assert "9 replicas of 1 cores and 0.5 GB each are desired, and 4 fit" in found.shortage


def test_what_there_should_always_be_comes_before_what_the_load_asks_for() -> None:
    assert admitted(claim("a", 4, present=4, cpu=1), claim("b", 3, least=3, cpu=1)) == [1, 3]


def test_what_runs_comes_before_what_does_not_run_yet() -> None:
    assert admitted(claim("a", 4, cpu=1), claim("b", 3, present=3, cpu=1)) == [1, 3]


claims = st.builds(
    claim,
    st.just("x"),
    st.integers(0, 50),
    least=st.integers(1, 5),
    present=st.integers(0, 50),
    cpu=st.floats(0.1, 6),
    memory=st.floats(0.1, 12),
)


@given(st.lists(claims, max_size=6), st.floats(0.5, 64), st.floats(0.5, 256))
def test_nobody_has_more_than_wanted_and_all_that_is_beyond_the_first_fits(items, cpu, memory) -> None:
    items = [item._replace(version=(str(number), "v")) for number, item in enumerate(items)]
    found = admit(items, Capacity(cpu, memory))
    given_to = [(found[item.version].replicas, item) for item in items]
    assert all(count <= item.wanted for count, item in given_to)
    assert all((found[item.version].shortage is None) == (count == item.wanted) for count, item in given_to)
    if any(count > 1 for count, _ in given_to):
        assert sum(count * item.resources.cpu for count, item in given_to) <= cpu + 1e-6
        assert sum(count * item.resources.memory_in_gb for count, item in given_to) <= memory + 1e-6


@given(st.lists(claims, min_size=1, max_size=6))
def test_what_was_given_is_given_again(items) -> None:
    """Nothing is started to be stopped again: with what was admitted running, the answer stays."""
    items = [item._replace(version=(str(number), "v"), present=0) for number, item in enumerate(items)]
    first = admit(items, LAPTOP)
    again = admit([item._replace(present=first[item.version].replicas) for item in items], LAPTOP)
    assert {key: item.replicas for key, item in again.items()} == {key: item.replicas for key, item in first.items()}
