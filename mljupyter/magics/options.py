"""What a magic accepts, as data: parser, help and completion read the same declaration, and so can a form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from mljupyter.magics.call import Call

ValueKind = Literal["text", "integer", "number", "cores", "gigabytes", "duration", "flag", "switch"]
NameKind = Literal["endpoint", "model", "score", "target", "workspace", "variable", "subcommand"]


@dataclass(frozen=True)
class Option:
    """One value a magic accepts: a positional value or an option.

    Parameters:
        name: as written, without dashes: ``max-queue-wait-ms``. Python code reads it with underscores.
        help: one sentence that starts in lower case and has no full stop.
        kind: how the text is read. A ``flag`` takes no value; a ``switch`` also has a ``--no-`` form;
            a ``duration`` is in seconds, with ``30s``, ``5m`` and ``1h`` understood; ``gigabytes`` knows ``512Mi``.
        metavar: how the value is shown in help.
        choices: the only values allowed.
        default: the value when nothing is given.
        minimum: the least value allowed, for numbers.
        short: one-letter form, such as ``-o``.
        completes: which names are offered as completion.

    """

    name: str
    help: str
    kind: ValueKind = "text"
    metavar: str = ""
    choices: tuple[str, ...] = ()
    default: Any = None
    minimum: float | None = None
    short: str = ""
    completes: NameKind | None = None
    positional: bool = False
    required: bool = False
    repeatable: bool = False

    @property
    def key(self) -> str:
        """The name as Python code reads it."""
        return self.name.replace("-", "_")

    @property
    def spellings(self) -> tuple[str, ...]:
        """All ways to write the option; empty for a positional value."""
        if self.positional:
            return ()
        long = (f"--{self.name}", f"--no-{self.name}") if self.kind == "switch" else (f"--{self.name}",)
        return (self.short, *long) if self.short else long

    @property
    def takes_value(self) -> bool:
        """Whether a value follows."""
        return self.kind not in ("flag", "switch")


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

    """

    name: str
    summary: str
    options: tuple[Option, ...]
    example: str
    run: Callable[[Call], Any]
    body: str = ""
    subcommands: tuple[Magic, ...] = field(default=())

    @property
    def sigil(self) -> str:
        """``%%`` for a magic whose main form has a cell body, else ``%``."""
        return "%%" if self.body else "%"

    def option(self, spelling: str) -> Option | None:
        """Return the option written in this way, or None."""
        return next((option for option in self.options if spelling in option.spellings), None)

    @property
    def positionals(self) -> tuple[Option, ...]:
        """The positional values, in order."""
        return tuple(option for option in self.options if option.positional)


ENDPOINT_NAME = Option(
    "name", "name of the endpoint", metavar="NAME", positional=True, required=True, completes="endpoint"
)
OUTPUT = Option("output", "keep the result in this variable instead of showing it", short="-o", metavar="VAR")
JSON = Option("json", "print the result as JSON", kind="flag")
QUIET = Option("quiet", "print nothing but errors", kind="flag")
