"""The base of every error a user of mljupyter may see."""

from __future__ import annotations

import traceback
from typing import ClassVar

from mljupyter.visible import visible


class MLJupyterError(Exception):
    """Base of all errors that mljupyter raises on purpose.

    Its text says what is wrong, the value, the rule and the way out, in one to five lines. A notebook shows the
    text alone, as a real error: no traceback of ours, yet visible to whatever runs the notebook.
    """

    short: ClassVar[bool] = True
    """Whether a notebook shows the text alone; False shows the traceback as well."""

    def __init__(self, message: str) -> None:
        # A text may quote what others wrote, the last lines of a log for example: it is printed in many places.
        self.message = visible(message)
        super().__init__(self.message)

    def _render_traceback_(self) -> list[str]:
        """Return the lines that IPython shows in place of a traceback."""
        if not self.short:
            return [line.rstrip("\n") for line in traceback.format_exception(self)]
        return [f"{type(self).__name__}: {self.message}"]
