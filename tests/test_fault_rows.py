"""docs/faults.md has a row for each fault that a test injects, and a test for each row."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "faults.md"
_ROW = re.compile(r"\| (?P<number>-|\d+) \| (?P<what>[^|]+) \|")


def injected() -> set[tuple[int, str]]:
    """Return number and description of each mark ``faults``."""
    files = (file for file in TESTS.rglob("test_*.py") if "mark.faults(" in file.read_text(encoding="utf-8"))
    calls = (node for file in files for node in ast.walk(ast.parse(file.read_bytes())) if isinstance(node, ast.Call))
    marks = (call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "faults")
    return {(ast.literal_eval(mark.args[0]), ast.literal_eval(mark.args[1])) for mark in marks}


def rows() -> set[tuple[int, str]]:
    """Return number and description of each row of the measurements."""
    text = PAGE.read_text(encoding="utf-8").partition("## Measurements")[2]
    measured = re.sub(r"These rows have no test of their own.*?(?=\n#|\Z)", "", text, flags=re.DOTALL)
    found = (match for line in measured.splitlines() if (match := _ROW.match(line)))
    return {(0 if match["number"] == "-" else int(match["number"]), match["what"].strip()) for match in found}


def test_each_injected_fault_has_a_row() -> None:
    assert injected() - rows() == set(), f"add rows to {PAGE.name}: make test-faults prints them"


def test_each_row_has_a_test_that_injects_the_fault() -> None:
    assert rows() - injected() == set()
