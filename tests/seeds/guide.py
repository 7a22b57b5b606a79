"""A reader of a document: runs its code blocks one after the other, as the document has them.

Python blocks share one namespace, as the cells of a notebook do. Lines of the Azure command line are given to
``mljupyter az``. The table `changes.toml` has the mistakes and placeholders of the documents with the text that is run
instead, and the blocks that are not run, each with a reason.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cli import in_process
from tests.seeds.extract import Block, read

CHANGES = Path(__file__).with_name("changes.toml")
PYTHON = ("python",)
COMMANDS = ("azurecli", "azurecli-interactive")
_PLACEHOLDER = re.compile(r"\\\{\w+\\\}")


@dataclass(frozen=True)
class Change:
    """One entry of the table.

    Parameters:
        documents: the documents with the block.
        block: its number.
        why: the reason.
        replace: pairs of a text in the block, and the text that is run instead. Words in braces, such as
            ``{resource_id}``, are variables of the reader. None if the block is not run.

    """

    documents: tuple[str, ...]
    block: int
    why: str
    replace: tuple[tuple[str, str], ...] | None

    def of(self, text: str, variables: Mapping[str, Any]) -> str:
        """Return the text of a block with the replacements.

        Parameters:
            text: the block as the document has it.
            variables: the values of words in braces.

        """
        for old, new in self.replace or ():
            assert old in text, f"block {self.block} of {self.documents} has no {old!r}: the table is out of date"
            text = text.replace(old, re.sub(r"\{(\w+)\}", lambda found: str(variables[found[1]]), new))
        return text


def changes() -> list[Change]:
    """Return the table."""
    found = tomllib.loads(CHANGES.read_text())
    return [
        *(
            Change(tuple(each["documents"]), each["block"], each["why"], tuple((a, b) for a, b in each["replace"]))
            for each in found["changed"]
        ),
        *(Change(tuple(each["documents"]), each["block"], each["why"], None) for each in found["not-run"]),
    ]


def shown_as(shown: str, printed: str) -> bool:
    """Return whether output is as a document shows it: words in braces stand for any text without ``/``.

    Parameters:
        shown: the output in the document.
        printed: the output of a command.

    """
    return re.fullmatch(_PLACEHOLDER.sub("[^/]+", re.escape(shown)), printed.strip(), re.IGNORECASE) is not None


class Guide:
    """A document that is followed from its first block to its last.

    Parameters:
        name: the name of the document.
        variables: the names that the document takes for granted, such as ``ws``.

    """

    def __init__(self, name: str, **variables: Any) -> None:
        self.name = name
        self.variables: dict[str, Any] = {"__name__": "__main__", **variables}
        self._blocks = {block.number: block for block in read(name)}
        self._changes = {change.block: change for change in changes() if name in change.documents}
        self._passed: list[int] = []

    def __getitem__(self, variable: str) -> Any:
        """Return a variable of the namespace."""
        return self.variables[variable]

    def run(self, number: int) -> str:
        """Run a block, and return what it printed. Blocks of the table that are not run may lie before it.

        Parameters:
            number: the number of the block in the document.

        """
        block = self._next(number)
        change = self._changes.get(number)
        text = block.text if change is None else change.of(block.text, self.variables)
        if block.language in PYTHON:
            return self._python(block, text)
        assert block.language in COMMANDS, f"block {number} of {self.name} is {block.language}: it cannot be run"
        return "".join(in_process.run(*arguments).stdout for arguments in self._commands(text))

    def shows(self, number: int, printed: str) -> None:
        """Compare a block that shows output with the output, see `shown_as`.

        Parameters:
            number: the number of the block in the document.
            printed: the output.

        """
        block = self._next(number)
        assert shown_as(block.text, printed), f"{printed!r} is not as {block.text!r}"

    def finish(self) -> None:
        """Check that every block was run, or is listed with a reason."""
        self._skip_to(len(self._blocks) + 1)

    def _next(self, number: int) -> Block:
        self._skip_to(number)
        self._passed.append(number)
        return self._blocks[number]

    def _skip_to(self, number: int) -> None:
        first = max(self._passed, default=0) + 1
        assert first <= number, f"block {number} of {self.name} comes before block {first - 1}: keep its order"
        for left_out in range(first, number):
            change = self._changes.get(left_out)
            assert change is not None and change.replace is None, f"block {left_out} of {self.name} was not run"
            self._passed.append(left_out)

    def _python(self, block: Block, text: str) -> str:
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(text, f"{self.name}, block {block.number}", "exec"), self.variables)
        return printed.getvalue()

    @staticmethod
    def _commands(text: str) -> list[list[str]]:
        lines = [shlex.split(line) for line in text.replace("\\\n", " ").splitlines()]
        assert all(line[0] == "az" for line in lines), text
        return lines
