from __future__ import annotations

import pytest

from mljupyter.transfer.selection import Action, chosen, decided


def actions(archived: dict, present: dict, used: dict, *, renumber: bool = False) -> list[tuple[str, str, str]]:
    found = decided(archived, present, used, renumber=renumber)
    return [(one.id, str(one.action), one.new_id) for one in found]


def test_names_select_all_versions_and_ids_select_one() -> None:
    present = ["lasso:1", "ridge:1", "ridge:2"]
    assert chosen("model", None, present) == present
    assert chosen("model", ["ridge"], present) == ["ridge:1", "ridge:2"]
    assert chosen("model", ["ridge:2", "lasso"], present) == ["lasso:1", "ridge:2"]


@pytest.mark.parametrize(
    ("wanted", "hint"), [("rigde", "Did you mean 'ridge'"), ("other", "There are"), ("ridge:9", "ridge")]
)
def test_an_unknown_name_is_an_error_with_the_nearest_one(wanted: str, hint: str) -> None:
    with pytest.raises(LookupError, match=hint):
        chosen("model", [wanted], ["ridge:1"])


def test_a_new_item_keeps_its_number() -> None:
    assert actions({("ridge", 3): "c"}, {("ridge", 1): "a"}, {"ridge": 1}) == [("ridge:3", "add", "ridge:3")]


def test_an_item_with_the_same_content_is_kept() -> None:
    assert actions({("ridge", 1): "a"}, {("ridge", 1): "a"}, {"ridge": 1}) == [("ridge:1", "keep", "ridge:1")]


def test_other_content_and_the_number_of_a_deleted_item_are_conflicts() -> None:
    archived = {("ridge", 1): "b", ("ridge", 2): "c"}
    assert [one.action for one in decided(archived, {("ridge", 1): "a"}, {"ridge": 2})] == [Action.CONFLICT] * 2


def test_renumbered_items_come_after_all_numbers_that_stay() -> None:
    archived = {("ridge", 1): "b", ("ridge", 5): "e"}
    assert actions(archived, {("ridge", 1): "a"}, {"ridge": 1}, renumber=True) == [
        ("ridge:1", "renumber", "ridge:6"),
        ("ridge:5", "add", "ridge:5"),
    ]


def test_renumbering_finds_the_version_that_has_the_content_already() -> None:
    present = {("ridge", 1): "a", ("ridge", 2): "b"}
    assert actions({("ridge", 1): "b"}, present, {"ridge": 2}, renumber=True) == [("ridge:1", "keep", "ridge:2")]
