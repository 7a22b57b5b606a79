"""HTML representation of SDK objects in a notebook: a small table that is equal on every run and holds no secrets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mljupyter.visible import markup

_LEFT = ' style="text-align: left"'  # all other style is the notebook's own for tables, dark or light
Rows = Iterable[tuple[str, str | None]]


class HtmlRepr:
    """Base class: an object with an HTML representation beside its `repr`.

    Values that differ from run to run, such as times, addresses and paths, are left out: saved notebooks are compared.
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


def pairs(values: Mapping[str, str]) -> str:
    """Return tags or properties on one line, sorted.

    Example:
        >>> pairs({"team": "blue", "area": "demo"})
        'area=demo, team=blue'

    """
    return ", ".join(f"{key}={value}" for key, value in sorted(values.items()))
