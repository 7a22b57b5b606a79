"""``mljupyter environment``: the commands for environments."""

from __future__ import annotations

from typing import Any

import click

from mljupyter.cli import flags
from mljupyter.cli.flags import OldCommand, v1_options
from mljupyter.cli.options import open_workspace
from mljupyter.cli.output import print_document, print_fields, print_table, progress_on_stderr, say
from mljupyter.core import CondaDependencies, Environment
from mljupyter.exceptions import UserErrorException

_COLUMNS = ("NAME", "VERSION", "PYTHON", "PACKAGES", "BASE IMAGE")
_DIRECTORY = flags.flag("-d", "--directory", metavar="DIR", default=".", help="Its directory. Default: this one.")
_VERSION = flags.flag("-v", "--version", metavar="NUMBER", help="Its version. Default: the newest.")
_OVERWRITE = flags.flag("--overwrite", help="Replace the files of an environment there.", **flags.SWITCH)


@click.group()
def environment() -> None:
    """Write, register, list, show and download environments."""


@environment.command(cls=OldCommand, short_help="Write the files of a new environment.")
@v1_options(flags.NAME, _DIRECTORY, _OVERWRITE)
def scaffold(name: str, directory: str, overwrite: bool | None, workspace: str | None, as_json: bool) -> None:
    """Write the files of a new environment into a directory, to be changed and registered."""
    made = Environment(name)
    made.python.conda_dependencies = CondaDependencies.create(pip_packages=["azureml-defaults"])
    _save(made, directory, overwrite or directory == ".")
    if as_json:
        print_document({"name": name, "directory": directory})
    else:
        say(f"{name}: written into {directory}. Next: mljupyter environment register -d {directory}")


@environment.command(cls=OldCommand, short_help="Register the environment in a directory.")
@v1_options(_DIRECTORY)
def register(directory: str, workspace: str | None, as_json: bool) -> None:
    """Register the environment in a directory as the next version of its name."""
    found = open_workspace(workspace)
    with progress_on_stderr():
        made = Environment.load_from_directory(directory).register(found)
    if as_json:
        print_document(made.definition().document())
    else:
        say(f"{made.name}:{made.version}: registered")


@environment.command("list", cls=OldCommand, short_help="List the registered environments.")
@v1_options(flags.flag("-n", "--name", metavar="NAME", help="Only this one."))
def list_environments(name: str | None, workspace: str | None, as_json: bool) -> None:
    """List the newest version of each registered environment."""
    known = Environment.list(open_workspace(workspace))
    found = [one for each, one in sorted(known.items()) if name in (None, each)]
    if as_json:
        print_document([one.definition().document() for one in found])
    elif not found:
        say("No environments. Register one with: mljupyter environment register -d DIR")
    else:
        print_table(_COLUMNS, [_row(one) for one in found])


@environment.command(cls=OldCommand, short_help="Show one environment.")
@v1_options(flags.NAME, _VERSION)
def show(name: str, version: str | None, workspace: str | None, as_json: bool) -> None:
    """Show one registered environment."""
    found = Environment.get(open_workspace(workspace), name, version)
    if as_json:
        print_document(found.definition().document())
    else:
        print_fields(list(zip((column.capitalize() for column in _COLUMNS), _row(found), strict=True)))


@environment.command(cls=OldCommand, short_help="Write an environment into a directory.")
@v1_options(flags.NAME, _VERSION, _DIRECTORY, _OVERWRITE)
def download(
    name: str, version: str | None, directory: str, overwrite: bool | None, workspace: str | None, as_json: bool
) -> None:
    """Write a registered environment into a directory."""
    found = Environment.get(open_workspace(workspace), name, version)
    _save(found, directory, bool(overwrite))
    if as_json:
        print_document({"name": found.name, "version": found.version, "directory": directory})
    else:
        say(f"{found.name}:{found.version}: written into {directory}")


def _save(one: Environment, directory: str, overwrite: bool) -> None:
    try:
        one.save_to_directory(directory, overwrite=overwrite)
    except UserErrorException as error:
        if "overwrite=True" not in error.message:
            raise
        raise UserErrorException(
            f"{directory!r} exists already: choose another directory, or --overwrite to replace an environment there."
        ) from None


def _row(one: Environment) -> list[str]:
    packages = one.python.conda_dependencies
    count = 0 if packages is None else len(list(packages.conda_packages)) + len(list(packages.pip_packages))
    python = None if packages is None else packages.get_python_version()
    values: list[Any] = [one.name, one.version, python, count, one.docker.base_image]
    return ["" if value is None else str(value) for value in values]
