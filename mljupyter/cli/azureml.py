"""``mljupyter azureml``: the names of the Azure ML SDK v1 for all notebooks and scripts of a Python environment."""

from __future__ import annotations

import sys

import click

from mljupyter.azureml import az_program, installation
from mljupyter.cli.options import json_option
from mljupyter.cli.output import print_fields, print_json, say

_TRY = "Try: python -c 'import azureml.core; print(azureml.core.VERSION)'"


@click.group()
def azureml() -> None:
    """Let old notebooks import azureml.core, in this whole Python environment.

    For one notebook, %load_ext mljupyter does the same. For one script: python -m mljupyter.azureml SCRIPT.py
    """


@azureml.command()
@click.option("--az", "with_az", is_flag=True, help="Also a program az for old command lines; a real az comes first.")
def enable(with_az: bool) -> None:
    """Enable it: new interpreters find azureml.core in mljupyter."""
    if with_az:
        say(f"az runs old command lines by mljupyter: {az_program.enable()}")
    file = installation.enable()
    found = installation.status()
    say(f"Enabled for {sys.executable}, by {file}")
    if found.real is not None:
        say(f"{found.real} is installed and is used instead. To use mljupyter: pip uninstall azureml-core", err=True)
    elif not found.active:
        say(
            "New interpreters do not have it, since they do not find mljupyter: install it in this environment.",
            err=True,
        )
        sys.exit(1)
    else:
        say(f"Restart running kernels. {_TRY}")


@azureml.command()
def disable() -> None:
    """Disable it; running interpreters keep it."""
    if (program := az_program.disable()) is not None:
        say(f"Removed {program}")
    files = installation.disable()
    say(f"Disabled for {sys.executable}" if files else f"It was not enabled for {sys.executable}")


@azureml.command()
@json_option
def status(as_json: bool) -> None:
    """Show whether it is enabled, and whether the real package is installed."""
    found = installation.status()
    if as_json:
        files = [str(file) for file in found.files]
        print_json(
            {
                "enabled": found.enabled,
                "active": found.active,
                "files": files,
                "python": sys.executable,
                "realPackage": found.real,
                "az": str(program) if (program := az_program.enabled()) is not None else None,
            }
        )
        return
    state = "enabled" if found.enabled else "disabled; enable it with: mljupyter azureml enable"
    if found.enabled and not found.active:
        state += ", but new interpreters do not find mljupyter"
    print_fields(
        [
            ("azureml.core", state),
            ("Python", sys.executable),
            *(("File", str(file)) for file in found.files),
            ("az", f"{program}, of mljupyter" if (program := az_program.enabled()) is not None else "mljupyter az"),
            ("Real package", f"{found.real}, which is used instead" if found.real else "not installed"),
        ]
    )
