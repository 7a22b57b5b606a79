"""``%az``: an old command line of Azure in a cell, as it stands; and ``!az``, which runs the same."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from typing import Any

from mljupyter.errors import MLJupyterError

NAME = "az"


class CommandFailedError(MLJupyterError):
    """A command of ``%az`` has failed; it has said why."""


def az_function(shell: Any) -> Callable[[str], None]:
    """Return the function of the magic ``%az`` for a shell.

    The line is that of a shell: quotes, pipes and ``$variables`` are as after ``!``. It runs in a process of its own,
    and its output appears as it comes.

    Parameters:
        shell: the IPython shell.

    """

    def az(line: str) -> None:
        shell.system(f"{shlex.quote(sys.executable)} -m mljupyter.cli az {line}")
        status = shell.user_ns.get("_exit_code")
        if status:
            raise CommandFailedError(f"az ended with status {status}; see above.")

    az._ipython_magic_no_var_expand = True  # type: ignore[attr-defined]  # the shell expands it, as after !
    az.__doc__ = (
        "Run an old command line of Azure as it stands, such as:\n\n"
        "%az ml model deploy -ct myaks -m mymodel:1 -n myservice -ic inferenceconfig.json -dc deploymentconfig.json\n"
        "%az ml service get-access-token -n myservice\n\n%az --help says more; !az runs the same."
    )
    return az
