"""Parser of a magic's line: splitting, checks, help. Errors have one to five lines and a solution."""

from __future__ import annotations

import argparse
import functools
import io
import json
import re
import shlex
import textwrap
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from mljupyter.magics.magic import Magic
from mljupyter.notebook.options.expression_text import (
    closing_brace,
    expression_end,
    is_expression,
    is_text_literal,
)
from mljupyter.notebook.options.option import GIVEN, TOLD, Option
from mljupyter.notebook.options.option_values import WrongInputError, default_of, near, read
from mljupyter.notebook.sources.expressions import expanded

_MOST_LINE_CHARACTERS = 1_000_000
_HELP_WIDTH = 110
TOOLTIP_WIDTH = 78
"""Characters in a line of the help that a front end shows at the cursor, by Shift-Tab."""
_OTHER_WORDS = {
    "--target": "--to",
    "--compute-target": "--to",
    "--compute": "--to",
    "--script": "--score",
    "--entry-script": "--score",
    "--env": "--environment",
    "--instances": "--replicas",
    "--num-replicas": "--replicas",
}
"""What people write for an option, in the words of other tools, where the nearest spelling is another option."""
_NOT_GIVEN: Any = object()
_JOINED = re.compile(r"(--?\w[\w-]*)=")


def split(line: str, magic: Magic | None = None) -> list[str]:
    """Split a line into words as a shell does, with two exceptions.

    A JSON object or list is kept with its quotes. A value that may be an expression (`Option.expression`) is kept as
    Python reads it: up to the first space outside of brackets and strings. A word that is nothing but a quoted text
    loses its quotes everywhere. In a magic that `expands`, and in names (`Option.names_one`), ``{expression}`` is kept
    with its quotes and spaces, and there is no JSON.

    Parameters:
        line: the line after the magic's name.
        magic: the declaration, which says where expressions are expected; None if there are none.

    Raises:
        WrongInputError: a quotation is not closed, or a word that starts like JSON is neither JSON nor Python.

    Example:
        >>> split('diabetes {"data": [[1, 2]]} -o result')
        ['diabetes', '{"data": [[1, 2]]}', '-o', 'result']

    """
    if len(line) > _MOST_LINE_CHARACTERS:
        raise WrongInputError(f"The line has {len(line)} characters, at most {_MOST_LINE_CHARACTERS}: use a variable.")
    words: list[str] = []
    rest = line.strip()
    while rest:
        found, rest = _first_words(rest, magic, words)
        words += found
    return words


def _first_words(text: str, magic: Magic | None, before: list[str]) -> tuple[list[str], str]:
    """Return the first word of a text, in a list that is empty for an empty word, and the rest."""
    if magic is not None and magic.expands:
        return _expanding_word(text)
    option = magic.option_after(before) if magic is not None else None
    if magic is not None and (joined := _JOINED.match(text)):  # --sample=EXPRESSION
        option = magic.option(joined[1])
        if option is not None and option.expression and joined.end() < len(text) and not text[joined.end()].isspace():
            words, rest = _expression_word(text[joined.end() :])
            return [joined[0] + "".join(words)], rest
        return _shell_word(text)
    if option is not None and option.expression and not text.startswith("-"):
        return _expression_word(text)
    if option is not None and option.names_one and not text.startswith("-"):
        return _expanding_word(text)
    if text[0] in "{[" and before[-1:] != ["--grep"]:  # a pattern is no JSON
        word, rest = _json_word(text)
        return [word], rest
    return _shell_word(text)


def _expression_word(text: str) -> tuple[list[str], str]:
    json_error: WrongInputError | None = None
    if text[0] in "{[":
        try:
            word, rest = _json_word(text)
        except WrongInputError as error:
            json_error = error
        else:
            return [word], rest
    end = expression_end(text)
    word = text[:end]
    if json_error is not None and not is_expression(word):
        raise json_error
    if text[0] == "@" or is_text_literal(word):
        return _shell_word(text)
    return [word], text[end:].lstrip()


