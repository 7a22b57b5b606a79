"""Declaration of a magic, and one call of it with values, shell and result."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from keyword import iskeyword
from typing import TYPE_CHECKING, Any

from mljupyter.errors import MLJupyterError
from mljupyter.notebook.options.option import Option
from mljupyter.notebook.options.option_values import WrongInputError
from mljupyter.notebook.session import Session
from mljupyter.visible import visible, visible_json

if TYPE_CHECKING:
    from mljupyter.notebook.views.views import View


class StoppedError(MLJupyterError):
    """A magic was interrupted."""


@dataclass(frozen=True)
class Magic:
    """A magic: its name, its options, and its function.

    Parameters:
        name: as written after ``%``.
        summary: one sentence for help.
        options: positional values first, in order.
        example: lines that can be copied into a cell.
        run: its function, as ``module:function`` below `mljupyter.magics.commands`. It takes a `Call`, and its result
            is the cell's value. It is imported when the magic is used, so that loading stays fast.
        body: description of the cell below ``%%name``; empty if there is no cell form.
        needs_body: whether the cell form is the only one.
        interrupted: the message after an interrupt.
        prefix: the prefix of the name, ``mlj `` for a magic that exists only below ``%mlj``.
        reads_body: whether the cell holds values of options, which the line overrides. Otherwise `run` reads the cell.
        expands: whether ``$name`` and ``{expression}`` on the line are replaced by the values of variables. It
            takes no JSON then.
        wizard: the function that returns a form, in the form of `run`; empty if there is none. The form is shown in a
            notebook if the magic has no arguments; elsewhere help is shown.

    """

    name: str
    summary: str
    options: tuple[Option, ...]
    example: str
    run: str = ""
    body: str = ""
    subcommands: tuple[Magic, ...] = field(default=())
    expands: bool = False
    wizard: str = ""
    needs_body: bool = False
    reads_body: bool = False
    interrupted: str = ""
    prefix: str = ""

    @property
    def sigil(self) -> str:
        """``%%`` for a magic whose main form has a cell body, else ``%``."""
        return "%%" if self.needs_body else "%"

    @property
    def spelled(self) -> str:
        """The spelling of the magic in a cell: ``%deploy``, ``%%score``, ``%mlj doctor``."""
        return f"{self.sigil}{self.prefix}{self.name}"

    def option(self, spelling: str) -> Option | None:
        """Return the option with this spelling, or None."""
        return next((option for option in self.options if spelling in option.spellings), None)

    @property
    def positionals(self) -> tuple[Option, ...]:
        """The positional values, in order."""
        return tuple(option for option in self.options if option.positional)

    def option_after(self, words: Sequence[str]) -> Option | None:
        """Return the option that the next word is the value of; None if no value is expected.

        Parameters:
            words: the words of the line before it.

        """
        previous = self.option(words[-1]) if words else None
        if previous is not None and previous.takes_value:
            return previous
        given = len(self.positional_words(words))
        if given < len(self.positionals):
            return self.positionals[given]
        return self.positionals[-1] if self.positionals and self.positionals[-1].repeatable else None

    def positional_words(self, words: Sequence[str]) -> list[str]:
        """Return the words that are neither options nor their values."""
        found = []
        previous: Option | None = None
        for word in words:
            option = self.option(word)
            if previous is None and not word.startswith("-"):
                found.append(word)
            previous = option if option is not None and option.takes_value and previous is None else None
        return found

    def carry_out(self, call: Call) -> Any:
        """Import the function of the magic and call it."""
        return _command(self.run)(call)

    def open_wizard(self, session: Session, namespace: Mapping[str, Any]) -> Any:
        """Import the wizard and return its widget."""
        return _command(self.wizard)(session, namespace)


def _command(reference: str) -> Callable[..., Any]:
    module, _, function = reference.partition(":")
    command: Callable[..., Any] = getattr(import_module(f"mljupyter.magics.commands.{module}"), function)
    return command


@dataclass(frozen=True)
class Call:
    """One call of a magic.

    Parameters:
        magic: the declaration.
        values: the values by option.
        body: the cell below ``%%name``; None for the line form.
        shell: the IPython shell.
        session: the state of this kernel.
        local: the local variables of the function that called the magic; empty outside of functions.

    """

    magic: Magic
    values: dict[str, Any]
    body: str | None
    shell: Any
    session: Session
    local: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, key: str) -> Any:
        return self.values[key]

    @property
    def namespace(self) -> dict[str, Any]:
        """The user's variables; in a function, its local ones as well."""
        namespace: dict[str, Any] = self.shell.user_ns
        return {**namespace, **self.local} if self.local else namespace

    @property
    def has_widgets(self) -> bool:
        """Whether widgets can be shown: only in a kernel, not in a terminal or a script."""
        return has_widgets(self.shell)

    @property
    def endpoint(self) -> str:
        """The name of the endpoint in ``NAME`` or ``NAME:VERSION``."""
        return str(self.values["name"]).partition(":")[0]

    @property
    def version(self) -> str | None:
        """The version in ``NAME:VERSION``; None without one."""
        return str(self.values["name"]).partition(":")[2] or None

    def say(self, text: str) -> None:
        """Print a line, unless ``--quiet`` is given."""
        if not self.values.get("quiet"):
            print(visible(text), flush=True)

    def show(self, view: View) -> None:
        """Show a view before the cell ends: with its HTML form in a notebook, as text elsewhere."""
        if self.has_widgets:
            from IPython.display import display

            display(view)  # type: ignore[no-untyped-call]
        else:
            print(visible(view.text()), flush=True)

    def deliver(self, result: Any) -> Any:
        """Return the result to show, or store it in the variable in ``-o``.

        If this replaces a value of another type, a message is printed.
        """
        variable = self.values.get("output")
        if variable is None:
            return result
        before = self.namespace.get(variable)
        if before is not None and result is not None and type(before) is not type(result):
            print(f"{variable}: {type(before).__name__} replaced by {type(result).__name__}", flush=True)
        self.shell.push({variable: result})
        return None

    def check_output_variable(self) -> None:
        """Refuse an ``-o`` that is not a variable name, before anything is done."""
        variable = self.values.get("output")
        if variable is not None and (not variable.isidentifier() or iskeyword(variable)):
            more = (
                f"\nWrite TARGET = {self.magic.spelled} ... for an attribute or an item."
                if set(variable) & set(".[")
                else ""
            )
            raise WrongInputError(f"-o {variable}: that is not a name for a variable. For example: -o result{more}")
        if variable in self.local:
            raise WrongInputError(
                f"-o {variable}: it is a local variable of a function, which a magic cannot set.\n"
                f"Write {variable} = {self.magic.spelled} ... without -o."
            )


def has_widgets(shell: Any) -> bool:
    """Whether widgets can be shown: only in a kernel, not in a terminal or a script."""
    return hasattr(shell, "kernel")


def json_line(value: Any) -> str:
    """Return a value as JSON text with sorted keys; control characters become JSON escapes."""
    return visible_json(json.dumps(value, indent=2, sort_keys=True, default=str, ensure_ascii=False))


def masked_line(document: Any) -> str:
    """Return an endpoint's document, or several, as JSON text without the values of environment variables."""
    from mljupyter.spec.difference import masked  # pydantic takes longer to import than all magics together

    return json_line(masked(document))
