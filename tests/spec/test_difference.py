"""What differs between two documents, as people read it."""

from __future__ import annotations

from mljupyter.spec.difference import difference_lines


def test_fields_that_differ_and_members_that_come_and_go() -> None:
    before = {"name": "a", "tags": {"x": "1"}, "versions": {"one": {"models": [{"name": "m", "version": 1}], "n": 1}}}
    after = {
        "name": "a",
        "tags": {},
        "versions": {"one": {"models": [{"name": "m", "version": 2}], "n": 1}, "two": {"n": 1}},
    }
    assert difference_lines(before, after) == [
        "tags.x: 1 → none",
        "versions.one.models[0].version: 1 → 2",
        "versions.two: added",
    ]
    assert difference_lines(after, before)[-1] == "versions.two: removed"
    assert difference_lines(before, before) == []


def test_digests_are_short_and_values_of_environment_variables_hidden() -> None:
    before = {"versions": {"one": {"digest": "sha256:" + "a" * 64, "environmentVariables": {"TOKEN": "secret-1"}}}}
    after = {
        "versions": {"one": {"digest": "sha256:" + "b" * 64, "environmentVariables": {"TOKEN": "secret-2", "N": "s"}}}
    }
    assert difference_lines(before, after) == [
        f"versions.one.digest: sha256:{'a' * 12} → sha256:{'b' * 12}",
        "versions.one.environmentVariables.N: none → ***",
        "versions.one.environmentVariables.TOKEN: *** → ***",
    ]


def test_many_differences_are_cut() -> None:
    lines = difference_lines({str(number): 1 for number in range(100)}, {str(number): 2 for number in range(100)})
    assert len(lines) == 41
    assert lines[-1] == "... and 60 more"
