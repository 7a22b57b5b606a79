"""The base class of all errors for users of mljupyter."""

from __future__ import annotations

import traceback
from typing import ClassVar

from mljupyter.visible import visible


class MLJupyterError(Exception):
    """Base of all errors that mljupyter raises on purpose.

    Its text has the problem, the value, the rule and a remedy, in one to five lines. A notebook shows only the text,
    without our traceback. It is still a real error for the program that runs the notebook.
    """

    short: ClassVar[bool] = True
    """Whether a notebook shows only the text; False shows the traceback as well."""

    def __init__(self, message: str) -> None:
        # A text may quote foreign text, such as the last lines of a log, and it is printed in many places.
        self.message = visible(message)
        super().__init__(self.message)

    def _render_traceback_(self) -> list[str]:
        """Return the lines that IPython shows instead of a traceback."""
        if not self.short:
            return [line.rstrip("\n") for line in traceback.format_exception(self)]
        return [f"{type(self).__name__}: {self.message}"]


def said_of(error: BaseException) -> str:
    """Return the text of an error for people: that of an error that nobody expected begins with its type.

    Example:
        >>> said_of(LookupError("no version"))
        'LookupError: no version'

    """
    return str(error) if isinstance(error, MLJupyterError) else f"{type(error).__name__}: {error}"
