"""The options that all commands have, and the workspace they select."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import click

from mljupyter.core import Workspace, selection
from mljupyter.core.compute import ComputeTarget
from mljupyter.core.compute.cluster import ClusterCompute
from mljupyter.core.router import Router

Command = TypeVar("Command", bound=Callable[..., Any])


class FiniteNumber(click.FloatRange):
    """A finite number within bounds; infinity and NaN are refused."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number; end the command with an error if it breaks the rule."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def workspace_option(command: Command) -> Command:
    """Add the option ``--workspace``, which the command gets as `workspace`."""
    return click.option(
        "--workspace",
        metavar="NAME|DIR",
        help="Name or directory of the workspace. Defaults: $MLJUPYTER_WORKSPACE, "
        "then .azureml/config.json here or in a parent directory, then 'default'.",
    )(command)


def open_workspace(text: str | None) -> Workspace:
    """Return the workspace that ``--workspace`` names, or the default workspace.

    Raises:
        WorkspaceException: if there is no workspace of that name, or in that directory.

    """
    return selection.default_workspace() if text is None else selection.open_workspace(text)


def router_target_option(command: Command) -> Command:
    """Add the option ``--target``, which the command gets as `target`: whose router it is about."""
    return click.option("--target", metavar="NAME", help="An attached cluster. Default: the router of this machine.")(
        command
    )


def open_router(workspace: str | None, target: str | None) -> Router:
    """Return the router of this machine, or that of an attached cluster.

    Raises:
        WorkspaceException: if there is no such workspace.
        ComputeTargetException: if there is no such compute target.

    """
    found = open_workspace(workspace)
    cluster = None if target is None else ComputeTarget(found, target)
    return cluster.router if isinstance(cluster, ClusterCompute) else found.router
