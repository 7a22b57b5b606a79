"""Fields of a form as data. `widgets-js/src/fields.ts` draws them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mljupyter.notebook.options.option import Option

Field = dict[str, Any]


@dataclass(frozen=True)
class Choice:
    """One choice of a field.

    Parameters:
        value: the value of the choice.
        label: its label.
        help: a sentence about it.
        state: ``ok``, ``failed``, ``warning`` or ``running``, shown as a mark; empty for none.
        reason: the reason why it cannot be chosen; empty if it can.

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
    """Return a field with all choices as cards side by side."""
    return {**choice(key, label, value, choices, about=about), "kind": "cards"}


def check(key: str, label: str, value: bool, *, about: str = "", reason: str = "") -> Field:
    """Return a check box; with a reason it is disabled."""
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
    """Return sliders for traffic shares with a sum of 100: the default version gets the rest.

    Parameters:
        percentiles: the share of each version.
        default: the version that gets the rest.
        fixed: versions whose shares cannot be changed here.

    """
    parts = [
        {"name": name, "percent": percent, "rest": name == default, "fixed": name in fixed}
        for name, percent in percentiles.items()
    ]
    return {"kind": "split", "key": key, "label": label, "parts": parts, "help": about}


def code(key: str, label: str, source: str, *, folded: bool = False) -> Field:
    """Return a text with a copy button."""
    return {"kind": "code", "key": key, "label": label, "value": source, "folded": folded}


def table(key: str, label: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Field:
    """Return a table."""
    return {"kind": "table", "key": key, "label": label, "columns": list(columns), "rows": [list(row) for row in rows]}


def summary(key: str, label: str, rows: Iterable[tuple[str, str]]) -> Field:
    """Return a summary: terms with their descriptions."""
    return {"kind": "summary", "key": key, "label": label, "rows": [list(row) for row in rows]}


def log(key: str, label: str, lines: Iterable[str], *, follow: bool = True) -> Field:
    """Return the end of a log, which can be followed and copied.

    Parameters:
        lines: the lines.
        follow: whether the view scrolls to new lines at first; the reader can change it.

    """
    return {"kind": "log", "key": key, "label": label, "value": "\n".join(lines), "follow": follow}


def stages(key: str, label: str, found: Iterable[tuple[str, str, str]]) -> Field:
    """Return a list of stages: name, state and remark of each."""
    named = [{"name": name, "state": state, "remark": remark} for name, state, remark in found]
    return {"kind": "stages", "key": key, "label": label, "stages": named}


def of_option(option: Option, value: str | None, label: str = "") -> Field:
    """Return the field for an option, with the option's help and default."""
    name = label or option.name.replace("-", " ").capitalize()
    sentence = option.help[:1].upper() + option.help[1:] + "."
    if option.choices:
        named = [Choice(item, item) for item in option.choices]
        if not option.required and option.default is None:
            named.insert(0, Choice("", "Default"))
        return choice(option.key, name, value if value is not None else option.default, named, about=sentence)
    default = "" if option.default is None else str(option.default)
    return text(option.key, name, value, about=sentence, placeholder=default, required=option.required)


def percent_of(value: Mapping[str, Any]) -> int:
    """Return a share from the browser as a number from 0 to 100; 0 if it is not a number."""
    percent = value.get("percent")
    known = isinstance(percent, int | float) and 0 <= percent <= 100  # NaN is not
    return int(percent) if known and percent is not None else 0
