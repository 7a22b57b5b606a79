"""The output of commands: documents for programs, aligned text for people. Control characters never reach a terminal.

A command prints its document with `print_document`, in the format of ``--output``, or its own text for people.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Any

import click

from mljupyter.visible import can_write, for_stream, visible_json

_WIDE = 400  # for pipes and files: lines are not cut
_FORMAT = "mljupyter.format"
_QUERY = "mljupyter.query"
_READING = ("list", "show", "get", "history", "metrics", "logs", "images", "doctor", "version")
"""Beginnings of the names of commands that change nothing. Another command must not fail when it has happened."""

FORMATS = ("json", "jsonc", "table", "tsv", "yaml", "none")
"""The formats of ``--output``, those of az."""

DEFAULT_FORMAT = "mljupyter.default_format"
"""The key in a context's `meta` of the format without ``--output``; without it, commands print text for people."""


def chosen_format(ctx: click.Context) -> str | None:
    """Return the format for documents; None if the command prints its own text for people."""
    given: str | None = ctx.meta.get(_FORMAT) or ctx.meta.get(DEFAULT_FORMAT)
    if given == "table" and _QUERY not in ctx.meta:
        return None
    return given or ("json" if _QUERY in ctx.meta else None)


def format_is_given() -> bool:
    """Return whether the user has chosen a format for documents or a part of one, and not az's habit."""
    meta = click.get_current_context().meta
    return _FORMAT in meta or _QUERY in meta


def keep_format(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    """Keep the format of ``--output`` for `print_document`."""
    if value is not None:
        ctx.meta[_FORMAT] = value.lower()


def keep_query(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    """Keep the expression of ``--query`` for `print_document`; end the command if it is none."""
    if value is None:
        return
    import jmespath  # only for --query

    try:
        ctx.meta[_QUERY] = jmespath.compile(value)
    except (jmespath.exceptions.JMESPathError, ValueError) as error:
        said = str(error).splitlines()[0]
        raise click.BadParameter(f"{value!r} is not a JMESPath expression: {said}", param_hint="--query") from None


def documents_wanted(ctx: click.Context, _: click.Parameter, as_json: bool) -> bool:
    """Return whether the command prints its document, in whichever format, and no text for people."""
    if as_json and ctx.meta.get(_FORMAT) not in (None, "json"):
        raise click.UsageError(f"--json and --output {ctx.meta[_FORMAT]} cannot be combined: give one.")
    if as_json:
        ctx.meta[_FORMAT] = "json"
    return chosen_format(ctx) is not None


def say(text: str, *, nl: bool = True, err: bool = False) -> None:
    """Print text; on a terminal its control characters are shown as escapes, a pipe or file gets it unchanged.

    Parameters:
        text: the text, which may come from scripts, clients or registries.
        nl: whether to add a line end.
        err: whether to print to standard error.

    """
    click.echo(for_stream(text, sys.stderr if err else sys.stdout), nl=nl, err=err)


@contextmanager
def progress_on_stderr() -> Iterator[None]:
    """Send to standard error whatever the SDK prints: standard output has the command's result alone."""
    with redirect_stdout(sys.stderr):
        yield


def print_document(value: Any) -> None:
    """Print a document in the format of ``--output``, after ``--query``; JSON by default."""
    ctx = click.get_current_context(silent=True)
    chosen = (chosen_format(ctx) if ctx is not None else None) or "json"
    plain = json.loads(json.dumps(value, default=str))
    if ctx is not None and _QUERY in ctx.meta:
        plain = _found(ctx.meta[_QUERY], plain)
    if chosen == "none" or (plain is None and chosen != "json"):
        return
    if chosen == "tsv":
        say("\n".join(_tsv(plain)))
    elif chosen == "yaml":
        import yaml  # slow to import; few calls need it

        say(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True).removesuffix("...\n"), nl=False)
    elif chosen == "table":
        _print_any_table(plain)
    elif chosen == "jsonc" and sys.stdout.isatty():
        from rich.console import Console  # slow to import; few calls need it

        Console().print_json(visible_json(json.dumps(plain, ensure_ascii=False)))
    else:
        text = json.dumps(plain, indent=2, ensure_ascii=False)
        click.echo(visible_json(text if can_write(text) else json.dumps(plain, indent=2)))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under a heading. A line end in a cell is shown as an escape, since it would look like a new row."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for row in rows:
        table.add_row(*(Text(for_stream(cell).replace("\n", r"\n")) for cell in row))
    Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False).print(table)


def print_fields(fields: Sequence[tuple[str, str]]) -> None:
    """Print names and values, one pair on each line. A line end in a value is shown as an escape."""
    width = max(len(name) for name, _ in fields)
    for name, value in fields:
        say(f"{name + ':':{width + 1}} {value}".replace("\n", r"\n"))


def _found(expression: Any, document: Any) -> Any:
    import jmespath  # only for --query

    try:
        return expression.search(document)
    except jmespath.exceptions.JMESPathError as error:
        said = f"cannot be applied to this result: {str(error).splitlines()[0]}"
        command = click.get_current_context().info_name or ""
        if command.startswith(_READING):
            raise click.BadParameter(said, param_hint="--query") from None
        say(f"Warning: {command} is done, but --query {said}. The whole result:", err=True)
        return document


def _tsv(value: Any) -> list[str]:
    r"""Return lines of values, as az prints them: for lists and objects below a row only their number, or nothing.

    >>> _tsv([{"a": 1, "b": None}, {"a": [1, 2], "b": True}])
    ['1\tNone', '2\tTrue']
    """
    rows = value if isinstance(value, list) else [value]
    return [
        "\t".join(map(_cell, row.values() if isinstance(row, dict) else row))
        if isinstance(row, (dict, list))
        else _row(row)
        for row in rows
    ]


def _row(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else _cell(value)


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return str(len(value))
    return "" if isinstance(value, dict) else str(value)


def _print_any_table(value: Any) -> None:
    """Print a document as a table: its plain values as columns, one row for each item."""
    rows = value if isinstance(value, list) else [value]
    items: list[Mapping[str, Any]] = [
        row
        if isinstance(row, dict)
        else {str(place): one for place, one in enumerate(row, 1)}
        if isinstance(row, list)
        else {"Result": row}
        for row in rows
    ]
    names = dict.fromkeys(key for item in items for key, one in item.items() if not isinstance(one, (dict, list)))
    if not names:
        return
    columns = [f"Column{name}" if name.isdecimal() else name[:1].upper() + name[1:] for name in names]
    print_table(columns, [["" if item.get(name) is None else str(item[name]) for name in names] for item in items])
