"""A magic, as data: what it accepts, and the function that does the work."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mljupyter.notebook.options.option import Option

if TYPE_CHECKING:
    from mljupyter.magics.call import Call
    from mljupyter.notebook.session import Session


@dataclass(frozen=True)
class Magic:
    """A magic: its name, what it accepts, and the function that does the work.

    Parameters:
        name: as written after ``%``.
        summary: one sentence for help.
        options: positional values first, in order.
        example: lines that can be copied into a cell.
        run: does the work; its answer is the cell's value.
        body: what the cell below ``%%name`` holds; empty when there is no cell form.
        needs_body: whether the cell form is the only one.
        interrupted: a sentence on what becomes of the work when it is interrupted.
        prefix: what stands before the name where the magic is only had under another one: ``mlj ``.
        read_body: turns the cell into values of options, which the line beats. None when `run` reads it.
        wizard: returns a widget that asks for everything, shown when the magic is used with nothing behind it in a
            notebook. Help is shown instead where there are no widgets.

    """

    name: str
    summary: str
    options: tuple[Option, ...]
    example: str
    run: Callable[[Call], Any]
    body: str = ""
    subcommands: tuple[Magic, ...] = field(default=())
    wizard: Callable[[Session, Mapping[str, Any]], Any] | None = None
    needs_body: bool = False
    read_body: Callable[[str, Magic], Mapping[str, Any]] | None = None
    interrupted: str = ""
    prefix: str = ""

    @property
    def sigil(self) -> str:
        """``%%`` for a magic whose main form has a cell body, else ``%``."""
        return "%%" if self.needs_body else "%"

    @property
    def spelled(self) -> str:
        """The magic as it is written in a cell: ``%deploy``, ``%%score``, ``%mlj doctor``."""
        return f"{self.sigil}{self.prefix}{self.name}"

    def option(self, spelling: str) -> Option | None:
        """Return the option written in this way, or None."""
        return next((option for option in self.options if spelling in option.spellings), None)

    @property
    def positionals(self) -> tuple[Option, ...]:
        """The positional values, in order."""
        return tuple(option for option in self.options if option.positional)
