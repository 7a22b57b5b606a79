"""One use of a magic: its values, the shell it came from, and where its result goes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mljupyter.magics.magic import Magic
from mljupyter.notebook.options.option_values import WrongInputError
from mljupyter.visible import visible, visible_json

if TYPE_CHECKING:
    from mljupyter.notebook.session import Session


@dataclass(frozen=True)
class Call:
    """What a magic's function gets.

    Parameters:
        magic: the declaration.
        values: by option, as the declaration names them.
        body: the cell below ``%%name``; None for the line form.
        shell: the IPython shell.
        session: what this kernel keeps between magics.

    """

    magic: Magic
    values: dict[str, Any]
    body: str | None
    shell: Any
    session: Session

    def __getitem__(self, key: str) -> Any:
        return self.values[key]

    @property
    def namespace(self) -> dict[str, Any]:
        """The user's variables."""
        namespace: dict[str, Any] = self.shell.user_ns
        return namespace

    @property
    def has_widgets(self) -> bool:
        """Whether somebody may see a widget: a kernel has one, a terminal and a script do not."""
        return has_widgets(self.shell)

    @property
    def endpoint(self) -> str:
        """The name of the endpoint, where ``NAME`` or ``NAME:VERSION`` was given."""
        return str(self.values["name"]).partition(":")[0]

    @property
    def version(self) -> str | None:
        """The version, where ``NAME:VERSION`` was given; else None."""
        return str(self.values["name"]).partition(":")[2] or None

    def say(self, text: str) -> None:
        """Print a line, unless ``--quiet`` was given."""
        if not self.values.get("quiet"):
            print(visible(text), flush=True)

    def deliver(self, result: Any) -> Any:
        """Return the result to show, or keep it in the variable that ``-o`` names.

        A variable that held something of another type is replaced with a line that says so.
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
        """Refuse an ``-o`` that is no variable name, before any work is done."""
        variable = self.values.get("output")
        if variable is not None and not variable.isidentifier():
            raise WrongInputError(f"-o {variable}: that is no name for a variable. For example: -o result")


def has_widgets(shell: Any) -> bool:
    """Whether somebody may see a widget: a kernel has one, a terminal and a script do not."""
    return hasattr(shell, "kernel")


def json_line(value: Any) -> str:
    """Return a value as JSON text with sorted keys; control characters and the like are JSON's escapes in it."""
    return visible_json(json.dumps(value, indent=2, sort_keys=True, default=str, ensure_ascii=False))


def masked_line(document: Any) -> str:
    """Return an endpoint's document, or several, as JSON text without the values of environment variables."""
    from mljupyter.spec.difference import masked

    return json_line(masked(document))
