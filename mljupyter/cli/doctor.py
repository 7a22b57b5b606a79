"""``mljupyter doctor``: the checks of the installation, the workspace and its processes."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from mljupyter.cli.options import json_option, open_workspace, workspace_option
from mljupyter.cli.output import print_document, say
from mljupyter.workspace.doctor import examine

_MARKS = {"ok": "✓", "note": "·", "failed": "✗"}


@click.command()
@workspace_option
@json_option
def doctor(workspace: str | None, as_json: bool) -> None:
    """Check Python, router, workspace, controller, sockets, ports, optional packages and extensions of Jupyter.

    The exit status is 1 if a problem prevents endpoints from serving.
    """
    checks = examine(lambda: Path(open_workspace(workspace).directory))
    if as_json:
        print_document([check.document() for check in checks])
    else:
        for check in checks:
            say(f"{_MARKS[check.status]} {check.name}: {check.text}")
            if check.fix:
                say(f"    {check.fix}")
    if any(check.status == "failed" for check in checks):
        sys.exit(1)