def _expanding_word(text: str) -> tuple[list[str], str]:
    """Return a word with its ``{expression}`` unchanged; a word with quotes outside of braces is that of a shell."""
    at = 0
    while at < len(text) and not text[at].isspace():
        if text[at] in "'\"\\":
            return _shell_word(text)
        if text.startswith("{{", at):
            at += 2
        elif text[at] == "{" and (close := closing_brace(text[at:])) is not None:
            at += close + 1
        else:
            at += 1
    return [text[:at]], text[at:].lstrip()


def _json_word(text: str) -> tuple[str, str]:
    try:
        _, end = json.JSONDecoder().raw_decode(text)
    except json.JSONDecodeError as error:
        raise WrongInputError(
            f"{_shortened(text)} is not JSON: {error.msg.lower()} at character {error.pos + 1}.\n"
            "JSON wants double quotes, and true, false, null. A Python value goes into a variable: give its name."
        ) from None
    if end < len(text) and not text[end].isspace():
        raise WrongInputError(f"{_shortened(text)}: a space must follow the JSON that ends at character {end}.")
    return text[:end], text[end:].lstrip()


def _shell_word(text: str) -> tuple[list[str], str]:
    stream = io.StringIO(text)
    lexer = shlex.shlex(stream, posix=True, punctuation_chars=False)
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        word = lexer.get_token()
    except ValueError as error:
        raise WrongInputError(f"{_shortened(text)}: {str(error).lower()}. Close the quotation.") from None
    return ([] if word is None else [word]), stream.read().lstrip()


def with_names(words: list[str], magic: Magic, namespace: Mapping[str, Any]) -> list[str]:
    """Return words with ``$name`` and ``{expression}`` replaced by values, where the value of an option is a name.

    In a magic that `expands` they are replaced in all words.

    Raises:
        WrongInputError: a variable is unknown, or its value is neither text nor a number nor a path.

    """
    found = []
    for place, word in enumerate(words):
        option = magic.option_after(words[:place])
        name = option is not None and option.names_one and not word.startswith("-")
        found.append(expanded(word, namespace) if name or magic.expands else word)
    return found


