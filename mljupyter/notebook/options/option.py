"""Declaration of an option. Parser, help, completion, cell bodies and forms read the same declaration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

GIVEN = "given"
"""Key of the set of options that were given on the line, among the values by option."""
TOLD = "told"
"""Key of the set of options with a value of the line, of the cell or of the project; the others have defaults."""
ValueKind = Literal[
    "text", "integer", "number", "cores", "gigabytes", "duration", "bounds", "assignment", "label", "flag", "switch"
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
_NAMES = ("endpoint", "endpoint-version", "model", "score", "target", "version")


@dataclass(frozen=True)
class Option:
    """Declare one value that a magic or a form accepts.

    Parameters:
        name: without leading dashes, such as ``max-queue-wait-ms``. Python code uses underscores.
        help: one sentence that starts in lower case and has no full stop.
        kind: type of the value. A ``flag`` takes no value; a ``switch`` also has a ``--no-`` form;
            a ``duration`` is in seconds, or ``30s``, ``5m``, ``1h``; ``gigabytes`` may be ``512Mi``;
            ``bounds`` are two whole numbers, ``1:5``; an ``assignment`` is ``NAME=VALUE``, a ``label``
            the same with a name of Kubernetes.
        metavar: placeholder for the value in help.
        choices: the allowed values.
        default: the value if the option is missing.
        minimum: the smallest allowed number.
        short: one-letter form, such as ``-o``.
        completes: kind of names for completion.
        expression: whether the value is, or may be, a Python expression: its quotes and brackets belong to it.

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
    expression: bool = False

    @property
    def key(self) -> str:
        """The name in Python code."""
        return self.name.replace("-", "_")

    @property
    def spellings(self) -> tuple[str, ...]:
        """All spellings of the option; empty for a positional value."""
        if self.positional:
            return ()
        long = (f"--{self.name}", f"--no-{self.name}") if self.kind == "switch" else (f"--{self.name}",)
        return (self.short, *long) if self.short else long

    @property
    def names_one(self) -> bool:
        """Whether the value is the name of something registered, in which ``$`` and ``{`` have no other meaning."""
        return not self.expression and self.completes in _NAMES

    @property
    def takes_value(self) -> bool:
        """Whether a value follows the option."""
        return self.kind not in ("flag", "switch")


ENDPOINT_NAME = Option(
    "name", "name of the endpoint", metavar="NAME", positional=True, required=True, completes="endpoint"
)
ENDPOINT_VERSION = Option(
    "name",
    "name of the endpoint, optionally with one of its versions",
    metavar="NAME[:VERSION]",
    positional=True,
    required=True,
    completes="endpoint-version",
)
OUTPUT = Option("output", "store the result in this variable instead of showing it", short="-o", metavar="VAR")
JSON = Option("json", "print the result as JSON", kind="flag")
QUIET = Option("quiet", "print nothing but errors", kind="flag")
