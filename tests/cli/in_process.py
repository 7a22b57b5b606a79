"""The command line in this process: for commands that need no process of their own."""

from __future__ import annotations

import json
from typing import Any

from click.testing import CliRunner, Result

from mljupyter.cli.app import app
from mljupyter.errors import MLJupyterError


def run(*arguments: str, expected: int = 0) -> Result:
    """Return what a command printed; its exit status must be the expected one."""
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == expected, (result.output, result.exception)
    return result


def run_json(*arguments: str, expected: int = 0) -> Any:
    """Return the JSON that a command printed."""
    return json.loads(run(*arguments, "--json", expected=expected).stdout)


def failed(*arguments: str) -> str:
    """Return the message of a command that must fail as the command line expects it."""
    result = run(*arguments, expected=1)
    assert isinstance(result.exception, MLJupyterError), result.exception
    return result.exception.message
