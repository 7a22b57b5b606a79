"""docs/errors.md has a heading for every code that an error, a problem or an answer can have."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import mljupyter
from mljupyter.engine.envoy.error_replies import OTHERWISE, REPLIES
from mljupyter.kubernetes.objects import pod_state
from mljupyter.scoring.messages import _CODES

PACKAGE = Path(mljupyter.__file__).parent
PAGE = Path(__file__).parents[2] / "docs" / "errors.md"
CODE = re.compile(r"[A-Z][A-Za-z]+\Z")
TOKEN = re.compile(r"([A-Z][A-Za-z]+NotFound): ")
KINDS_NOT_FOUND = ("Model", "Environment", "Image")  # mljupyter.registry.catalog.versioned.missing makes these


def test_every_code_has_a_heading() -> None:
    headings = set(re.findall(r"^### (\w+)$", PAGE.read_text(), re.MULTILINE))
    codes = {reply.code for reply in REPLIES} | {OTHERWISE, *_CODES.values()} | set(codes_in_source())
    codes |= pod_state._NOT_PULLED | pod_state._NOT_CONFIGURED | pod_state._FATAL
    codes |= {f"{kind}NotFound" for kind in KINDS_NOT_FOUND}
    assert len(codes) > 60
    assert not codes - headings, "add a heading and a text to docs/errors.md"


def codes_in_source() -> Iterator[str]:
    """Yield the codes of error classes, problems and JSON answers, and the first words of texts."""
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if not re.search(r"\bcode\b|NotFound: ", text):
            continue
        tree = ast.parse(text)
        module = ".".join(("mljupyter", *path.relative_to(PACKAGE).with_suffix("").parts))
        for node in ast.walk(tree):
            yield from (code for value in _values(node) if (code := _text(value, module)) and CODE.match(code))
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and (token := TOKEN.match(node.value)):
                yield token[1]


def _values(node: ast.AST) -> Iterator[ast.expr]:
    """Yield the expressions of codes in a node."""
    if isinstance(node, ast.ClassDef):
        for one in node.body:
            if isinstance(one, ast.Assign) and isinstance(one.targets[0], ast.Name) and one.targets[0].id == "code":
                yield one.value
            if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name) and one.target.id == "code":
                yield from [one.value] if one.value else []
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Problem":
        for keyword in node.keywords:
            if keyword.arg == "code":
                yield from _branches(keyword.value)
    elif isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and key.value == "code":
                yield value


def _branches(value: ast.expr) -> list[ast.expr]:
    return [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]


def _text(value: ast.expr, module: str) -> str | None:
    """Return the text of a constant, or of the module's constant of that name."""
    if isinstance(value, ast.Constant):
        return value.value if isinstance(value.value, str) else None
    if isinstance(value, ast.Name) and value.id.isupper():
        found = getattr(import_module(module), value.id, None)
        return found if isinstance(found, str) else None
    return None
