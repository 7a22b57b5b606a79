"""``mljupyter folder``: the workspace of a directory, as its configuration file says."""

from __future__ import annotations

import click

from mljupyter.cli import flags
from mljupyter.cli.data import write_metadata
from mljupyter.cli.flags import OldCommand, v1_options
from mljupyter.cli.options import open_workspace, place_given
from mljupyter.cli.output import print_document, progress_on_stderr, say
from mljupyter.core import Workspace
from mljupyter.files import expanded
from mljupyter.workspace import config_file


@click.group()
def folder() -> None:
    """Choose the workspace that commands and notebooks in a directory use."""


@folder.command(cls=OldCommand, short_help="Choose the workspace of a directory.")
@v1_options(
    flags.flag("-e", "--experiment-name", metavar="NAME", help="Noted in the output; name it with `run` commands."),
    flags.flag("-t", "--output-metadata-file", hidden=True, metavar="FILE"),
)
def attach(experiment_name: str | None, output_metadata_file: str | None, workspace: str | None, as_json: bool) -> None:
    """Write .azureml/config.json, which names the workspace. A workspace of a new name is created."""
    directory = expanded(place_given().get("path", "."))
    with progress_on_stderr():
        found = Workspace.create(workspace, exist_ok=True) if workspace is not None else open_workspace(None)
        found.write_config(directory)
    file = directory / config_file.FOLDER / config_file.FILE_NAME
    document = {"workspaceName": found.name, "configFile": str(file), "experimentName": experiment_name}
    if output_metadata_file is not None:
        write_metadata(output_metadata_file, document)
    if as_json:
        print_document(document)
    else:
        say(f"{directory.absolute()}: workspace {found.name!r}, by {file}")
