"""Values of the user's namespace, given by a variable or an expression of variables."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Mapping
from typing import Any

from mljupyter.notebook.options.expression_text import closing_brace
from mljupyter.notebook.options.option_values import WrongInputError, near

_PLACEHOLDER = re.compile(r"\$\$|\{\{|\}\}|\$([A-Za-z_]\w*)|\{")
_JSON_NAMES = {"true": "True", "false": "False", "null": "None"}
_MOST_SHOWN = 60
_DOUBLED = ("$$", "{{", "}}")


def expanded(text: str, namespace: Mapping[str, Any]) -> str:
    """Return a text with ``$name`` and ``{expression}`` replaced by their values.

    ``$$``, ``{{`` and ``}}`` stand for one of each.

    Raises:
        WrongInputError: a name is unknown, or a value is neither text nor a number nor a path.

    Example:
        >>> expanded("{folder}/$name.yaml", {"folder": "/etc", "name": "team"})
        '/etc/team.yaml'

    """
    whole = text
    pieces: list[str] = []
    while found := _PLACEHOLDER.search(text):
        pieces.append(text[: found.start()])
        rest = text[found.start() :]
        end = len(found[0])
        if found[0] in _DOUBLED:
            pieces.append(found[0][0])
        elif found[0] == "{":
            close = closing_brace(rest)
            end = 1 if close is None else close + 1
            pieces.append("{" if close is None else _placeholder_value(rest[:end], rest[1:close], whole, namespace))
        else:
            pieces.append(_placeholder_value(found[0], found[1], whole, namespace))
        text = rest[end:]
    return "".join([*pieces, text])


def _placeholder_value(placeholder: str, source: str, text: str, namespace: Mapping[str, Any]) -> str:
    if not source.strip():
        raise WrongInputError(f"{text}: there is no variable between the braces. For example: {{config_path}}")
    try:
        value = value_of(source.strip(), namespace)
    except WrongInputError as error:
        raise WrongInputError(f"{placeholder} in {text!r} has no value: {error.message}") from None
    if isinstance(value, bool) or not isinstance(value, str | int | float | os.PathLike):
        raise WrongInputError(f"{placeholder} is a {type(value).__name__}: it must be text, a number or a path.")
    return os.fspath(value) if isinstance(value, os.PathLike) else str(value)


def unexpanded(text: str) -> str:
    """Return a text that `expanded` turns into the given one.

    Example:
        >>> unexpanded("a$b")
        'a$$b'

    """
    return re.sub(r"[${}]", lambda found: found[0] * 2, text)


def written(text: str) -> str:
    """Return an expression for generated code: on one line, without comments.

    Example:
        >>> written("search.best_estimator_"), written("ridge # x")
        ('search.best_estimator_', 'ridge')

    """
    return ast.unparse(ast.parse(text.strip(), mode="eval"))


def value_of(text: str, namespace: Mapping[str, Any]) -> Any:
    """Return the value of a variable, or of an expression of variables.

    Parameters:
        text: the expression, with the quotes and brackets of Python.
        namespace: the variables.

    Raises:
        WrongInputError: it is not an expression, which names the place; a name in it is unknown, which names the
            nearest one; or its evaluation fails.

    Example:
        >>> value_of("rows['a'][:1]", {"rows": {"a": [1, 2]}})
        [1]

    """
    try:
        tree = ast.parse(text, mode="eval")
    except SyntaxError as error:
        raise WrongInputError(f"{_shown(text)} is not a Python expression: {_place(error)}.{_bare(text)}") from None
    except (MemoryError, RecursionError, ValueError) as error:
        raise WrongInputError(
            f"{_shown(text)} is not a Python expression: {error or 'it is nested too deep'}."
        ) from None
    try:
        return eval(compile(tree, "<magic>", "eval"), dict(namespace))  # noqa: S307 - the user's own expression, in the user's own kernel
    except NameError as error:
        used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        if error.name is None or error.name not in used:  # a name in a function that the expression calls
            raise WrongInputError(f"{text} cannot be evaluated: NameError: {error}") from error
        hint = _file(text) or _hint(error.name, namespace)
        raise WrongInputError(f"There is no variable {error.name!r}.{hint}") from None
    except Exception as error:
        raise WrongInputError(
            f"{text} cannot be evaluated: {type(error).__name__}: {error}{_bare(text) and '.'}{_bare(text)}"
        ) from error


def _bare(text: str) -> str:
    """Return how a variable is written here that has the form of a shell or of an f-string; empty for other texts."""
    found = re.fullmatch(r"\$(\w+)|\{\s*([A-Za-z_][\w.]*)\s*\}", text)
    return f" A variable is given by its name alone: {found[1] or found[2]}" if found else ""


def _place(error: SyntaxError) -> str:
    """Return the message of a syntax error with its place."""
    line = f" of line {error.lineno}" if (error.lineno or 1) > 1 else ""
    return f"{error.msg} at character {error.offset}{line}"


def _file(text: str) -> str:
    """Return how a file is given, if a text has the form of its name; empty for other texts."""
    return f" A file is given as @{text}" if re.fullmatch(r"[\w./-]+\.(csv|parquet|json|txt)", text) else ""


def _hint(name: str, namespace: Mapping[str, Any]) -> str:
    if name in _JSON_NAMES:
        return f" {name} is JSON: in Python it is {_JSON_NAMES[name]}. JSON has double quotes around its strings."
    hint = near(name, [known for known in namespace if not known.startswith("_")])
    return hint if "mean" in hint else ""


def _shown(text: str) -> str:
    return repr(text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 3]}...")
