"""Check of a cell's scoring script without running it; errors have the line of the cell."""

from __future__ import annotations

from pathlib import Path

from mljupyter.build.project.script import check_script
from mljupyter.errors import MLJupyterError
from mljupyter.exceptions import WebserviceException


class ScoringScriptError(MLJupyterError):
    """A scoring script is invalid; the message has the line of the cell."""


def check(script: Path) -> None:
    """Raise `ScoringScriptError` if a script has a syntax error or lacks ``init()`` or ``run(data)``.

    The rules are those of `InferenceConfig`; only the message differs, because the user sees a cell instead of a file.
    """
    try:
        check_script(script)
    except WebserviceException as error:
        text = error.message.replace(f"{script}, line ", "Line ").replace(str(script), "The cell")
        code = text.rpartition("\n")[2].strip()
        if code[:1] in ("%", "!"):
            text += "\nMagics and shell commands cannot be part of a scoring script."
        raise ScoringScriptError(text) from None
