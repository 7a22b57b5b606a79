"""Columns in messages to clients: missing and unknown ones by name, the nearest one, and a text of bounded length."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mljupyter.scoring.columns import missing_text, unknown_text

WIDE = [f"sensor {number}" for number in range(2000)]


def test_of_a_wide_model_only_what_is_missing_and_unknown_is_named() -> None:
    row = {name: 1 for name in WIDE if name != "sensor 77"} | {"Sensor_77": 1}
    assert missing_text(row, WIDE, WIDE) == (
        "lacks the column sensor 77, and has the unknown column Sensor_77 (did you mean sensor 77?): "
        "it needs the 2000 columns sensor 0, sensor 1, sensor 2 and 1997 more"
    )


def test_a_column_that_the_model_knows_and_does_not_use_is_not_unknown() -> None:
    assert missing_text(["id"], ["age"], ["id", "age"]) == "lacks the column age: it needs the column age"


@pytest.mark.parametrize(("name", "meant"), [("AGE", "age"), ("' age'", "age"), ("blood_presure", "blood pressure")])
def test_the_nearest_column_is_named_whatever_its_case(name: str, meant: str) -> None:
    assert unknown_text([name.strip("'")], ["age", "blood pressure"]).endswith(f"{name} (did you mean {meant}?)")


def test_a_name_like_no_other_has_no_suggestion() -> None:
    assert unknown_text(["zzz"], ["age"]) == "the unknown column zzz"


@given(st.dictionaries(st.text(), st.none()), st.lists(st.text(min_size=1), min_size=1, unique=True))
def test_the_text_is_bounded_and_names_all_that_is_missing_of_few(row: dict[str, None], needed: list[str]) -> None:
    text = missing_text(row, ["needed", *needed], ["needed", *needed])
    assert "needed" in text


def test_long_names_of_a_client_do_not_make_a_long_text() -> None:
    row = {f"{number}{'x' * 100_000}": 1 for number in range(100)}
    assert len(missing_text(row, WIDE, WIDE)) < 2500
