"""``mljupyter azureml``: the names of the Azure ML SDK v1 for all notebooks and scripts of a Python environment."""

from __future__ import annotations

import sys

import click

from mljupyter.azureml import az_program, installation
from mljupyter.cli.options import json_option
from mljupyter.cli.output import print_document, print_fields, say
from mljupyter.targets.mapped.setting import HOW, words

_TRY = "Try: python -c 'import azureml.core; print(azureml.core.VERSION)'"


@click.group()
def azureml() -> None:
    """Let old notebooks import azureml.core, in this whole Python environment.

    For one notebook, %load_ext mljupyter does the same. For one script: python -m mljupyter.azureml SCRIPT.py
    """


@azureml.command()
@click.option("--az", "with_az", is_flag=True, help="Also a program az for old command lines; a real az comes first.")
@click.option(
    "--aks", metavar="TARGET", help="Run what is deployed to AKS on local, docker, or an attached cluster instead."
)
def enable(with_az: bool, aks: str | None) -> None:
    """Enable it: new interpreters find azureml.core in mljupyter.

    With --aks, AKS targets of old notebooks are mapped to another compute target: AksCompute.create and attach use no
    cluster of Azure. It is kept for this Python environment, and takes effect at once.
    """
    if with_az:
        say(f"az runs old command lines by mljupyter: {az_program.enable()}")
    mapping = None if aks is None else installation.map_aks(aks)
    file = installation.enable()
    found = installation.status()
    say(f"Enabled for {sys.executable}, by {file}")
    if mapping is not None:
        say(f"AKS targets are mapped to {aks!r}, by {mapping}")
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


@azureml.command(short_help="Disable it, and the mapping of AKS targets.")
@click.option("--aks", is_flag=True, help="Only end the mapping of AKS targets; compute targets that are mapped stay.")
def disable(aks: bool) -> None:
    """Disable it, and the mapping of AKS targets; running interpreters keep it."""
    unmapped = installation.unmap_aks()
    if unmapped or aks:
        say("AKS targets are no longer mapped" if unmapped else "AKS targets were not mapped")
    if aks:
        return
    if (program := az_program.disable()) is not None:
        say(f"Removed {program}")
    files = installation.disable()
    say(f"Disabled for {sys.executable}" if files else f"It was not enabled for {sys.executable}")


@azureml.command(short_help="Show what is enabled, and the real package.")
@json_option
def status(as_json: bool) -> None:
    """Show whether it is enabled, and whether the real package is installed."""
    found = installation.status()
    if as_json:
        files = [str(file) for file in found.files]
        print_document(
            {
                "enabled": found.enabled,
                "active": found.active,
                "files": files,
                "python": sys.executable,
                "realPackage": found.real,
                "az": str(program) if (program := az_program.enabled()) is not None else None,
                "aks": found.aks,
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
            ("AKS targets", _mapping(found.aks)),
            ("Real package", f"{found.real}, which is used instead" if found.real else "not installed"),
        ]
    )


def _mapping(place: str | None) -> str:
    if place is None:
        return f"clusters of Azure. {HOW}"
    return f"mapped to {place!r} ({words(place)}): no cluster of Azure is used"
