"""The manifest of a stored directory: a JSON list of its files, in one canonical spelling."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from mljupyter.registry.errors import ArtifactError

MOST_MANIFEST_BYTES = 256 << 20
_HEX = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """One file of a stored directory. A `digest` of None means an empty directory."""

    path: str
    digest: str | None
    size: int
    executable: bool


def encode(entries: Iterable[ManifestEntry]) -> bytes:
    """Return the manifest: the same bytes for the same entries in any order."""
    items = [
        {"path": entry.path, "digest": entry.digest, "size": entry.size, "executable": entry.executable}
        for entry in sorted(entries, key=lambda entry: entry.path)
    ]
    # ASCII escapes preserve file names that are not valid UTF-8 (lone surrogates).
    encoded = json.dumps(items, ensure_ascii=True, separators=(",", ":"), sort_keys=True).encode("ascii")
    if len(encoded) > MOST_MANIFEST_BYTES:
        raise ArtifactError(f"The list of files takes {len(encoded):,} bytes; at most {MOST_MANIFEST_BYTES:,} fit.")
    return encoded


def decode(content: bytes, digest: str) -> list[ManifestEntry]:
    """Return the entries of a manifest, or raise `ArtifactError` when one could lead out of its directory."""
    try:
        items = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _invalid(digest, "it is not JSON") from error
    if not isinstance(items, list):
        raise _invalid(digest, "it is not a list")
    entries = [_entry(item, digest) for item in items]
    if len({entry.path for entry in entries}) != len(entries):
        raise _invalid(digest, "it names a path twice")
    return entries


def _entry(item: object, digest: str) -> ManifestEntry:
    if not isinstance(item, dict):
        raise _invalid(digest, f"{item!r:.80} is not an entry")
    path, content, size, executable = (item.get(key) for key in ("path", "digest", "size", "executable"))
    if not isinstance(path, str) or "\0" in path or any(part in ("", ".", "..") for part in path.split("/")):
        raise _invalid(digest, f"the path {path!r:.80} leads out of the directory")
    if content is not None and not (isinstance(content, str) and _HEX.fullmatch(content)):
        raise _invalid(digest, f"{content!r:.80} is not a digest")
    if type(size) is not int or size < 0 or type(executable) is not bool:
        raise _invalid(digest, f"size or executable bit of {path!r:.80} is missing")
    return ManifestEntry(path, content, size, executable)


def _invalid(digest: str, how: str) -> ArtifactError:
    return ArtifactError(f"The list of files of artifact {digest} cannot be used: {how}.")
