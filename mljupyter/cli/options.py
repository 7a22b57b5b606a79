"""Options that every command has, and the workspace they lead to."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import click

from mljupyter.core import Workspace, selection

Command = TypeVar("Command", bound=Callable[..., Any])


class FiniteNumber(click.FloatRange):
    """A number within bounds; infinite ones and NaN, which no bound keeps out, are refused."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number, or end the command with the rule."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def workspace_option(command: Command) -> Command:
    """Add ``--workspace``; the command gets the text as `workspace`."""
    return click.option(
        "--workspace",
        metavar="NAME|DIR",
        help="Workspace: a name, or a directory. Else $MLJUPYTER_WORKSPACE, "
        "else that of .azureml/config.json here or above, else 'default'.",
    )(command)


def open_workspace(text: str | None) -> Workspace:
    """Return the workspace that ``--workspace`` names, or the one in use here.

    Raises:
        WorkspaceException: there is none of that name, or in that directory.

    """
    return selection.default_workspace() if text is None else selection.open_workspace(text)
