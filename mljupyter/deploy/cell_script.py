"""Scoring scripts that come from a cell of a notebook: how they are marked, and how errors name their lines."""

from __future__ import annotations

import re
from functools import lru_cache

from mljupyter.errors import MLJupyterError
from mljupyter.registry.artifacts.content import hex_of
from mljupyter.registry.artifacts.manifest import ManifestEntry
from mljupyter.registry.artifacts.store import FILES, ArtifactStore, Part
from mljupyter.spec import CodeReference, EndpointRecord

THE_CELL = "the cell"
_MARK = re.compile(rb"# Scoring script .+, written with %%score\r?\n")
_MOST_BYTES = 200  # of the first line


def first_line(name: str) -> str:
    """Return the line that stands for ``%%score NAME`` in a stored script, so that its lines are those of the cell."""
    return f"# Scoring script {name!r}, written with %%score\n"


def place_of(store: ArtifactStore, record: EndpointRecord) -> str:
    """Return what a user calls the script that failed: ``the cell``; the empty text if that is the name of its file.

    Parameters:
        store: the artifact store of the workspace.
        record: the endpoint.

    """
    failing = (name for name, status in record.status.versions.items() if status.problem is not None)
    version = record.spec.versions.get(next(failing, record.spec.default_version))
    if version is None or version.code is None:
        return ""
    try:
        return _place(store, version.code.digest, version.code)
    except MLJupyterError:  # the error must be told, also without its place
        return ""


@lru_cache(maxsize=100)
def _place(store: ArtifactStore, digest: str, code: CodeReference) -> str:
    script = _script(store.entries(digest), digest, code)
    if script is None:
        return ""
    with store.opened(script) as source:
        buffer = bytearray(_MOST_BYTES)
        source.readinto(memoryview(buffer))
    return THE_CELL if _MARK.match(buffer) else ""


def _script(entries: list[ManifestEntry] | None, digest: str, code: CodeReference) -> Part | None:
    if entries is None:
        return Part(FILES, hex_of(digest), 0)
    for entry in entries:
        if entry.digest is not None and f"/{code.entry_script}".endswith(f"/{entry.path}"):
            return Part(FILES, hex_of(entry.digest), entry.size)
    return None
