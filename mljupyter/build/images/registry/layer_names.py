"""The names of the files in a layer, read with bounded memory and time even from a hostile layer."""

from __future__ import annotations

import gzip
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any, cast

from mljupyter.build.images.errors import ImageError

BLOCK = tarfile.BLOCKSIZE
# Unpacked layers of images for GPUs have about ten gigabytes.
MOST_UNPACKED_BYTES = 1 << 38
MOST_MEMBERS = 10_000_000
_MOST_HEADER_BYTES = 1 << 20
_SKIP_BYTES = 1 << 20
_PAX_SIZE = re.compile(rb"(?:\A|\n)\d{1,9} size=(\d{1,15})\n")
_FILES_AND_LINKS = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.LNKTYPE, tarfile.SYMTYPE)
# Members of these types have no content in the archive, even where their header has a size.
_WITHOUT_CONTENT = (
    tarfile.LNKTYPE,
    tarfile.SYMTYPE,
    tarfile.CHRTYPE,
    tarfile.BLKTYPE,
    tarfile.DIRTYPE,
    tarfile.FIFOTYPE,
)
_EXTENDED = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
_LONG_NAMES = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)


def layer_names(
    chunks: Iterator[bytes],
    compression: str,
    on_chunk: Callable[[], None] = lambda: None,
    *,
    most_bytes: int = MOST_UNPACKED_BYTES,
) -> Iterator[str]:
    """Yield the names of files and links in a layer, and read the layer to its end.

    `tarfile` is not used for the whole archive, since it keeps extended headers of any size in memory. Names that do
    not fit into a header (100 characters) are cut off.

    Parameters:
        chunks: the layer as stored in the registry. At its end it raises when the digest is wrong.
        compression: ``gzip`` or ``none``.
        on_chunk: called before each chunk. It may raise an exception to stop.
        most_bytes: the largest allowed unpacked size.

    Raises:
        ImageError: when the layer is not an archive, or too large.

    """
    stream = _Stream(chunks, on_chunk)
    source = gzip.GzipFile(fileobj=cast("Any", stream), mode="rb") if compression == "gzip" else stream
    try:
        yield from _names(_Bounded(cast("IO[bytes]", source), most_bytes))
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        stream.drain()  # raises the better error if the layer was damaged in transfer
        raise ImageError(f"A layer of the base image is not an archive: {error or 'it ends too early'}.") from error
    # The archive may end before the layer does, and the digest can be compared only at the layer's end.
    stream.drain()


def _names(source: _Bounded) -> Iterator[str]:
    size_said: int | None = None
    for _ in range(MOST_MEMBERS):
        block = source.read(BLOCK)
        if not block or block.count(0) == BLOCK:
            return
        member = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        size = member.size if size_said is None or member.type in (*_EXTENDED, *_LONG_NAMES) else size_said
        if size < 0 or member.type == tarfile.GNUTYPE_SPARSE:
            raise tarfile.ReadError("it has a member of a type that layers do not have")
        if member.type in _EXTENDED:
            if size > _MOST_HEADER_BYTES:
                raise tarfile.ReadError(f"it has a header of {size:,} bytes")
            found = _PAX_SIZE.search(source.read(_padded(size)))
            if member.type != tarfile.XGLTYPE:
                size_said = int(found[1]) if found else None
            continue
        if member.type not in _WITHOUT_CONTENT:
            source.skip(_padded(size))
        if member.type in _LONG_NAMES:
            continue
        size_said = None
        if member.type in _FILES_AND_LINKS:
            yield member.name
    raise ImageError(f"A layer of the base image holds more than {MOST_MEMBERS:,} files.")


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


class _Bounded:
    """Reads exactly the requested sizes, and in total no more than a limit."""

    def __init__(self, source: IO[bytes], most: int) -> None:
        self._source = source
        self._left = most

    def read(self, size: int) -> bytes:
        """Return `size` bytes, or nothing at the end."""
        self._left -= size
        if self._left < 0:
            raise ImageError("A layer of the base image is too large when unpacked: choose another base image.")
        parts: list[bytes] = []
        there = 0
        while there < size and (part := self._source.read(size - there)):
            parts.append(part)
            there += len(part)
        if 0 < there < size:
            raise EOFError("it ends within a file")
        return b"".join(parts)

    def skip(self, size: int) -> None:
        """Skip `size` bytes."""
        while size > 0:
            if not self.read(min(size, _SKIP_BYTES)):
                raise EOFError("it ends within a file")
            size -= _SKIP_BYTES


class _Stream:
    """A file interface to chunks."""

    def __init__(self, chunks: Iterator[bytes], on_chunk: Callable[[], None]) -> None:
        self._chunks = chunks
        self._on_chunk = on_chunk
        self._buffer = memoryview(b"")

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes. An empty result means the end."""
        if not self._buffer:
            self._on_chunk()
            self._buffer = memoryview(next(self._chunks, b""))
        content = self._buffer[: size if size >= 0 else None]
        self._buffer = self._buffer[len(content) :]
        return bytes(content)

    def drain(self) -> None:
        """Read to the end, so that the digest of the whole layer is compared."""
        self._buffer = memoryview(b"")
        for _ in self._chunks:
            self._on_chunk()
