"""Copy content in bounded memory while computing its digest."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from mljupyter.registry.errors import ArtifactError

CHUNK_BYTES = 1 << 20
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")


class Readable(Protocol):
    """A source of content."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Fill the start of `buffer`. Return the number of bytes, 0 at the end."""


def hex_of(digest: str) -> str:
    """Return the hexadecimal part of a digest, or raise `ArtifactError` when the text is not a digest."""
    match = _DIGEST.fullmatch(digest)
    if match is None:
        raise ArtifactError(f"{digest!r} is not a digest. Rule: 'sha256:' and 64 hexadecimal digits in lower case.")
    return match[1]


def copy_content(
    source: Readable,
    write: Callable[[memoryview], object] | None,
    on_chunk: Callable[[int], None] | None = None,
) -> tuple[str, int]:
    """Pass all of `source` to `write` in chunks of 1 MiB. Return its digest in hexadecimal and its size.

    `on_chunk` gets the number of bytes of each chunk. The memory passed to `write` is reused afterwards.
    """
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(CHUNK_BYTES))
    size = 0
    while count := source.readinto(buffer):
        chunk = buffer[:count]
        digest.update(chunk)
        if write is not None:
            write(chunk)
        size += count
        if on_chunk is not None:
            on_chunk(count)
    return digest.hexdigest(), size


def write_verified(source: Readable, target: Path, *, expected_hex: str, expected_size: int | None, mode: int) -> None:
    """Copy `source` into the new file `target` (`mode` before the umask). Raise `ArtifactError` when it is damaged."""
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with open(descriptor, "wb") as sink:  # noqa: PTH123 - a descriptor, not a path
        found_hex, size = copy_content(source, sink.write)
    if expected_size is not None and size != expected_size:
        raise damaged(expected_hex, f"{size:,} bytes where {expected_size:,} were stored")
    if found_hex != expected_hex:
        raise damaged(expected_hex, f"its content has digest sha256:{found_hex}")


def damaged(expected_hex: str, how: str) -> ArtifactError:
    """Return the error for damaged content of the store."""
    return ArtifactError(
        f"Artifact sha256:{expected_hex} is damaged in the artifact store: {how}.\n"
        "Register its source again: this replaces the damaged content."
    )
