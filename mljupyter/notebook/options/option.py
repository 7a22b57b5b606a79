"""One value that is asked for, as data: parser, help, completion, cell bodies and forms read the same declaration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

GIVEN = "given"
"""Among values by option: which of them stood on the line."""
ValueKind = Literal[
    "text", "integer", "number", "cores", "gigabytes", "duration", "bounds", "assignment", "flag", "switch"
]
NameKind = Literal[
    "endpoint",
    "endpoint-version",
    "environment",
    "estimator",
    "model",
    "score",
    "share",
    "subcommand",
    "target",
    "variable",
    "version",
    "workspace",
]


@dataclass(frozen=True)
class Option:
    """One value that a magic or a form accepts.

    Parameters:
        name: as written, without dashes: ``max-queue-wait-ms``. Python code reads it with underscores.
        help: one sentence that starts in lower case and has no full stop.
        kind: how the text is read. A ``flag`` takes no value; a ``switch`` also has a ``--no-`` form;
            a ``duration`` is in seconds, with ``30s``, ``5m`` and ``1h`` understood; ``gigabytes`` knows ``512Mi``;
            ``bounds`` are two whole numbers, ``1:5``; an ``assignment`` is ``NAME=VALUE``.
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
        """Whether a value follows the option."""
        return self.kind not in ("flag", "switch")


ENDPOINT_NAME = Option(
    "name", "name of the endpoint", metavar="NAME", positional=True, required=True, completes="endpoint"
)
ENDPOINT_VERSION = Option(
    "name",
    "name of the endpoint, and perhaps one of its versions",
    metavar="NAME[:VERSION]",
    positional=True,
    required=True,
    completes="endpoint-version",
)
OUTPUT = Option("output", "keep the result in this variable instead of showing it", short="-o", metavar="VAR")
JSON = Option("json", "print the result as JSON", kind="flag")
QUIET = Option("quiet", "print nothing but errors", kind="flag")
