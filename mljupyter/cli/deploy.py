"""``mljupyter deploy``: the deployment of ``%deploy``, with the same options and the same YAML."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from mljupyter.cli.options import json_option, open_workspace, workspace_option
from mljupyter.cli.output import print_document, progress_on_stderr, say
from mljupyter.core import Webservice
from mljupyter.core.conda_file import read_text
from mljupyter.deploy.apply import undo
from mljupyter.deploy.cell_script import place_of
from mljupyter.deploy.wait import NOT_DEPLOYED, failure, follow, told_once
from mljupyter.errors import MLJupyterError
from mljupyter.notebook.deployment import deployment_of
from mljupyter.notebook.options.cell_body import values_in_cell
from mljupyter.notebook.options.defaults import project_defaults
from mljupyter.notebook.options.deployment_options import DEPLOYMENT_OPTIONS
from mljupyter.notebook.options.option import GIVEN, TOLD, Option
from mljupyter.notebook.options.option_values import default_of, read
from mljupyter.notebook.plan import Deployment, Plan
from mljupyter.notebook.session import Session
from mljupyter.spec.difference import masked

_OF_NOTEBOOKS = ("estimator", "sample", "method", "panel", "code", "output", "json", "quiet")
"""The options that need the variables of a notebook, or its display."""

_OPTIONS = tuple(option for option in DEPLOYMENT_OPTIONS if option.name not in (*_OF_NOTEBOOKS, "name"))


class DeploymentInterruptedError(MLJupyterError):
    """A deployment was interrupted."""


def _reader(option: Option) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """Return the callback of click that reads the texts of an option, or ends the command with its rule."""

    def value_of(ctx: click.Context, param: click.Parameter, given: Any) -> Any:
        try:
            if isinstance(given, tuple):
                return [read(option, text) for text in given]
            return None if given is None else read(option, given)
        except ValueError as error:
            raise click.BadParameter(f"{error}.", ctx=ctx, param=param) from None

    return value_of


def _declared(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of ``%deploy`` that make sense outside of a notebook."""
    for option in reversed(_OPTIONS):
        text = f"{option.help[:1].upper()}{option.help[1:]}."
        if not option.takes_value:
            spelled = f"--{option.name}/--no-{option.name}" if option.kind == "switch" else f"--{option.name}"
            command = click.option(spelled, option.key, is_flag=True, default=None, help=text)(command)
            continue
        metavar = option.metavar or ("|".join(option.choices) if option.choices else option.name.upper())
        command = click.option(
            *option.spellings,
            option.key,
            callback=_reader(option),
            metavar=metavar,
            multiple=option.repeatable,
            help=f"{text} Repeatable." if option.repeatable else text,
        )(command)
    return command


@click.command(short_help="Deploy models as an endpoint, or change it.")
@click.argument("name")
@click.option("-f", "--file", metavar="FILE", help="YAML with the options, or an endpoint's whole specification.")
@_declared
@workspace_option
@json_option
def deploy(name: str, file: str | None, workspace: str | None, as_json: bool, **given: Any) -> None:
    """Deploy registered models with a scoring script as endpoint NAME; later calls change only differences.

    An interrupt undoes it: a new endpoint is deleted, a changed one is restored. With --no-wait it continues.
    """
    found = open_workspace(workspace)
    session = Session(None)
    session.use(found, refresh=False)
    with progress_on_stderr():
        values = _values(name, file, given)
        deployment = deployment_of(session, {}, values)
        plan = deployment.plan()
    if values["dry_run"]:
        if as_json:
            print_document(masked(plan.wanted.document()))
        else:
            say(plan.text())
        return
    leftovers = deployment.leftovers(plan)
    try:
        service = _applied(deployment, plan, values, quiet=as_json)
    except KeyboardInterrupt:
        outcome = undo(found.context, name, plan.present)
        raise DeploymentInterruptedError(
            f"The deployment of {name!r} was interrupted. {outcome} {deployment.discard(leftovers)}".rstrip()
        ) from None
    except MLJupyterError:
        if said := deployment.discard(leftovers):
            say(said, err=True)
        raise
    if as_json:
        print_document(service.serialize())


def _values(name: str, file: str | None, given: dict[str, Any]) -> dict[str, Any]:
    """Return the values by option: those of the line, then of the file, of the project, and the defaults."""
    text = None if file is None else read_text(file, "deployment file")
    below = {} if text is None else values_in_cell(text, DEPLOYMENT_OPTIONS)
    defaults = {option.key: default_of(option) for option in DEPLOYMENT_OPTIONS}
    typed = {key: value for key, value in given.items() if value not in (None, [])}
    project = project_defaults("deploy", DEPLOYMENT_OPTIONS, Path.cwd())
    told = {**project, **below, **typed, "name": name}
    return {**defaults, **told, GIVEN: frozenset({*typed, "name"}), TOLD: frozenset(told)}


def _applied(deployment: Deployment, plan: Plan, values: dict[str, Any], *, quiet: bool) -> Webservice:
    """Carry out the plan, wait unless ``--no-wait`` is given, and print each stage."""

    def tell(text: str) -> None:
        if not quiet:
            say(text)

    tell(f"{deployment.name} → {deployment.target}: {plan.action}")
    if line := plan.replaced(deployment.deployed_version or plan.wanted.default_version):
        tell(f"  {line.replace('%mlj history', 'mljupyter endpoint history')}")
    for line in plan.change_lines():
        tell(f"  {line}")
    for warning in plan.warnings:
        say(f"Warning: {warning}", err=True)
    with progress_on_stderr():
        unchanged = plan.action == "unchanged" and plan.settled_as in ("Healthy", None)
        service = deployment.service() if unchanged else deployment.deploy(plan)
    if not values["wait"]:
        tell(f"  started; mljupyter endpoint show {service.name}, mljupyter endpoint logs {service.name}")
        return service
    record = follow(
        service.workspace.endpoints,
        service.name,
        timeout=values["timeout"],
        on_record=told_once(lambda cause: tell(f"  waiting: {cause}")),
    )
    service.update_deployment_state()
    if record.status.state in NOT_DEPLOYED:
        raise failure(record, str(service.state), place=place_of(service.workspace.artifacts, record))
    tell(f"  {service.state}: {service.scoring_uri}")
    return service
