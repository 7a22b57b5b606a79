"""Command line ``mljupyter``, with one module for each group of commands.

Commands import the parts of mljupyter that they need in their functions, so that help and completion stay fast.
"""

from __future__ import annotations

import sys

from mljupyter.cli.app import app
from mljupyter.errors import MLJupyterError
from mljupyter.visible import show_anything


def main() -> None:
    """Run the command line; exit with status 0 for success, 1 for a failure, 2 for wrong usage."""
    show_anything(sys.stdout, sys.stderr)
    try:
        app(prog_name="mljupyter")
    except (MLJupyterError, NotImplementedError) as error:  # the SDK raises the latter as Azure's does
        from mljupyter.cli.hints import as_commands  # only for an error
        from mljupyter.cli.options import named_endpoint

        print(f"mljupyter: {as_commands(str(error), named_endpoint())}", file=sys.stderr)
        sys.exit(1)
