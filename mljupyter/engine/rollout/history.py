"""A rollback restores one entry of an endpoint's history."""

from __future__ import annotations

from collections.abc import Sequence

from mljupyter.spec import EndpointSpec
from mljupyter.spec.history import HistoryEntry


def rollback_target(
    entries: Sequence[HistoryEntry], present: EndpointSpec, number: int | None = None
) -> HistoryEntry | None:
    """Return the entry of a history that a rollback goes to, or None when there is none.

    Parameters:
        entries: the history, the oldest first.
        present: the spec there is.
        number: the entry asked for; None for the newest one that differs from the spec there is.

    """
    if number is not None:
        return next((entry for entry in entries if entry.number == number), None)
    return next((entry for entry in reversed(entries) if entry.spec != present), None)
