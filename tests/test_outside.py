"""JSON, YAML and numbers of others, at their bounds."""

from __future__ import annotations

import pytest
import yaml

from mljupyter.outside import MOST_DEPTH, MOST_NODES, json_value, whole, yaml_document, yaml_value


def test_json_is_read_up_to_a_depth() -> None:
    assert json_value(b'{"a": [1, "]["]}') == {"a": [1, "]["]}
    json_value("[" * MOST_DEPTH + "]" * MOST_DEPTH)
    for text in ("[" * (MOST_DEPTH + 1) + "]" * (MOST_DEPTH + 1), "[" * 100_000):
        with pytest.raises(ValueError, match="more than 100 deep"):
            json_value(text)


def test_yaml_counts_what_aliases_stand_for() -> None:
    tens = MOST_NODES // 20  # an alias of a list of ten values counts eleven
    assert len(yaml_value("a: &a [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]\nb: [" + "*a, " * tens + "]")["b"]) == tens
    with pytest.raises(yaml.YAMLError, match="aliases counted"):
        yaml_value("a: &a [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]\nb: [" + "*a, " * 2 * tens + "]")


def test_yaml_says_where_a_value_is_that_cannot_be_read() -> None:
    with pytest.raises(yaml.MarkedYAMLError) as caught:
        yaml_value("a: 1\nb: 2026-99-99\n")
    assert caught.value.problem_mark is not None and caught.value.problem_mark.line == 1


@pytest.mark.parametrize(
    "text", ["1" + ":1" * 50_000, "0x" + "f" * 50_000, "!!int '" + "9" * 200 + "'", "1." + "0" * 200]
)
def test_yaml_reads_numbers_of_a_length_that_numbers_have(text: str) -> None:
    with pytest.raises(yaml.YAMLError, match="a number has more than 100 characters"):
        yaml_value(f"a: {text}")
    assert yaml_value(f"a: '{text}'" if "'" not in text else "a: 1") is not None


def test_an_empty_document_is_none() -> None:
    assert yaml_document("") == (None, None)


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("12", 12), ("", None), ("-1", None), ("²", None), ("٣", None)])
def test_whole_numbers_are_decimal_digits(text: str, number: int | None) -> None:
    assert whole(text) == number
    assert whole("9" * 18) == 10**18 - 1 and whole("9" * 19) is None
