"""Views that magics show: text and HTML that are the same on every run, so that saved notebooks can be compared."""

from __future__ import annotations

import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from mljupyter.visible import markup, one_line, visible

_MUTED = "color: var(--jp-ui-font-color2, var(--vscode-descriptionForeground, inherit))"
_CODE = (
    "font-family: var(--jp-code-font-family, monospace); font-size: var(--jp-code-font-size, 13px); "
    "white-space: pre-wrap; margin: 0"
)
MARKS = {"ok": "✓", "note": "·", "failed": "✗"}
_COLOURS = {
    "ok": "var(--jp-success-color1, #2e7d32)",
    "note": "var(--jp-ui-font-color2, inherit)",
    "failed": "var(--jp-error-color1, #d32f2f)",
}


class View(ABC):
    """Base class of views: text for terminals, HTML for notebooks."""

    @abstractmethod
    def text(self) -> str:
        """Return the plain form."""

    def html(self) -> str:
        """Return the form for notebooks."""
        return f'<pre style="{_CODE}">{markup(self.text())}</pre>'

    def __repr__(self) -> str:
        return visible(self.text())

    def _repr_html_(self) -> str:
        return self.html()


class Text(View):
    """A text, shown unchanged."""

    def __init__(self, text: str) -> None:
        self._text = text

    def text(self) -> str:
        """Return the text."""
        return self._text

    def __str__(self) -> str:
        return self._text


class Folded(View):
    """Lines below a title, folded in notebooks until a person opens them."""

    def __init__(self, title: str, lines: Sequence[str]) -> None:
        self._title = title
        self._lines = list(lines)

    def text(self) -> str:
        """Return the title and all lines."""
        return "\n".join([f"{self._title}:", *(f"  {line}" for line in self._lines)])

    def html(self) -> str:
        """Return the title, which opens the lines."""
        lines = markup("\n".join(self._lines))
        return f'<details><summary>{markup(self._title)}</summary><pre style="{_CODE}">{lines}</pre></details>'


class Outcome(View):
    """The result of a step on one line: a mark, a subject, a remark."""

    def __init__(self, status: str, subject: str, remark: str) -> None:
        self.status = status
        self.subject = subject
        self.remark = remark

    def text(self) -> str:
        """Return the line."""
        return f"{MARKS[self.status]} {self.subject}: {self.remark}"

    def html(self) -> str:
        """Return the line with a coloured mark; the mark's shape says the same as its colour."""
        return (
            f'<div><span style="color: {_COLOURS[self.status]}">{MARKS[self.status]}</span> '
            f"<b>{markup(self.subject)}</b>: <code>{markup(self.remark)}</code></div>"
        )


class Table(View):
    """Rows under a heading; iterating gives each row as a dict of the full data behind it.

    Parameters:
        columns: the heading.
        rows: the cells.
        data: the data of each row.
        empty: a sentence for no rows.
        notes: sentences below the rows.

    """

    def __init__(
        self,
        columns: Sequence[str],
        rows: Sequence[Sequence[Any]],
        data: Sequence[Any],
        empty: str,
        notes: Sequence[str] = (),
    ) -> None:
        self.columns = list(columns)
        self.rows = [[str(cell) for cell in row] for row in rows]
        self.data = list(data)
        self.empty = empty
        self.notes = list(notes)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Any:
        return self.data[index]

    def text(self) -> str:
        """Return the table with aligned columns, or the sentence for no rows."""
        if not self.rows:
            return self.empty
        lines = [[one_line(cell) for cell in line] for line in (self.columns, *self.rows)]
        widths = [max(_width(line[column]) for line in lines) for column in range(len(self.columns))]
        written = ["  ".join(_padded(*pair) for pair in zip(line, widths, strict=True)).rstrip() for line in lines]
        return "\n".join([*written, *map(one_line, self.notes)])

    def html(self) -> str:
        """Return the table for notebooks."""
        if not self.rows:
            return f'<p style="{_MUTED}">{markup(self.empty)}</p>'
        left = ' style="text-align: left"'  # all other style is the front end's style for tables, dark or light
        head = "".join(f'<th scope="col"{left}>{markup(name)}</th>' for name in self.columns)
        body = "".join(
            "<tr>" + "".join(f"<td{left}>{markup(text)}</td>" for text in row) + "</tr>" for row in self.rows
        )
        notes = "".join(f'<p style="{_MUTED}">{markup(note)}</p>' for note in self.notes)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{notes}"


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))


def shortened(text: str, most: int = 100) -> str:
    """Return the text on one line, cut to at most `most` characters."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"
