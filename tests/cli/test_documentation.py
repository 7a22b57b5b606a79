"""docs/cli.md has every row of the table of old command lines, and lines that the commands take."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from mljupyter.cli.app import _COMMANDS
from mljupyter.cli.az.table import TABLE, Missing, Nothing, Row, row_of
from mljupyter.cli.flags import with_two_dashes
from tests.cli.test_az import command

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
LINES = sorted(
    set(re.findall(r"^((?:mljupyter|az) .*)$", "\n".join(re.findall(r"```\n(.*?)```", PAGE, re.DOTALL)), re.M))
)


def row(words: str, one: Row) -> str:
    if isinstance(one, Nothing):
        return f"| `az {words}` | nothing to do, since {one.reason} |"
    if isinstance(one, Missing):
        return f"| `az {words}` | not there: {one.reason} |"
    return (
        f"| `az {words}` | {'its own' if one.own else f'`mljupyter {shlex.join([*one.words.split(), *one.more])}`'} |"
    )


def test_the_page_has_the_table_of_old_command_lines() -> None:
    lines = ["| old command | here |", "|---|---|", *(row(words, one) for words, one in TABLE.items())]
    assert "\n".join(lines) in PAGE, "put these lines into docs/cli.md"


def test_the_page_names_every_command_and_is_linked() -> None:
    table = PAGE.partition("## Commands")[2].partition("###")[0]
    assert not [name for name in _COMMANDS if f"`{name}" not in table]
    assert "docs/cli.md" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("line", LINES)
def test_lines_of_the_page_name_commands_and_options_that_exist(line: str) -> None:
    program, *words = shlex.split(line)
    if program == "az" and words[0] == "ml":
        words = words[1:]
    elif program == "az":
        assert row_of(words)[1] is not None
        return
    found: click.Command | None = None
    for count in (3, 2, 1):
        try:
            found = command(" ".join(words[:count]))
        except AssertionError:
            continue
        break
    assert found is not None, line
    known = {name for param in found.params for name in (*param.opts, *param.secondary_opts)}
    options = [word for word in with_two_dashes(words, found.params) if re.fullmatch(r"--?[a-z][a-z-]*", word)]
    assert "submit-script" in words or not [option for option in options if option not in known]
