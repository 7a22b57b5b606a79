"""The hints in the messages of magics, forms and the SDK: what they name can be run as it stands."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import mljupyter

_KNOWN = re.compile(
    # These act on an endpoint that exists: whoever writes the message knows its name.
    r"%(?:invoke|rollout|logs|traffic|undeploy|scale|rollback|monitor) NAME\b"
    r"|mljupyter endpoint [a-z-]+ NAME\b|mljupyter service [a-z-]+ -n NAME\b"
    r"|webservices\[NAME\]|(?:update|delete)_version\(NAME\b"
)


def texts_of(file: Path) -> list[str]:
    """Return the texts in a module, without its docstrings."""
    tree = ast.parse(file.read_text())
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in docs]
    return [node.value for node in constants if isinstance(node.value, str)]


def test_no_message_has_a_placeholder_where_the_name_of_the_endpoint_is_known() -> None:
    package = Path(mljupyter.__file__).parent
    found = {
        str(file.relative_to(package)): text
        for file in sorted(package.rglob("*.py"))
        if "NAME" in file.read_text(encoding="utf-8")  # to parse all of them takes seconds
        for text in texts_of(file)
        if _KNOWN.search(text)
    }
    assert found == {}
