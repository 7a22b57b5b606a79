"""Imports inside functions: each of a module of this package needs a reason, in a comment at its place.

import-linter forbids cycles, imports inside functions included. This check keeps such imports few: they are for heavy
packages and for lazy names, and a reader must see which.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = "mljupyter"


def without_reason(text: str) -> Iterator[int]:
    """Yield the lines of imports inside functions that have no comment at their end or above them."""
    lines = text.split("\n")
    inside: set[tuple[int, int]] = set()
    for function in ast.walk(ast.parse(text)):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            inside |= {(node.lineno, node.end_lineno or node.lineno) for node in ast.walk(function) if _is_own(node)}
    explained = 0  # the last line of an import with a reason, which also holds for the imports right below it
    for first, last in sorted(inside):
        if (
            "#" in "".join(lines[first - 1 : last])
            or lines[first - 2].strip().startswith("#")
            or explained == first - 1
        ):
            explained = last
        else:
            yield first


def _is_own(node: ast.AST) -> bool:
    if isinstance(node, ast.ImportFrom):
        return node.level > 0 or (node.module or "").partition(".")[0] == PACKAGE
    return isinstance(node, ast.Import) and any(alias.name.partition(".")[0] == PACKAGE for alias in node.names)


def main() -> int:
    """Print each place without a reason; return 1 when there is one."""
    found = 0
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        for line in without_reason(path.read_text(encoding="utf-8")):
            found += 1
            print(f"{path.relative_to(ROOT)}:{line}: an import inside a function needs a reason: # why it is not above")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
