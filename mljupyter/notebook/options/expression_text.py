"""The text of a Python expression on a line: its end, its place in braces, and its form as one word."""

from __future__ import annotations

import ast
import io
import token as kinds
import tokenize
import warnings
from collections.abc import Iterator
from itertools import accumulate

_OPEN, _CLOSE = "([{", ")]}"
_STRING_START = getattr(kinds, "FSTRING_START", -1)  # from Python 3.12 on, an f-string has tokens of its own
_STRING_END = getattr(kinds, "FSTRING_END", -1)
_NO_TEXT = (kinds.NEWLINE, kinds.ENDMARKER, kinds.INDENT, kinds.DEDENT)
_QUOTES = ("'", '"')


def expression_end(text: str) -> int:
    """Return where the expression at the start of a text ends: at the first space outside of brackets and strings.

    If a bracket or string is not closed, that is the end of the text.

    Example:
        >>> text = "X[['age', 'sex']] -o result"
        >>> text[: expression_end(text)]
        "X[['age', 'sex']]"

    """
    end = depth = 0
    try:
        for kind, string, start, stop in _tokens(text):
            if depth == 0 and (kind in _NO_TEXT or (text[end:start] != "" and text[end].isspace())):
                return end
            depth += _step(kind, string)
            end = stop
    except (tokenize.TokenError, SyntaxError):
        pass
    return len(text)


def closing_brace(text: str) -> int | None:
    """Return the index of the brace that closes the one at the start of a text; None if it is not closed.

    Example:
        >>> closing_brace('{paths["a}b"]}/x')
        13

    """
    depth = 0
    try:
        for kind, string, start, _ in _tokens(text):
            depth += _step(kind, string)
            if depth == 0:
                return start if string == "}" else None
    except (tokenize.TokenError, SyntaxError):
        pass
    return None


def is_expression(text: str) -> bool:
    """Return whether a text is a Python expression.

    Example:
        >>> is_expression("X[:2]"), is_expression("X[")
        (True, False)

    """
    return _tree(text) is not None


def is_text_literal(text: str) -> bool:
    """Return whether a word is nothing but a quoted text: a shell would take its quotes off.

    Example:
        >>> is_text_literal("'X[:2]'"), is_text_literal("'a,b'.split(',')")
        (True, False)

    """
    if not text.startswith(_QUOTES):
        return False
    tree = _tree(text)
    return tree is None or (isinstance(tree.body, ast.Constant) and isinstance(tree.body.value, str))


def expression_word(text: str) -> str | None:
    """Return an expression as one word of a line; None if the word needs the quotes of a shell.

    Example:
        >>> print(expression_word("X[['age', 'sex']]"), expression_word("a + b"), expression_word("X["))
        X[['age', 'sex']] (a + b) None

    """
    if not is_expression(text) or not text.isprintable() or "#" in text:
        return None
    if expression_end(text) == len(text) and not text.startswith((*_QUOTES, "-", "@", "{", "[")):
        return text
    return f"({text})"


def _tree(text: str) -> ast.Expression | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes in strings: they are shown when it is evaluated
            return ast.parse(text, mode="eval")
    except (MemoryError, RecursionError, SyntaxError, ValueError):
        return None


def _step(kind: int, string: str) -> int:
    """Return the change of the depth of brackets and strings by a token."""
    if (kind == kinds.OP and string in _OPEN) or kind == _STRING_START:
        return 1
    return -1 if (kind == kinds.OP and string in _CLOSE) or kind == _STRING_END else 0


def _tokens(text: str) -> Iterator[tuple[int, str, int, int]]:
    """Yield kind, text, start and end of each token, as positions in the text."""
    lines = text.splitlines(keepends=True)
    begins = [0, *accumulate(map(len, lines))]
    for found in tokenize.generate_tokens(io.StringIO(text).readline):
        (first, column), (last, end) = found.start, found.end
        place = begins[min(first, len(begins)) - 1] + column
        yield found.type, found.string, place, begins[min(last, len(begins)) - 1] + end
