"""The code blocks of a document in Markdown, kept as JSON: the tests follow a document without its prose.

``python -m tests.seeds.extract NAME=PATH...`` writes ``documents/NAME.json`` for each document.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

DOCUMENTS = Path(__file__).with_name("documents")
_FRONT_MATTER = re.compile(r"\A---\n.*?^---\n", re.DOTALL | re.MULTILINE)
_ANCHOR = re.compile(r"""<a\s+(?:name|id)=["']([^"']+)["']""")


@dataclass(frozen=True)
class Block:
    """A code block.

    Parameters:
        number: its place among the code blocks of the document, from 1.
        language: the word after the fence, such as ``python``; empty without one.
        headings: the anchors of the headings above it, the outermost first.
        text: its lines, without the indentation and the quotation marks of the list or quote that it is in.

    """

    number: int
    language: str
    headings: tuple[str, ...]
    text: str

    def document(self) -> dict[str, Any]:
        """Return the block as JSON types, its text as a list of lines."""
        return {
            "number": self.number,
            "language": self.language,
            "headings": list(self.headings),
            "lines": self.text.split("\n"),
        }


def blocks_of(markdown: str) -> list[Block]:
    """Return the code blocks of a document, in its order.

    Parameters:
        markdown: the document. Front matter is no part of it.

    Example:
        >>> [block.text for block in blocks_of("# Title\\n\\n> ```python\\n> a = 1\\n> ```\\n")]
        ['a = 1']

    """
    return list(_blocks(MarkdownIt("commonmark").parse(_FRONT_MATTER.sub("", markdown))))


def _blocks(tokens: Sequence[Token]) -> Iterator[Block]:
    headings: dict[int, str] = {}
    number = 0
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        if token.type == "heading_open" and following is not None:
            level = int(token.tag.removeprefix("h"))
            headings = {above: anchor for above, anchor in headings.items() if above < level}
            headings[level] = _anchor(following.content)
        elif token.type in ("fence", "code_block"):
            number += 1
            language = (token.info.split() or [""])[0]
            yield Block(number, language, tuple(headings[key] for key in sorted(headings)), token.content.rstrip())


def _anchor(heading: str) -> str:
    """Return the anchor in a heading, or the heading itself without one."""
    found = _ANCHOR.search(heading)
    return found[1] if found else heading


def read(name: str) -> list[Block]:
    """Return the kept code blocks of a document.

    Parameters:
        name: the name of its file in `DOCUMENTS`, without ``.json``.

    """
    found = json.loads((DOCUMENTS / f"{name}.json").read_text())
    return [
        Block(each["number"], each["language"], tuple(each["headings"]), "\n".join(each["lines"])) for each in found
    ]


def main(arguments: Sequence[str]) -> None:
    """Write the code blocks of documents.

    Parameters:
        arguments: ``NAME=PATH`` for each document.

    """
    for argument in arguments:
        name, _, path = argument.partition("=")
        kept = [block.document() for block in blocks_of(Path(path).read_text())]
        (DOCUMENTS / f"{name}.json").write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
