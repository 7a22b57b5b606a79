"""Each reader gets the keys that have changed since it asked last."""

from __future__ import annotations

from mljupyter.engine.changes import Changes


def test_a_key_that_changes_again_is_returned_once_with_its_last_change() -> None:
    changes = Changes()
    for key in ("a", "b", "a"):
        changes.note(key)
    assert changes.since(0) == ["a", "b"]
    assert changes.since(2) == ["a"]
    assert changes.since(changes.number) == []


def test_two_readers_miss_nothing_of_each_other() -> None:
    changes = Changes()
    first = changes.note("a")
    assert changes.since(0) == ["a"]
    changes.note("b")
    assert changes.since(first) == ["b"]
    assert changes.since(0) == ["b", "a"]
