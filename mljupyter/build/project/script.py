"""Checks of a scoring script that do not run it.

Azure: the entry script of ``InferenceConfig``.
"""

from __future__ import annotations

import ast
import keyword
import warnings
from pathlib import Path

from mljupyter.exceptions import WebserviceException

REQUIRED = ("init", "run")


def check_script_name(entry_script: str) -> None:
    """Check the file name of a scoring script: it is imported as a module.

    Raises:
        WebserviceException: when it does not end in ``.py`` or its stem is no Python name.

    """
    path = Path(entry_script)
    if path.suffix != ".py":
        raise WebserviceException(f"entry_script is {entry_script!r}: a scoring script is a Python file, *.py.")
    if not path.stem.isidentifier() or keyword.iskeyword(path.stem):
        raise WebserviceException(
            f"entry_script is {entry_script!r}: it is imported as a module, so that {path.stem!r} must be a Python "
            "name: letters, digits and '_', no digit first, no keyword. For example: 'score.py'"
        )


def check_script(file: Path) -> None:
    """Check that a scoring script parses and that ``init`` and ``run`` can be there.

    Names that a script may get by ``from ... import *``, ``exec`` or ``globals()`` are left to the check at start-up.

    Raises:
        WebserviceException: with file, line and text of a syntax error, or the name that is missing.

    """
    try:
        source = file.read_bytes()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # doubtful escapes and the like are the script's own affair
            tree = ast.parse(source, filename=str(file))
    except SyntaxError as error:
        text = f"\n    {error.text.strip()}" if error.text else ""
        raise WebserviceException(f"{file}, line {error.lineno}: {error.msg}{text}") from None
    except (OSError, ValueError) as error:
        raise WebserviceException(f"The scoring script {file} cannot be read: {error}") from None
    names = _Names()
    names.visit(tree)
    missing = [name for name in REQUIRED if name not in names.bound]
    if missing and not names.open_ended:
        raise WebserviceException(
            f"{file} does not define {' and '.join(f'{name}()' for name in missing)}. A scoring script defines init(), "
            "called once when a replica starts, and run(data), called for each request."
        )


class _Names(ast.NodeVisitor):
    """Collects the names bound at the top of a module."""

    def __init__(self) -> None:
        self.bound: set[str] = set()
        self.open_ended = False

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        self.bound.add(node.name)
        # Only `global` statements inside bind names of the module.
        for inner in ast.walk(node):
            if isinstance(inner, ast.Global):
                self.bound.update(inner.names)

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815
    visit_ClassDef = visit_FunctionDef  # noqa: N815

    def visit_Lambda(self, node: ast.Lambda) -> None:
        """Pass over a scope of its own."""

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Store):
            self.bound.add(node.id)
        elif node.id in ("exec", "globals", "setattr", "__import__"):
            self.open_ended = True

    def visit_Import(self, node: ast.Import | ast.ImportFrom) -> None:
        for alias in node.names:
            if alias.name == "*":
                self.open_ended = True
            else:
                self.bound.add(alias.asname or alias.name.partition(".")[0])

    visit_ImportFrom = visit_Import  # noqa: N815
