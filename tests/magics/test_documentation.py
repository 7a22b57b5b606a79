"""docs/magics.md says what the magics say of themselves."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from mljupyter.magics.catalog import LONG, SHORT
from mljupyter.magics.magic import Magic
from mljupyter.magics.parsing import help_text, parse, split

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "magics.md").read_text(encoding="utf-8")
MAGICS = {magic.spelled.lstrip("%"): magic for magic in (*SHORT, *LONG)}


def section(magic: Magic) -> str:
    return PAGE.partition(f"\n## `{magic.spelled}`\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("name", MAGICS)
def test_every_magic_has_its_help_and_an_example(name: str) -> None:
    text = section(MAGICS[name])
    options = help_text(MAGICS[name]).partition("\nExample:")[0].rstrip()
    assert f"```text\n{options}\n```" in text, f"put what %{name} --help says into docs/magics.md"
    assert re.search(rf"^(\w+ = )?%{{1,2}}{name}\b", text.partition("<details>")[0], re.MULTILINE)


@pytest.mark.parametrize("name", MAGICS)
def test_examples_are_lines_that_the_magic_takes(name: str) -> None:
    magic = MAGICS[name]
    shown = f"{section(magic).partition('<details>')[0]}\n{magic.example}"
    lines = re.findall(rf"^(?:\w+ = )?%{{1,2}}{name}\b(.*)$", shown, re.MULTILINE)
    assert lines
    for line in lines:
        if words := split(line.partition("  # ")[0], magic):
            assert parse(magic, words) is not None, shlex.join(words)


def test_the_page_is_linked() -> None:
    assert "docs/magics.md" in (ROOT / "README.md").read_text(encoding="utf-8")
