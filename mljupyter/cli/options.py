"""The options that all commands have, and the workspace they select."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, TypeVar

import click

from mljupyter.cli.output import FORMATS, documents_wanted, keep_format, keep_query, progress_on_stderr, say
from mljupyter.core import Workspace, selection
from mljupyter.core.compute import ComputeTarget
from mljupyter.core.compute.cluster import ClusterCompute
from mljupyter.core.router import Router
from mljupyter.files import expanded
from mljupyter.workspace import config_file

Command = TypeVar("Command", bound=Callable[..., Any])
_PLACE = "mljupyter.place"
_ABOUT_AN_ENDPOINT = (
    ["endpoint"], ["service"], ["rollout"], ["traffic"], ["monitor"], ["deploy"], ["model", "deploy"],
)  # fmt: skip
_named: ContextVar[str] = ContextVar("named", default="")


class FiniteNumber(click.FloatRange):
    """A finite number within bounds; infinity and NaN are refused."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number; end the command with an error if it breaks the rule."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


def json_option(command: Command) -> Command:
    """Add ``--json``, ``--output`` and ``--query``.

    The command gets `as_json`: whether to print its document, by `print_document`, and no text for people.
    """
    for option in (
        click.option("--json", "as_json", is_flag=True, callback=documents_wanted, help="Print JSON."),
        click.option(
            "--query",
            metavar="JMESPATH",
            is_eager=True,
            expose_value=False,
            callback=keep_query,
            help="Print this part of the JSON.",
        ),
        click.option(
            "-o",
            "--output",
            metavar="FORMAT",
            type=click.Choice(FORMATS, case_sensitive=False),
            is_eager=True,
            expose_value=False,
            callback=keep_format,
            help="json, jsonc (coloured), table, tsv, yaml or none.",
        ),
    ):
        command = option(command)
    return command


def workspace_option(command: Command) -> Command:
    """Add the option ``--workspace``, which the command gets as `workspace`."""
    return click.option(
        "-w",
        "--workspace",
        "--workspace-name",
        "workspace",
        metavar="NAME|DIR",
        help="Name or directory of the workspace. Defaults: $MLJUPYTER_WORKSPACE, "
        "then .azureml/config.json here or in a parent directory, then 'default'.",
    )(command)


def place_parameters() -> list[click.Option]:
    """Return the hidden options of Azure ML's command line: ``--path``, ``--resource-group``, ``--subscription-id``."""
    hidden: dict[str, Any] = {"hidden": True, "expose_value": False, "is_eager": True, "callback": _keep_place}
    return [
        click.Option(["--path"], **hidden),
        click.Option(["-g", "--resource-group"], **hidden),
        click.Option(["--subscription-id", "--subscription", "subscription_id"], **hidden),
        click.Option(["--verbose", "--debug", "verbose"], is_flag=True, **hidden),
    ]


def _keep_place(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    if isinstance(value, str) and param.name is not None:
        ctx.meta.setdefault(_PLACE, {})[param.name] = value


def place_given() -> dict[str, str]:
    """Return ``path``, ``resource_group`` and ``subscription_id`` as given; a command that uses one takes it out."""
    place: dict[str, str] = click.get_current_context().meta.setdefault(_PLACE, {})
    return place


def open_workspace(text: str | None) -> Workspace:
    """Return the workspace that ``--workspace`` names, or the default workspace.

    A resource group or subscription that is given and is not that of the workspace is named as without effect.

    Raises:
        WorkspaceException: if there is no workspace of that name, or in that directory.

    """
    ctx = click.get_current_context(silent=True)
    _named.set(_endpoint_in(ctx) if ctx is not None else "")
    place: dict[str, str] = ctx.meta.get(_PLACE, {}) if ctx is not None else {}
    with progress_on_stderr():
        if text is not None:
            found = selection.open_workspace(text)
        elif "path" in place and config_file.find(expanded(place["path"])) is not None:
            found = Workspace.from_config(place["path"])
        else:
            found = selection.default_workspace()
    for name, present in (("resource_group", found.resource_group), ("subscription_id", found.subscription_id)):
        asked = place.pop(name, present)
        if asked != present:
            option = f"--{name.replace('_', '-')}"
            say(f"Without effect: {option} {asked!r}; workspace {found.name!r} notes {present!r}.", err=True)
    return found


def named_endpoint() -> str:
    """Return the name of the endpoint that the command is about; empty if it is about none, or not known yet."""
    return _named.get()


def _endpoint_in(ctx: click.Context) -> str:
    _, *words = ctx.command_path.split()
    about_one = any(words[: len(first)] == first for first in _ABOUT_AN_ENDPOINT)
    names = ctx.params.get("names") or (ctx.params.get("name") or "",)
    return str(names[0]) if about_one else ""


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
