"""Complete option names, choices and names on the lines of our magics, in every frontend that asks the kernel.

IPython completes nothing after a magic's name, so a matcher of our own answers there and nowhere else. It reads
names that were cached before: no file, no network, no controller.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from mljupyter.frontend.options import Option
from mljupyter.magics.magic import Magic

_LINE = re.compile(r"^(?:\s*[\w.,\[\]'\" ]+=)?\s*%{1,2}(?P<magic>\w+)(?P<rest>\s.*)$", re.DOTALL)
IDENTIFIER = "mljupyter"
NameSource = Callable[[str], Iterable[str]]


def completions(magics: dict[str, Magic], line: str, names: NameSource) -> tuple[str, list[str]] | None:
    """Return the fragment being written and what may stand there, or None when the line is not one of our magics.

    Parameters:
        magics: our magics by the name they are registered under.
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
    if fragment.startswith("-") and "=" in fragment:
        spelling, _, part = fragment.partition("=")
        option = magic.option(spelling)
        return part, _values(option, part, names) if option else []
    previous = magic.option(words[-1]) if words else None
    if previous is not None and previous.takes_value:
        return fragment, _values(previous, fragment, names)
    if fragment.startswith("-"):
        return fragment, _options(magic, words, fragment)
    positional = _current_positional(magic, words)
    if positional is not None:
        found = _values(positional, fragment, names)
        if found or fragment:
            return fragment, found
    return fragment, [] if fragment else _options(magic, words, "--")


def _options(magic: Magic, words: list[str], fragment: str) -> list[str]:
    """Offer what was not given yet; the ``--no-`` form of a switch only once asked for."""
    offered: list[str] = []
    for option in magic.options:
        if not option.repeatable and any(spelling in words for spelling in option.spellings):
            continue
        offered += [
            spelling for spelling in option.spellings if fragment.startswith("--no") or not spelling.startswith("--no-")
        ]
    return _starting(fragment, offered)


def _current_positional(magic: Magic, words: list[str]) -> Option | None:
    given = 0
    previous: Option | None = None
    for word in words:
        if previous is None and not word.startswith("-"):
            given += 1
        option = magic.option(word)
        previous = option if option is not None and option.takes_value else None
    positionals = magic.positionals
    if given < len(positionals):
        return positionals[given]
    return positionals[-1] if positionals and positionals[-1].repeatable else None


def _values(option: Option, fragment: str, names: NameSource) -> list[str]:
    if option.choices:
        return _starting(fragment, option.choices)
    if option.completes is None:
        return []
    found = _starting(fragment, names(option.completes))
    if option.completes == "model" and ":" not in fragment:
        return [name for name in found if ":" not in name]
    return found


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
