"""Fields of a form as data, and how an option becomes one. `widgets-js/src/fields.ts` draws them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mljupyter.notebook.options.option import Option

Field = dict[str, Any]


@dataclass(frozen=True)
class Choice:
    """One of several things to choose.

    Parameters:
        value: what is chosen.
        label: what is read.
        help: one sentence about it.
        state: ``ok``, ``failed``, ``warning`` or ``running``, shown as a mark; empty for none.
        reason: why it cannot be chosen; empty when it can.

    """

    value: str
    label: str
    help: str = ""
    state: str = ""
    reason: str = ""

    def document(self) -> dict[str, str]:
        """Return the choice as data."""
        return vars(self).copy()


def text(
    key: str, label: str, value: str | None, *, about: str = "", placeholder: str = "", required: bool = False
) -> Field:
    """Return a field for a line of text."""
    return {
        "kind": "text",
        "key": key,
        "label": label,
        "value": value or "",
        "help": about,
        "placeholder": placeholder,
        "required": required,
    }


def choice(key: str, label: str, value: str | None, choices: Iterable[Choice], *, about: str = "") -> Field:
    """Return a field with a list to choose from."""
    options = [item.document() for item in choices]
    return {"kind": "choice", "key": key, "label": label, "value": value or "", "options": options, "help": about}


def cards(key: str, label: str, value: str | None, choices: Iterable[Choice], *, about: str = "") -> Field:
    """Return a field with everything there is to choose side by side."""
    return {**choice(key, label, value, choices, about=about), "kind": "cards"}


def check(key: str, label: str, value: bool, *, about: str = "", reason: str = "") -> Field:
    """Return a box to tick; with a reason, one that cannot be ticked."""
    return {"kind": "check", "key": key, "label": label, "value": value, "help": about, "reason": reason}


def split(
    key: str,
    label: str,
    percentiles: Mapping[str, int],
    default: str,
    *,
    fixed: Collection[str] = (),
    about: str = "",
) -> Field:
    """Return sliders for shares of traffic that always make 100: the default version takes what the others leave.

    Parameters:
        percentiles: the share of each version.
        default: the version that takes the rest.
        fixed: versions whose shares cannot be changed here.

    """
    parts = [
        {"name": name, "percent": percent, "rest": name == default, "fixed": name in fixed}
        for name, percent in percentiles.items()
    ]
    return {"kind": "split", "key": key, "label": label, "parts": parts, "help": about}


def code(key: str, label: str, source: str, *, folded: bool = False) -> Field:
    """Return text to read and copy."""
    return {"kind": "code", "key": key, "label": label, "value": source, "folded": folded}


def table(key: str, label: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Field:
    """Return a table."""
    return {"kind": "table", "key": key, "label": label, "columns": list(columns), "rows": [list(row) for row in rows]}


def summary(key: str, label: str, rows: Iterable[tuple[str, str]]) -> Field:
    """Return what there is to know in short: terms, and what is said of each."""
    return {"kind": "summary", "key": key, "label": label, "rows": [list(row) for row in rows]}


def log(key: str, label: str, lines: Iterable[str], *, follow: bool = True) -> Field:
    """Return the end of a log: the reader may follow it and copy it.

    Parameters:
        lines: the lines.
        follow: whether new lines are scrolled to, until the reader decides otherwise.

    """
    return {"kind": "log", "key": key, "label": label, "value": "\n".join(lines), "follow": follow}


def stages(key: str, label: str, found: Iterable[tuple[str, str, str]]) -> Field:
    """Return a list of stages: name, state and remark of each."""
    named = [{"name": name, "state": state, "remark": remark} for name, state, remark in found]
    return {"kind": "stages", "key": key, "label": label, "stages": named}


def of_option(option: Option, value: str | None, label: str = "") -> Field:
    """Return the field that asks for an option, with its own help and default."""
    name = label or option.name.replace("-", " ").capitalize()
    sentence = option.help[:1].upper() + option.help[1:] + "."
    if option.choices:
        named = [Choice(item, item) for item in option.choices]
        if not option.required and option.default is None:
            named.insert(0, Choice("", "as usual"))
        return choice(option.key, name, value if value is not None else option.default, named, about=sentence)
    default = "" if option.default is None else str(option.default)
    return text(option.key, name, value, about=sentence, placeholder=default, required=option.required)


def percent_of(value: Mapping[str, Any]) -> int:
    """Return the share that a page in the browser says, from 0 to 100; 0 for a value that is not a number."""
    percent = value.get("percent")
    known = isinstance(percent, int | float) and 0 <= percent <= 100  # NaN is not
    return int(percent) if known and percent is not None else 0
