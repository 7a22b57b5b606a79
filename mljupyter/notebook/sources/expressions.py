"""Values of the user's namespace, given by a variable or an expression of variables."""

from __future__ import annotations

import ast
import builtins
import os
import re
from collections.abc import Mapping
from typing import Any

from mljupyter.notebook.options.option_values import WrongInputError, near

_PLACEHOLDER = re.compile(r"\$\$|\{\{|\}\}|\$([A-Za-z_]\w*)|\{([^{}]*)\}")
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

    def replaced(found: re.Match[str]) -> str:
        source = found[1] or found[2]
        if found[0] in _DOUBLED:
            return found[0][0]
        if not source or not source.strip():
            raise WrongInputError(f"{text}: there is no variable between the braces. For example: {{config_path}}")
        try:
            value = value_of(source.strip(), namespace)
        except WrongInputError as error:
            raise WrongInputError(f"{found[0]} in {text!r} has no value: {error.message}") from None
        if isinstance(value, bool) or not isinstance(value, str | int | float | os.PathLike):
            raise WrongInputError(f"{found[0]} is a {type(value).__name__}: it must be text, a number or a path.")
        return os.fspath(value) if isinstance(value, os.PathLike) else str(value)

    return _PLACEHOLDER.sub(replaced, text)


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
    """Return the value of a variable, or of an expression of variables without spaces.

    Raises:
        WrongInputError: it is not an expression, or a name in it is unknown.

    """
    try:
        tree = ast.parse(text, mode="eval")
    except (MemoryError, RecursionError, SyntaxError, ValueError):
        raise WrongInputError(f"{text!r} is neither JSON nor a variable. A file is written @path.") from None
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id not in namespace and not hasattr(builtins, node.id):
            known = [name for name in namespace if not name.startswith("_")]
            hint = near(node.id, known)
            raise WrongInputError(f"There is no variable {node.id!r}.{hint if 'mean' in hint else ''}")
    try:
        return eval(compile(tree, "<magic>", "eval"), dict(namespace))  # noqa: S307 - the user's own expression, in the user's own kernel
    except Exception as error:
        raise WrongInputError(f"{text} cannot be evaluated: {type(error).__name__}: {error}") from error
