"""The table of features in docs/jupyterlab.md is filled, and names tests that exist."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from tests.docs.blocks import ROOT

COLUMNS = 11
_NAMED = re.compile(r"`((?:tests|widgets-js)/[\w./-]+)(?:::(\w+))?`")


def rows() -> list[list[str]]:
    """Return the cells of the rows of both tables."""
    text = (ROOT / "docs" / "jupyterlab.md").read_text(encoding="utf-8").partition("## What other extensions have")[2]
    lines = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| feature")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


@cache
def names_in(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, kinds))


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_a_feature_has_a_mark_in_every_column_and_a_test_that_exists(row: list[str]) -> None:
    assert len(row) in (2, COLUMNS)
    assert all(row)
    named = _NAMED.findall(row[-1])
    assert named
    for path, test in named:
        assert (ROOT / path).exists(), path
        assert not test or test in names_in(path), f"{path} has no {test}"


def test_both_tables_have_all_their_rows() -> None:
    assert [len(row) for row in rows()].count(COLUMNS) == 29
    assert [len(row) for row in rows()].count(2) == 14
