"""Files of ours are read and written in UTF-8, whatever the locale of the machine."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import mljupyter

_TEXT = {"read_text": 0, "write_text": 1}
"""Methods that use the encoding of the locale, and the number of their arguments before ``encoding``."""


def test_every_text_file_is_opened_with_a_named_encoding() -> None:
    package = Path(mljupyter.__file__).parent
    found = [f"{path.relative_to(package)}:{line}" for path in package.rglob("*.py") for line in _without(path)]
    assert not found, "give encoding='utf-8': without it, the locale decides"


def _without(path: Path) -> Iterator[int]:
    """Yield the lines with calls that leave the encoding to the locale."""
    for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(call, ast.Call) or any(key.arg in ("encoding", None) for key in call.keywords):
            continue
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        in_text = any(key.arg in ("text", "universal_newlines") for key in call.keywords)
        if (name in _TEXT and len(call.args) <= _TEXT[name]) or (name in ("run", "Popen", "check_output") and in_text):
            yield call.lineno
