"""YAML in a cell: values by option, or the whole specification of an endpoint.

A cell with the key ``versions`` holds a specification: the document that the controller stores, in camelCase. Other
cells hold options, by their names on the line of ``%deploy``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from mljupyter.notebook.options.option import Option
from mljupyter.notebook.options.option_values import WrongInputError, near, read
from mljupyter.notebook.options.yaml_loader import loader
from mljupyter.outside import yaml_document

SPECIFICATION = "specification"
_FIRST_LINE = 2  # line 1 of the cell has the magic


class Document:
    """A YAML mapping with the line numbers of its keys in the cell."""

    def __init__(self, text: str) -> None:
        import yaml

        try:
            node, self.data = yaml_document(text, loader())
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            where = f"Line {mark.line + _FIRST_LINE}" if mark is not None else "The cell"
            raise WrongInputError(
                f"{where}: this cannot be read as YAML: {getattr(error, 'problem', None) or error}."
            ) from None
        if not isinstance(self.data, dict):
            raise WrongInputError("The cell holds no YAML mapping: write one 'option: value' on each line.")
        self._lines: dict[tuple[str, ...], int] = {}
        self._note(node, ())

    def line(self, *path: str) -> int:
        """Return the line of a key, or of its nearest existing parent key."""
        while path and path not in self._lines:
            path = path[:-1]
        return self._lines.get(path, _FIRST_LINE)

    def _note(self, node: Any, path: tuple[str, ...]) -> None:
        import yaml

        if not isinstance(node, yaml.MappingNode):
            return
        for key, value in node.value:
            inner = (*path, str(key.value))
            line = key.start_mark.line + _FIRST_LINE
            if inner in self._lines:
                raise WrongInputError(
                    f"Line {line}: {key.value} stands here again, first on line {self._lines[inner]}."
                )
            self._lines[inner] = line
            self._note(value, inner)


def values_in_cell(text: str, options: Iterable[Option]) -> dict[str, Any]:
    """Return the values in a cell by option; a specification has the key ``specification``.

    Raises:
        WrongInputError: the cell is invalid; the message has its line and the nearest known key.

    Example:
        >>> values_in_cell("replicas: 2", [Option("replicas", "how many", kind="integer")])
        {'replicas': 2}

    """
    document = Document(text)
    if "versions" in document.data:
        name = document.data.get("name")
        return {SPECIFICATION: document, **({"name": str(name)} if name is not None else {})}
    known = {option.name: option for option in options}
    values: dict[str, Any] = {}
    for key, value in document.data.items():
        line = document.line(str(key))
        option = known.get(option_name(str(key)))
        if option is None:
            raise WrongInputError(f"Line {line}: {key} is not an option.{near(option_name(str(key)), known)}")
        if option.key in values:
            raise WrongInputError(f"Line {line}: {key} is {option.name} again: once is enough.")
        try:
            values[option.key] = value_of_yaml(option, value)
        except ValueError as error:
            raise WrongInputError(f"Line {line}: {key}: {error}.") from None
    return values


def option_name(key: str) -> str:
    """Return the option name for a key in any of its spellings: ``maxQueueWaitMs`` is ``max-queue-wait-ms``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", key).replace("_", "-").lower()


def value_of_yaml(option: Option, value: Any) -> Any:
    """Return the value of an option for a value in YAML or TOML.

    Raises:
        ValueError: it breaks the option's rule.

    """
    if not option.takes_value:
        if not isinstance(value, bool):
            raise ValueError(f"{value!r} is neither true nor false")
        return value
    if option.kind in ("assignment", "label") and isinstance(value, Mapping):
        value = [f"{name}={_plain(item)}" for name, item in value.items()]
    items = value if isinstance(value, list) else [value]
    if len(items) != 1 and not option.repeatable:
        raise ValueError("one value is expected, not a list")
    found = []
    for item in items:
        if isinstance(item, (Mapping, list)) or item is None:
            raise ValueError(_not_single(item))
        found.append(read(option, str(item)))
    return found if option.repeatable else found[0]


def _plain(item: Any) -> str:
    """Return the text of a value in YAML."""
    if isinstance(item, (Mapping, list)) or item is None:
        raise ValueError(_not_single(item))
    return str(item).lower() if isinstance(item, bool) else str(item)


def _not_single(item: Any) -> str:
    """Return the error for a list or a mapping in place of one value; without its content, which may be secret."""
    kind = "nothing" if item is None else "a mapping" if isinstance(item, Mapping) else "a list"
    return f"one value is expected, not {kind}"
