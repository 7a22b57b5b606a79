"""The Python blocks of the documentation: programs run as they are, fragments use what a reader has."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FRAGMENT = "<!-- fragment -->"
_BLOCK = re.compile(rf"^( *)({FRAGMENT}\n *)?```python([^\n]*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_OTHER = re.compile(r"^( *)```([a-z]*)[^\n]*\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_TITLE = re.compile(r'title="([^"]+)"')


@dataclass(frozen=True)
class Block:
    """A Python block of a page.

    Parameters:
        page: its file, relative to the repository.
        line: the number of its first line.
        text: its code.
        is_fragment: whether it is marked with `FRAGMENT` in the line before.
        title: the name of the file that it shows; None for code of a notebook.

    """

    page: str
    line: int
    text: str
    is_fragment: bool
    title: str | None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """Return the files of all pages with examples."""
    return [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md"]


def blocks_of(page: Path) -> Iterator[Block]:
    """Yield the Python blocks of a page."""
    text = page.read_text(encoding="utf-8")
    for found in _BLOCK.finditer(text):
        title = _TITLE.search(found[3])
        yield Block(
            page.relative_to(ROOT).as_posix(),
            text.count("\n", 0, found.start(4)) + 1,
            textwrap.dedent(found[4]),
            found[2] is not None,
            title[1] if title else None,
        )


def other_blocks_of(page: Path) -> Iterator[tuple[str, str, str]]:
    """Yield the blocks of a page that are not Python: the page, the language (empty for none), and the text."""
    for _, language, text in _OTHER.findall(page.read_text(encoding="utf-8")):
        if language != "python":
            yield page.relative_to(ROOT).as_posix(), language, textwrap.dedent(text)
