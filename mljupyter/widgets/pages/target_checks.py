"""Checks of compute targets, each on its own thread, so that a slow target does not delay the others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Look = Callable[[], str | None]
"""Returns why a target cannot be used now, with a solution; None if it can. May be slow."""


@dataclass(frozen=True)
class Check:
    """The state of a target's check: ``running``, then ``ok`` or ``failed`` with the reason."""

    state: str = "running"
    reason: str = ""


class TargetChecks:
    """Checks of several targets, updated by `look`.

    Parameters:
        changed: called, from any thread, when a check has ended.

    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._found: dict[str, Check] = {}
        self._round = 0
        self._lock = threading.Lock()

    def look(self, targets: Mapping[str, Look]) -> None:
        """Start to check targets, and return at once; results of earlier checks are ignored."""
        with self._lock:
            self._round += 1
            self._found = {name: Check() for name in targets}
        for name, look in targets.items():
            arguments = (self._round, name, look)
            threading.Thread(target=self._check, args=arguments, name=f"mljupyter looks at {name}", daemon=True).start()

    def of(self, name: str) -> Check:
        """Return the check of a target."""
        return self._found.get(name, Check())

    @property
    def looking(self) -> bool:
        """Whether a check is still running."""
        return any(check.state == "running" for check in self._found.values())

    def _check(self, number: int, name: str, look: Look) -> None:
        try:
            reason = look()
        except Exception as error:  # noqa: BLE001 (shown to the person who chooses)
            reason = f"{type(error).__name__}: {error}"
        with self._lock:
            if number != self._round:
                return
            self._found[name] = Check("failed" if reason else "ok", reason or "")
        self._changed()
