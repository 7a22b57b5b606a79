"""HTML representation of SDK objects in a notebook: a small table that is equal on every run and holds no secrets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import TypeVar

from mljupyter.engine.endpoints.client_snippets import ClientSnippets
from mljupyter.visible import markup

_LEFT = ' style="text-align: left"'  # all other style is the notebook's own for tables, dark or light
_PRE = ' style="white-space: pre-wrap; user-select: all; text-align: left"'  # a click selects the whole text
Rows = Iterable[tuple[str, str | None]]


class HtmlRepr:
    """Base class: an object with an HTML representation beside its `repr`.

    Of the values that differ from run to run, it has dates, sizes and URIs only: tests/nbval.cfg says how saved
    notebooks are compared.
    """

    def _summary(self) -> Rows:
        """Return names and values to show; empty values are left out."""
        raise NotImplementedError

    def _repr_html_(self) -> str:
        rows = "".join(
            f'<tr><th scope="row"{_LEFT}>{markup(name)}</th><td{_LEFT}>{markup(value)}</td></tr>'
            for name, value in self._summary()
            if value
        )
        head = f'<tr><th{_LEFT} colspan="2">{type(self).__name__}</th></tr>'
        return f"<table><thead>{head}</thead><tbody>{rows}</tbody></table>"


Item = TypeVar("Item", bound=HtmlRepr)


class Listing(dict[str, Item]):
    """A dict of objects by name, which a notebook shows as a table with the columns of their own representations.

    Example:
        >>> Listing() == {}
        True

    """

    def _repr_html_(self) -> str:
        found = [dict(item._summary()) for item in self.values()]
        columns = [name for name in dict.fromkeys(name for row in found for name in row) if any(map(_has(name), found))]
        if not found:
            return "<p>none</p>"
        head = "".join(f'<th scope="col"{_LEFT}>{markup(name)}</th>' for name in columns)
        lines = ["".join(f"<td{_LEFT}>{markup(row.get(name) or '')}</td>" for name in columns) for row in found]
        body = "".join(f"<tr>{line}</tr>" for line in lines)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _has(name: str) -> Callable[[Mapping[str, str | None]], bool]:
    return lambda row: bool(row.get(name))


def date_text(at: datetime) -> str:
    """Return a time to the minute, in UTC.

    Example:
        >>> date_text(datetime(2026, 1, 2, 3, 4, tzinfo=UTC))
        '2026-01-02 03:04 UTC'

    """
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def snippets_html(snippets: ClientSnippets) -> str:
    """Return how other programs call an endpoint, folded; a click on a text selects it for copying."""
    parts = [
        ("Put the key into a variable, in a shell", snippets.key_hint),
        ("Write the example of its API into a file, in a shell", snippets.request_hint),
        ("With curl, in a shell", snippets.curl),
        ("In Python, in another program", snippets.python),
    ]
    texts = "".join(f"<p>{title}</p><pre{_PRE}>{markup(text)}</pre>" for title, text in parts if text)
    return f"<details><summary>Call it from other programs</summary>{texts}</details>"


def pairs(values: Mapping[str, str]) -> str:
    """Return tags or properties on one line, sorted.

    Example:
        >>> pairs({"team": "blue", "area": "demo"})
        'area=demo, team=blue'

    """
    return ", ".join(f"{key}={value}" for key, value in sorted(values.items()))
