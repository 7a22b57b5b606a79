"""Readers of untrusted JSON, YAML and numbers, with limits on size, depth and the expansion of aliases."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

MOST_DEPTH = 100
_MOST_DIGITS = 18
_TOO_DEEP = f"lists and objects are nested more than {MOST_DEPTH} deep"
MOST_NODES = 100_000
MOST_CHARACTERS = 1_000_000
_MOST_NUMBER_CHARACTERS = 100
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
# The errors of PyYAML's constructors for values with a valid tag or pattern but no meaning: `!!bool maybe`, 2026-99-99.
_UNUSABLE = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


def whole(text: str) -> int | None:
    """Return the number in a text of 1 to 18 decimal digits, None for any other text.

    Example:
        >>> whole("12"), whole("-1"), whole("9" * 5000)
        (12, None, None)

    """
    return int(text) if len(text) <= _MOST_DIGITS and text.isascii() and text.isdecimal() else None


def json_value(text: str | bytes) -> Any:
    """Return the value of JSON text.

    Raises:
        ValueError: when it is not JSON, or lists and objects are nested more than 100 deep.

    Example:
        >>> json_value('{"a": [1]}')
        {'a': [1]}

    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    level = [value]
    for _ in range(MOST_DEPTH + 1):
        level = [item for item in level if isinstance(item, (dict, list))]
        if not level:
            return value
        level = [child for item in level for child in (item.values() if isinstance(item, dict) else item)]
    raise ValueError(_TOO_DEEP)


def yaml_value(text: str, kind: Any = None) -> Any:
    """Return the value of YAML text; see `yaml_document`."""
    return yaml_document(text, kind)[1]


def yaml_document(text: str, kind: Any = None) -> tuple[Any, Any]:
    """Return the tree of nodes of YAML text, which has line numbers, and its value, which is plain data.

    Parameters:
        text: at most 1,000,000 characters.
        kind: a `SafeLoader` from `bounded`; None for YAML 1.1 as PyYAML reads it.

    Raises:
        yaml.YAMLError: when it is not YAML or exceeds a limit, with `problem` and `problem_mark`.

    Example:
        >>> yaml_value("a: &x [1, 2]\\nb: *x")
        {'a': [1, 2], 'b': [1, 2]}

    """
    import yaml

    if len(text) > MOST_CHARACTERS:
        raise yaml.MarkedYAMLError(problem=f"it has {len(text):,} characters, and at most {MOST_CHARACTERS:,} are read")
    loader = (kind or _plain())(text)
    node = None
    try:
        node = loader.get_single_node()
        return node, None if node is None else loader.construct_document(node)
    except yaml.YAMLError:
        raise
    except _UNUSABLE as error:
        mark = loader.unusable or getattr(node, "start_mark", None)
        raise yaml.MarkedYAMLError(problem=f"a value cannot be read ({error})", problem_mark=mark) from None
    finally:
        loader.dispose()


def bounded(base: type[Any]) -> type[Any]:
    """Return a subclass of `base`, a `SafeLoader`, that refuses documents that are too large or nested too deeply.

    Each use of an alias counts with the whole content of its anchor: a few lines of aliases of aliases can mean more
    values than fit into memory.
    """
    import yaml

    class Bounded(base):  # type: ignore[misc]
        """Counts nodes while it reads them."""

        def __init__(self, text: str) -> None:
            super().__init__(text)
            self.unusable: Any = None
            self._nodes = self._depth = 0
            self._sizes: dict[int, int] = {}

        def compose_node(self, parent: Any, index: Any) -> Any:
            """Read a node with its whole content."""
            event = self.peek_event()
            self._depth += 1
            if self._depth > MOST_DEPTH:
                raise _refusal(f"lists and mappings are nested more than {MOST_DEPTH} deep", event.start_mark)
            before = self._nodes
            node = super().compose_node(parent, index)
            if not isinstance(event, yaml.AliasEvent):
                self._nodes += 1
                self._sizes[id(node)] = self._nodes - before
            elif id(node) in self._sizes:
                self._nodes += self._sizes[id(node)]
            else:
                raise _refusal(f"*{event.anchor} is used inside its own anchor", event.start_mark)
            if self._nodes > MOST_NODES:
                raise _refusal(f"it holds more than {MOST_NODES:,} values, aliases counted", event.start_mark)
            self._depth -= 1
            return node

        def construct_object(self, node: Any, deep: bool = False) -> Any:
            """Construct the value of a node, and remember a node that fails."""
            if node.tag in _NUMBERS and len(node.value) > _MOST_NUMBER_CHARACTERS:
                # 1:1:1:... is a number in base 60 in YAML 1.1. The time to read it grows with the square of its length.
                raise _refusal(
                    f"a number has more than {_MOST_NUMBER_CHARACTERS} characters: put text in quotes",
                    node.start_mark,
                )
            try:
                return super().construct_object(node, deep)
            except _UNUSABLE:
                self.unusable = self.unusable or node.start_mark
                raise

    def _refusal(problem: str, mark: Any) -> Any:
        return yaml.composer.ComposerError(problem=problem, problem_mark=mark)

    return Bounded


@cache
def _plain() -> type[Any]:
    import yaml

    return bounded(yaml.SafeLoader)
