"""The origin of a version: the change of an endpoint that gave it the content that it has now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mljupyter.spec import EndpointSpec
from mljupyter.spec.history import HistoryEntry

Content = tuple[Any, ...]


def content_of(spec: EndpointSpec, version: str) -> Content | None:
    """Return the content of a version, which can be compared: script, models and image; None if there is none.

    Parameters:
        spec: the endpoint.
        version: the name of the version.

    """
    found = spec.versions.get(version)
    if found is None:
        return None
    code = found.code.digest if found.code is not None else None
    return code, tuple((model.id, model.digest) for model in found.models), found.image


def origin(entries: Sequence[HistoryEntry], spec: EndpointSpec, version: str) -> HistoryEntry | None:
    """Return the entry of a history since which a version has its present content; None if the history has none.

    Parameters:
        entries: the history, the oldest first.
        spec: the endpoint now.
        version: the name of the version.

    """
    wanted = content_of(spec, version)
    found = None
    for entry in reversed(entries):
        if content_of(entry.spec, version) != wanted:
            break
        found = entry
    return found
