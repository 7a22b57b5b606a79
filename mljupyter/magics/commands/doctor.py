"""``%mlj doctor``: check whether this machine can serve."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mljupyter.errors import MLJupyterError
from mljupyter.magics.magic import Call, json_line
from mljupyter.notebook.views.views import MARKS, Table
from mljupyter.workspace.doctor import examine
from mljupyter.workspace.doctor_workspace import Check


class DoctorError(MLJupyterError):
    """A problem keeps endpoints from serving."""


def run(call: Call) -> Any:
    """Return the findings as a table; raise an error if one of them keeps endpoints from serving."""
    checks = examine(lambda: Path(call.session.workspace().directory))
    if call["json"]:
        print(json_line([check.document() for check in checks]))
    else:
        from IPython.display import display

        display(_table(checks))  # type: ignore[no-untyped-call]
    failed = [check for check in checks if check.status == "failed"]
    if failed:
        raise DoctorError("; ".join(f"{check.name}: {check.fix or check.text}" for check in failed))
    return call.deliver([check.document() for check in checks]) if call["output"] else None


def _table(checks: list[Check]) -> Table:
    rows = [(MARKS[check.status], check.name, f"{check.text}. {check.fix}".rstrip(". ")) for check in checks]
    return Table(("", "Check", "Found"), rows, checks, "")
