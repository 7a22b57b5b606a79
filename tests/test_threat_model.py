"""The threat model names a test for each of its promises, and all of these tests exist."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "threat-model.md"
COLUMN = "test"
_NAME = re.compile(r"`(tests/[\w/.-]+\.py)((?:::\w+)+)(?:\[[^`]*\])?`")
_PATH = re.compile(r"`(tests/[^`]*)`")
_RULE = re.compile(r"\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*")


@dataclass(frozen=True)
class Row:
    """A row of a table: the line it is in, its cells, and the cell of the column of tests."""

    line: int
    cells: tuple[str, ...]
    tests: str


def cells_of(line: str) -> list[str]:
    """Return the cells of a table's line; a bar in code or behind a backslash belongs to its cell."""
    line = re.sub(r"`[^`]*`", lambda found: found[0].replace("|", "\0"), line.strip().replace("\\|", "\0"))
    return [cell.strip().replace("\0", "|") for cell in line.strip("|").split("|")]


def rows_of(text: str) -> list[Row]:
    """Return the rows of all tables that have a column of tests."""
    lines = text.splitlines()
    rows: list[Row] = []
    column: int | None = None
    inside = False
    for number, line in enumerate(lines):
        following = lines[number + 1] if number + 1 < len(lines) else ""
        if "|" not in line:
            inside, column = False, None
        elif not inside and "|" in following and _RULE.fullmatch(following):
            inside = True
            heads = [head.strip("*_ ").lower() for head in cells_of(line)]
            column = next((index for index, head in enumerate(heads) if head in (COLUMN, f"{COLUMN}s")), None)
        elif inside and column is not None and not _RULE.fullmatch(line):
            cells = cells_of(line)
            rows.append(Row(number + 1, tuple(cells), cells[column] if column < len(cells) else ""))
    return rows


def problem_with(path: str, names: list[str], root: Path = ROOT) -> str:
    """Return why there is no such test, empty where there is one; `names` are those of its classes and its own."""
    file = root / path
    if not file.is_file():
        return f"there is no {path}"
    if not (file.name.startswith("test_") or file.name.endswith("_test.py")):
        return f"pytest does not collect {path}"
    known = _tests_in(file)
    return "" if tuple(names) in known else f"{path} has no test {'::'.join(names)}"


@cache
def _tests_in(file: Path) -> frozenset[tuple[str, ...]]:
    found: set[tuple[str, ...]] = set()

    def look(body: list[ast.stmt], outer: tuple[str, ...]) -> None:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"):
                found.add((*outer, node.name))
            elif isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
                look(node.body, (*outer, node.name))
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                found.add((*outer, node.targets[0].id, "runTest"))  # Hypothesis: TestX = Machine.TestCase

    look(ast.parse(file.read_text(encoding="utf-8")).body, ())
    return frozenset(found)


def problems_of(text: str, root: Path = ROOT) -> list[str]:
    """Return what is wrong with a threat model: promises without a test, names of tests that are not there."""
    rows = rows_of(text)
    found = [] if rows else [f"no table has a column {COLUMN!r}"]
    found += [f"line {row.line}: no test holds: {row.cells[0]}" for row in rows if not _NAME.search(row.tests)]
    for number, line in enumerate(text.splitlines(), 1):
        named = {match[0]: match for match in _NAME.finditer(line)}
        for match in named.values():
            problem = problem_with(match[1], match[2].removeprefix("::").split("::"), root)
            found += [f"line {number}: {problem}"] if problem else []
        for path in _PATH.finditer(line):
            if path[0] not in named and not any((root / path[1].rstrip("/")).parent.glob(Path(path[1]).name)):
                found.append(f"line {number}: there is no {path[1]}")
    return found


def test_every_promise_of_the_threat_model_names_a_test_that_exists() -> None:
    assert problems_of(DOCUMENT.read_text(encoding="utf-8")) == []


MODEL = """
| claim | who | **Tests** |
|:--|--|--:|
| a `x|y` holds | all \\| some | `tests/test_a.py::test_one[a-1]`, `tests/test_a.py::TestB::test_two` |
{row}

| not | of | promises |
|---|---|---|
| 1 | 2 | 3 |
"""


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("| good | | see `tests/test_a.py` and `tests/test_a.py::test_later` |", ""),
        ("| bare | | by design |", "line 5: no test holds: bare"),
        ("| short |", "line 5: no test holds: short"),
        ("| file | | `tests/test_a.py` |", "line 5: no test holds: file"),
        ("| gone | | `tests/test_a.py::test_gone` |", "line 5: tests/test_a.py has no test test_gone"),
        (
            "| half | | `tests/test_a.py::test_one`, `tests/test_b.py::test_one` |",
            "line 5: there is no tests/test_b.py",
        ),
        ("| no | | `tests/help.py::test_one` |", "line 5: pytest does not collect tests/help.py"),
        ("| odd | | `tests/test_a.py::test_one`, `tests/nowhere/` |", "line 5: there is no tests/nowhere/"),
    ],
)
def test_a_promise_without_a_test_and_a_test_that_is_gone_are_found(row: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    body = "def test_one(): ...\nasync def test_later(): ...\nclass TestB:\n    def test_two(self): ...\n"
    (tmp_path / "tests" / "test_a.py").write_text(body)
    (tmp_path / "tests" / "help.py").write_text("def test_one(): ...\n")
    assert problems_of(MODEL.format(row=row), tmp_path) == ([problem] if problem else [])


def test_a_document_without_such_a_table_is_wrong() -> None:
    assert problems_of("| a | b |\n|---|---|\n| 1 | 2 |\n") == ["no table has a column 'test'"]
