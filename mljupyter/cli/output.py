"""The output of commands: JSON for programs, aligned text for people. Control characters never reach a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

import click

from mljupyter.visible import for_stream, visible_json

_UNITS = ("bytes", "KB", "MB", "GB", "TB")
_WIDE = 400  # for pipes and files: lines are not cut


def say(text: str, *, nl: bool = True, err: bool = False) -> None:
    """Print text; on a terminal its control characters are shown as escapes, a pipe or file gets it unchanged.

    Parameters:
        text: the text, which may come from scripts, clients or registries.
        nl: whether to add a line end.
        err: whether to print to standard error.

    """
    click.echo(for_stream(text, sys.stderr if err else sys.stdout), nl=nl, err=err)


def print_json(value: Any) -> None:
    """Print a value as JSON, with escapes for control characters."""
    click.echo(visible_json(json.dumps(value, indent=2, ensure_ascii=False, default=str)))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under a heading. A line end in a cell is shown as an escape, since it would look like a new row."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for row in rows:
        table.add_row(*(Text(for_stream(cell).replace("\n", r"\n")) for cell in row))
    Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False).print(table)


def readable_size(size: float) -> str:
    """Return a number of bytes with its unit.

    >>> readable_size(1_500)
    '1.5 KB'
    """
    for unit in _UNITS[:-1]:
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} {_UNITS[-1]}"


def print_fields(fields: Sequence[tuple[str, str]]) -> None:
    """Print names and values, one pair on each line. A line end in a value is shown as an escape."""
    width = max(len(name) for name, _ in fields)
    for name, value in fields:
        say(f"{name + ':':{width + 1}} {value}".replace("\n", r"\n"))
