"""An authorizer of Jupyter Server that refuses what a file names, for the tests of what the extension asks it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from jupyter_server.auth.authorizer import Authorizer

FILE = "MLJUPYTER_TEST_REFUSED"


class Refusing(Authorizer):
    """Refuses the actions in the file that the variable names, on the resource of the extension alone."""

    def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:
        """Return whether the file does not name the action."""
        return resource != "mljupyter" or action not in Path(os.environ[FILE]).read_text().split()
