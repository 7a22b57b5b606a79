"""``mljupyter az``: old command lines of Azure as they stand, such as ``az ml model deploy -ct myaks -m mymodel:1``.

`table.TABLE` says what each command is here. Results are JSON unless ``-o`` says otherwise, as az prints them.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

import click

from mljupyter import __version__
from mljupyter.cli.app import app
from mljupyter.cli.az.table import OLD_NAMES, TABLE, Missing, Nothing, row_of
from mljupyter.cli.flags import NAME, OldCommand, v1_options
from mljupyter.cli.hints import as_commands
from mljupyter.cli.options import named_endpoint, open_workspace, place_given
from mljupyter.cli.output import DEFAULT_FORMAT, print_document, say
from mljupyter.errors import MLJupyterError

_HELP = ("-h", "--help")
_FAILED, _WRONG_USE = 1, 2
_OVERVIEW = """\
Usage: mljupyter az COMMAND ...

  Old command lines of Azure as they stand. Results are JSON, unless -o says
  otherwise; --query takes a part of them.

    az ml model deploy -n myservice -m mymodel:1 -ic inferenceconfig.json
    az ml service get-access-token -n myservice
    az aks show -n mycluster -g mygroup --query id -o tsv

Below `az ml` are the commands of mljupyter: az ml --help lists them.
"""


@click.command(context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def az(words: tuple[str, ...]) -> None:
    """Run an old command line of Azure as it stands, such as: az ml model deploy -ct myaks -m mymodel:1 ..."""
    sys.exit(run(words))


def run(argv: Sequence[str]) -> int:
    """Run an old command line, print its result, and return its exit status.

    Parameters:
        argv: the words of the command line; a first word ``az`` is left out.

    Returns:
        0 for success, 1 for a failure, 2 for wrong usage.

    """
    words = list(argv[1:] if argv[:1] in (["az"], ("az",)) else argv)
    leading = list(takewhile(lambda word: not word.startswith("-"), words))
    if not leading:
        say(_OVERVIEW, nl=False)
        return 0 if not words or set(words) & set(_HELP) else _WRONG_USE
    count, row = row_of(leading)
    spelled = " ".join(leading[:count])
    if isinstance(row, Nothing):
        say(f"az {spelled}: nothing to do, since {row.reason}.", err=True)
        return 0
    if isinstance(row, Missing):
        say(f"az {spelled} is not there: {row.reason}.", err=True)
        return _FAILED
    if row is not None:
        arguments = [*row.words.split(), *words[count:], *row.more]
        return _invoke(_own if row.own else app, "az" if row.own else "az ml", arguments)
    if leading[0] == "ml":
        return _invoke(app, "az ml", words[1:] or ["--help"])
    known = sorted({name.partition(" ")[0] for name in TABLE})
    close = difflib.get_close_matches(leading[0], known, 1)
    hint = f" Did you mean {close[0]!r}?" if close else f" Known: {', '.join(known)}."
    say(f"az: {leading[0]!r} is not a command that is known here.{hint}", err=True)
    return _WRONG_USE


def _invoke(group: click.Group, program: str, arguments: list[str]) -> int:
    """Run a command with JSON as its default output, and return its exit status; print errors to standard error."""
    renamed = OLD_NAMES.get(arguments[0], {})
    try:
        with group.make_context(program, [renamed.get(word, word) for word in arguments]) as ctx:
            ctx.meta[DEFAULT_FORMAT] = "json"
            group.invoke(ctx)
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.Abort:
        say("Aborted!", err=True)
        return _FAILED
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (MLJupyterError, FileNotFoundError, NotImplementedError) as error:
        said = f"{error.filename}: {error.strerror}" if isinstance(error, FileNotFoundError) else str(error)
        say(f"{program}: {as_commands(said, named_endpoint())}", err=True)
        return _FAILED
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0


@click.group(name="az")
def _own() -> None:
    """The commands that exist only as commands of az."""


@_own.command(cls=OldCommand)
@v1_options()
def version(workspace: str | None, as_json: bool) -> None:
    """Show the version of mljupyter, which answers in place of az."""
    print_document({"azure-cli": None, "mljupyter": __version__, "extensions": {"azure-cli-ml": __version__}})


@_own.group()
def account() -> None:
    """The account that a workspace notes."""


@account.command("show", cls=OldCommand)
@v1_options()
def show_account(workspace: str | None, as_json: bool) -> None:
    """Show the subscription that the workspace notes; it has no effect."""
    print_document(_account(workspace))


@account.command("list", cls=OldCommand)
@v1_options(
    click.option("--all", is_flag=True, expose_value=False), click.option("--refresh", is_flag=True, expose_value=False)
)
def list_accounts(workspace: str | None, as_json: bool) -> None:
    """List the subscription that the workspace notes."""
    print_document([_account(workspace)])


@_own.group()
def aks() -> None:
    """The clusters that are attached, or that the kubeconfig has."""


@aks.command("show", cls=OldCommand)
@v1_options(NAME)
def show_cluster(name: str, workspace: str | None, as_json: bool) -> None:
    """Show a cluster with its resource ID."""
    from mljupyter.cli.az.clusters import shown_cluster  # slow import; few calls need it

    group = place_given().pop("resource_group", None)  # that of the cluster, not of the workspace
    print_document(shown_cluster(open_workspace(workspace), name, group))


@aks.command("list", cls=OldCommand)
@v1_options()
def list_clusters(workspace: str | None, as_json: bool) -> None:
    """List the attached clusters with their resource IDs."""
    from mljupyter.cli.az.clusters import listed_clusters  # slow import; few calls need it

    print_document(listed_clusters(open_workspace(workspace)))


def _account(workspace: str | None) -> dict[str, Any]:
    found = open_workspace(workspace)
    return {
        "id": found.subscription_id,
        "name": found.name,
        "state": "Enabled",
        "isDefault": True,
        "environmentName": "mljupyter",
    }
