"""``%config MLJupyter``: settings of this kernel."""

from __future__ import annotations

from typing import Any

from traitlets import Bool, observe
from traitlets.config import Configurable

from mljupyter.errors import MLJupyterError


class MLJupyter(Configurable):
    """Settings of mljupyter in this kernel."""

    short_errors = Bool(True, help="Show errors as a few lines of text; False adds the traceback.").tag(config=True)

    @observe("short_errors")
    def _changed(self, change: Any) -> None:
        MLJupyterError.short = change["new"]


def add_settings(shell: Any) -> None:
    """Register the settings for ``%config``; a second call changes nothing."""
    if not any(type(known) is MLJupyter for known in shell.configurables):
        shell.configurables.append(MLJupyter(parent=shell))


def remove_settings(shell: Any) -> None:
    """Remove the settings and their effect."""
    shell.configurables[:] = [known for known in shell.configurables if type(known) is not MLJupyter]
    MLJupyterError.short = True
