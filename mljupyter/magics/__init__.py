"""Magics: deploy, score and watch endpoints from notebook cells. One module for each magic.

`load` registers ``%mlj``, under which every magic is found, and the short names that are free.
"""

from __future__ import annotations

import sys
from typing import Any


def load(shell: Any) -> None:
    """Register the magics and their completion in a shell; doing it twice changes nothing."""
    from mljupyter.magics.completion import IDENTIFIER, matcher
    from mljupyter.magics.registration import register
    from mljupyter.magics.settings import add_settings
    from mljupyter.notebook.session import session_of

    add_settings(shell)
    taken, magics = register(shell)
    for name in taken:
        print(f"mljupyter: %{name} belongs to another extension: use %mlj {name}.", file=sys.stderr)
    matchers = shell.Completer.custom_matchers
    if not any(getattr(known, "matcher_identifier", "") == IDENTIFIER for known in matchers):
        matchers.append(matcher(magics, session_of(shell).names))


def unload(shell: Any) -> None:
    """Take the magics and their completion away; names of other extensions stay."""
    from mljupyter.magics.completion import IDENTIFIER
    from mljupyter.magics.registration import unregister
    from mljupyter.magics.settings import remove_settings
    from mljupyter.notebook.session import forget

    remove_settings(shell)
    unregister(shell)
    matchers = shell.Completer.custom_matchers
    matchers[:] = [known for known in matchers if getattr(known, "matcher_identifier", "") != IDENTIFIER]
    forget(shell)
