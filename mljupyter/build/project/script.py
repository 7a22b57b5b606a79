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
        WebserviceException: when it does not end in ``.py`` or its stem is not a Python name.

    """
    path = Path(entry_script)
    if path.suffix != ".py":
        raise WebserviceException(f"entry_script is {entry_script!r}: a scoring script is a Python file, *.py.")
    if not path.stem.isidentifier() or keyword.iskeyword(path.stem):
        raise WebserviceException(
            f"entry_script is {entry_script!r}: it is imported as a module, so {path.stem!r} must be a Python "
            "name: letters, digits and '_', no digit first, no keyword. For example: 'score.py'"
        )


def check_script(file: Path) -> None:
    """Check that a scoring script parses and may define ``init`` and ``run``.

    A script may also get names by ``from ... import *``, ``exec`` or ``globals()``. Then the check at start-up decides.

    Raises:
        WebserviceException: with file, line and text of a syntax error, or with the missing name.

    """
    try:
        source = file.read_bytes()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warnings such as those for invalid escapes are not of interest here
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
        # Inside a function, only `global` statements bind names of the module.
        for inner in ast.walk(node):
            if isinstance(inner, ast.Global):
                self.bound.update(inner.names)

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815
    visit_ClassDef = visit_FunctionDef  # noqa: N815

    def visit_Lambda(self, node: ast.Lambda) -> None:
        """Skip a lambda, which has its own scope."""

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
