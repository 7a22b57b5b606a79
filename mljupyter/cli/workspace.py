"""``mljupyter workspace``: archives, backups and the shared storage of workspaces."""

from __future__ import annotations

import click

from mljupyter.cli.workspace_archive import COMMANDS


@click.group()
def workspace() -> None:
    """Export, import, back up, restore, move and share workspaces."""


for _command in COMMANDS:
    workspace.add_command(_command)
