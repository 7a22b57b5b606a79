"""Completion of options, choices and names on lines of the magics, in every front end that asks the kernel.

IPython completes nothing after a magic's name, so this matcher does. It reads cached names only: no file, no network,
no controller.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from mljupyter.magics.magic import Magic
from mljupyter.notebook.options.option import Option

_LINE = re.compile(r"^(?:\s*[\w.,\[\]'\" ]+=)?\s*%{1,2}(?P<magic>\w+)(?P<rest>\s.*)$", re.DOTALL)
IDENTIFIER = "mljupyter"
_OF_AN_ENDPOINT = ("share", "version")
NameSource = Callable[[str], Iterable[str]]


def completions(magics: dict[str, Magic], line: str, names: NameSource) -> tuple[str, list[str]] | None:
    """Return the current fragment and its completions, or None if the line is not one of the magics.

    Parameters:
        magics: the magics by their registered names.
        line: the line up to the cursor.
        names: returns the known names of a kind (`NameKind`).

    Example:
        >>> completions({"deploy": DEPLOY}, "%deploy iris --rep", lambda kind: ())
        ('--rep', ['--replicas'])

    """
    match = _LINE.match(line)
    if match is None or match["magic"] not in magics:
        return None
    magic = magics[match["magic"]]
    words = match["rest"].split()
    fragment = "" if match["rest"][-1:].isspace() else words.pop()
    if magic.subcommands:
        if not words:
            return fragment, _starting(fragment, (sub.name for sub in magic.subcommands))
        chosen = next((sub for sub in magic.subcommands if sub.name == words[0]), None)
        if chosen is None:
            return fragment, []
        magic, words = chosen, words[1:]
    return _for_magic(magic, words, fragment, names)


def _for_magic(magic: Magic, words: list[str], fragment: str, names: NameSource) -> tuple[str, list[str]]:
    given = magic.positional_words(words)
    if fragment.startswith("-") and "=" in fragment:
        spelling, _, part = fragment.partition("=")
        option = magic.option(spelling)
        return part, _values(option, part, names, given) if option else []
    previous = magic.option(words[-1]) if words else None
    if previous is not None and previous.takes_value:
        return fragment, _values(previous, fragment, names, given)
    if fragment.startswith("-"):
        return fragment, _options(magic, words, fragment)
    positional = magic.option_after(words)
    if positional is None:
        return fragment, [] if fragment else _options(magic, words, "--")
    found = _values(positional, fragment, names, given)
    if fragment or (found and positional.required):
        return fragment, found
    return fragment, [*found, *_options(magic, words, "--")]


def _options(magic: Magic, words: list[str], fragment: str) -> list[str]:
    """Return the options that are not on the line yet; ``--no-`` forms only after ``--no``."""
    offered: list[str] = []
    for option in magic.options:
        if not option.repeatable and any(spelling in words for spelling in option.spellings):
            continue
        offered += [
            spelling for spelling in option.spellings if fragment.startswith("--no") or not spelling.startswith("--no-")
        ]
    return _starting(fragment, offered)


def _values(option: Option, fragment: str, names: NameSource, given: list[str]) -> list[str]:
    if option.choices:
        return _starting(fragment, option.choices)
    if option.completes is None:
        return []
    if option.completes == "endpoint-version":
        return _starting(fragment, names("version" if ":" in fragment else "endpoint"))
    if option.completes in _OF_AN_ENDPOINT:
        return _starting(fragment, _of_endpoint(given[0], option.completes, names) if given else ())
    found = _starting(
        fragment, (name for name in names(option.completes) if not option.repeatable or name not in given)
    )
    if option.completes == "model" and ":" not in fragment:
        return [name for name in found if ":" not in name]
    return found


def _of_endpoint(endpoint: str, kind: str, names: NameSource) -> Iterable[str]:
    """Return the completions after an endpoint: versions have the form ``endpoint:version``."""
    end = "=" if kind == "share" else ""
    return (name.partition(":")[2] + end for name in names("version") if name.startswith(f"{endpoint}:"))


def _starting(fragment: str, candidates: Iterable[str]) -> list[str]:
    return [candidate for candidate in candidates if candidate.startswith(fragment)]


def matcher(magics: dict[str, Magic], names: NameSource) -> Any:
    """Return a matcher for ``shell.Completer.custom_matchers``."""
    from IPython.core.completer import SimpleCompletion, context_matcher

    @context_matcher(identifier=IDENTIFIER)  # type: ignore[untyped-decorator]
    def match(context: Any) -> Any:
        answer = completions(magics, context.line_with_cursor[: context.cursor_position], names)
        if answer is None:
            return {"completions": [], "suppress": False}
        fragment, found = answer
        return {
            "completions": [SimpleCompletion(text=text, type="option") for text in found],
            "matched_fragment": fragment,
            "suppress": bool(found),
            "ordered": True,
        }

    return match