def parse(magic: Magic, words: list[str], below: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
    """Return the values by name, or None if help is requested; `GIVEN` and `TOLD` list those that were given.

    Parameters:
        magic: the declaration.
        words: the words of the line.
        below: values from the cell; the line overrides them, and they override defaults.

    Raises:
        WrongInputError: a value breaks its rule, or an option is unknown or missing.

    """
    if any(word in ("--help", "-h") for word in words):
        return None
    parser = _Parser(magic)
    given, unknown = parser.parse_known_intermixed_args(words)
    if unknown:
        _refuse(magic, unknown[0])
    typed = {key: value for key, value in vars(given).items() if value is not _NOT_GIVEN}
    values = {option.key: default_of(option) for option in magic.options} | dict(below or {}) | typed
    missing = [option for option in magic.options if option.required and values[option.key] in (None, [])]
    if missing:
        names = [_metavar(option) if option.positional else f"--{option.name}" for option in missing]
        parser.error(f"missing: {', '.join(names)}")
    return values | {GIVEN: frozenset(typed), TOLD: frozenset({*(below or {}), *typed})}


@functools.cache
def help_text(magic: Magic, width: int = _HELP_WIDTH) -> str:
    """Return the text of ``--help``.

    Parameters:
        magic: the declaration.
        width: characters in a line; not the terminal's width, because help is part of saved notebooks.

    """
    return _Parser(magic, width).format_help()


class _Collect(argparse.Action):
    """Collects the values of a repeatable option in a list."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        before = getattr(namespace, self.dest)
        setattr(namespace, self.dest, [*([] if before is _NOT_GIVEN else before), values])


class _Parser(argparse.ArgumentParser):
    """A parser for a magic's declaration; it raises an error instead of ending the process."""

    def __init__(self, magic: Magic, width: int = _HELP_WIDTH) -> None:
        self.magic = magic
        epilog = "Example:\n" + "\n".join("  " + line for line in magic.example.splitlines())
        super().__init__(
            prog=magic.spelled,
            usage=_usage(magic),
            description=_wrapped(magic.summary + (f"\n{_cell(magic)}" if magic.body else ""), width),
            epilog=epilog,
            formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(
                prog, max_help_position=32 if width >= _HELP_WIDTH else 24, width=width
            ),
            add_help=False,
            allow_abbrev=False,
        )
        for option in magic.options:
            self._declare(option)

    def _declare(self, option: Option) -> None:
        # Defaults are set later: they must not override values of the cell.
        details: dict[str, Any] = {"help": _help_of(option), "default": _NOT_GIVEN}
        if option.kind == "flag":
            details["action"] = "store_true"
        elif option.kind == "switch":
            details["action"] = argparse.BooleanOptionalAction
        else:
            details.update(type=_reader(option), metavar=_metavar(option))
        if option.positional:
            details["nargs"] = "*" if option.repeatable else "?"
            self.add_argument(option.key, **details)
            return
        if option.repeatable:
            details["action"] = _Collect
        flags = [spelling for spelling in option.spellings if not spelling.startswith("--no-")]
        self.add_argument(*flags, dest=option.key, **details)

    def error(self, message: str) -> NoReturn:
        """Raise the error, with a reference to the help."""
        message = re.sub(r"^argument (?:-\w/)?", "", message)
        raise WrongInputError(f"{message[:1].upper()}{message[1:].rstrip('.')}. {_where(self.magic)}")


def _wrapped(text: str, width: int) -> str:
    """Return a text in lines for the place at the cursor; an output of a cell wraps by itself."""
    if width >= _HELP_WIDTH:
        return text
    return "\n".join(textwrap.fill(line, width) for line in text.splitlines())


def _cell(magic: Magic) -> str:
    form = "The cell" if magic.needs_body else f"With %%{magic.name} the cell below"
    return f"{form} holds {magic.body}."


def _metavar(option: Option) -> str:
    return option.metavar or "|".join(option.choices) or option.name.upper()


def _usage(magic: Magic) -> str:
    positionals = [_positional(option) for option in magic.positionals]
    required = [
        f"--{option.name} {_metavar(option)}" for option in magic.options if option.required and not option.positional
    ]
    return " ".join([magic.spelled, *positionals, *required, "[options]"]).replace("%", "%%")


def _positional(option: Option) -> str:
    name = _metavar(option).removesuffix("...")
    return (name if option.required else f"[{name}]") + ("..." if option.repeatable else "")


def _help_of(option: Option) -> str:
    text = option.help.replace("%", "%%")
    if option.choices and option.metavar:
        text += f": {', '.join(option.choices)}"
    if option.repeatable and not option.positional:
        text += " (may be repeated)"
    if option.default is not None and option.takes_value:
        text += (
            f" (default {option.default:g})" if isinstance(option.default, float) else f" (default {option.default})"
        )
    return text


def _reader(option: Option) -> Callable[[str], Any]:
    def value_of(text: str) -> Any:
        try:
            return read(option, text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return value_of


def _refuse(magic: Magic, word: str) -> NoReturn:
    if not word.startswith("-"):
        taken = " ".join(option.metavar or option.name.upper() for option in magic.positionals)
        expected = f"only {taken} is expected" if taken else "no value is expected"
        if any(option.expression for option in magic.options):
            expected += "; an expression with spaces goes into parentheses"
            if word.startswith("#"):
                expected += ", and a comment onto a line of its own"
        raise WrongInputError(f"{word!r} is one value too many: {expected}. {_where(magic)}")
    if not word.startswith("--") and len(word) > 2 and is_expression(word) and _wants_expression(magic):
        raise WrongInputError(f"{word} begins like an option: an expression that begins with - goes into parentheses.")
    spelling = word.partition("=")[0]
    known = [spelling for option in magic.options for spelling in option.spellings]
    meant = _OTHER_WORDS.get(spelling)
    hint = f" Did you mean {meant!r}?" if meant in known else near(spelling, known)
    raise WrongInputError(f"{spelling} is not an option of {magic.spelled}.{hint}")


def _wants_expression(magic: Magic) -> bool:
    return any(option.expression and option.positional for option in magic.options)


def _where(magic: Magic) -> str:
    return f"See {magic.spelled} --help."


def _shortened(text: str, most: int = 60) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."
