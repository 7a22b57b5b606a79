"""The command line: ``mljupyter``. One module for each group of commands."""

from __future__ import annotations

import sys

from mljupyter.cli.app import app
from mljupyter.errors import MLJupyterError


def main() -> None:
    """Run the command line; exit with 0 when all went well, 1 when something failed, 2 when used wrongly."""
    try:
        app(prog_name="mljupyter")
    except MLJupyterError as error:
        print(f"mljupyter: {error.message}", file=sys.stderr)
        sys.exit(1)
