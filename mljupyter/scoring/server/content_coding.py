"""Content codings of request bodies (RFC 9110, section 8.4): gzip and deflate are decompressed piece by piece.

The router passes compressed bodies on as they are. Envoy could decompress them, but it hands the first part of damaged
data on as if it were the whole, and a replica without a router has to decompress in any case.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from mljupyter.scoring.protocol import Headers

PIECE_BYTES = 256 * 1024
MOST_MEMBERS = 10_000
"""The largest number of gzip members in one body. `bgzip` makes one of each 64 KB."""
_GZIP, _DEFLATE = b"gzip", b"deflate"
_KNOWN = {b"gzip": _GZIP, b"x-gzip": _GZIP, b"deflate": _DEFLATE}
_SAME = (b"", b"identity")
_WINDOW = 15
_GZIP_WINDOW, _RAW_WINDOW = 16 + _WINDOW, -_WINDOW
_ZLIB_HEADER_BYTES, _ZLIB_METHOD, _ZLIB_MULTIPLE = 2, 8, 31  # RFC 1950, section 2.2
_LONGEST_NAME = 50
_WAY_OUT = "send gzip or deflate, or the body as it is without a Content-Encoding"


class CodingError(Exception):
    """The coding of a body is not supported (415), or its data is damaged (400).

    Attributes:
        status: the status of the answer.
        headers: further headers of the answer.

    """

    def __init__(self, status: int, message: str, headers: Headers) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers


def decoder_for(content_encoding: bytes) -> Decoder | None:
    """Return the decoder of a body; None if it is not compressed.

    Parameters:
        content_encoding: the value of the header; of repeated ones, all values with commas between them.

    Raises:
        CodingError: when the coding is another one, or there are several.

    """
    codings = [name for part in content_encoding.split(b",") if (name := part.strip().lower()) not in _SAME]
    if not codings:
        return None
    if len(codings) > 1 or codings[0] not in _KNOWN:
        raise CodingError(
            415,
            f"the body has the Content-Encoding {_shown(content_encoding)}, which is not supported: {_WAY_OUT}",
            [(b"accept-encoding", b"gzip, deflate")],
        )
    return Decoder(_KNOWN[codings[0]])


class Decoder:
    """Decompresses one body. Its output comes in pieces, so the caller can stop at a limit at any time."""

    def __init__(self, coding: bytes) -> None:
        self._coding = coding
        self._stream = zlib.decompressobj(_GZIP_WINDOW) if coding == _GZIP else None
        self._head = b""
        self._members = 1

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decompress the next data of a body.

        Parameters:
            data: compressed data, in parts of any size.

        Yields:
            Pieces of at most `PIECE_BYTES`.

        Raises:
            CodingError: when the data is damaged.

        """
        if self._stream is None:
            data = self._head = self._head + data
            if len(data) < _ZLIB_HEADER_BYTES:
                return
            self._stream = zlib.decompressobj(_WINDOW if _has_zlib_header(data) else _RAW_WINDOW)
        again = bool(data)
        while again:
            if self._stream.eof:
                self._begin_another()
            try:
                piece = self._stream.decompress(data, PIECE_BYTES)
            except zlib.error:
                raise self._damaged("is no valid data of this coding") from None
            data = self._stream.unused_data if self._stream.eof else self._stream.unconsumed_tail
            again = bool(data) or (len(piece) == PIECE_BYTES and not self._stream.eof)
            if piece:
                yield piece

    def finish(self, received: int) -> None:
        """Check that the data was complete.

        Parameters:
            received: the bytes of the body. A body without any is empty in each coding.

        Raises:
            CodingError: when its end is missing.

        """
        if received and (self._stream is None or not self._stream.eof):
            raise self._damaged("ends before its data does")

    def _begin_another(self) -> None:
        """Begin the next member: a gzip file may have several (RFC 1952, section 2.2)."""
        self._members += 1
        if self._coding != _GZIP:
            raise self._damaged("goes on after the end of its data")
        if self._members > MOST_MEMBERS:
            raise self._damaged(f"has more than {MOST_MEMBERS:,} gzip members")
        self._stream = zlib.decompressobj(_GZIP_WINDOW)

    def _damaged(self, fault: str) -> CodingError:
        return CodingError(
            400, f"the body has the Content-Encoding {_shown(self._coding)}, but {fault}: {_WAY_OUT}", []
        )


def decoded_headers(headers: Headers, size: int) -> Headers:
    """Return the headers of a request whose body has been decompressed.

    Parameters:
        headers: those of the compressed one.
        size: bytes of the decompressed body.

    """
    changed = (b"content-encoding", b"content-length", b"transfer-encoding")
    return [*(one for one in headers if one[0] not in changed), (b"content-length", b"%d" % size)]


def _has_zlib_header(data: bytes) -> bool:
    """Return whether data has the header of RFC 1950. By RFC 9110 it should, but some clients send it without."""
    return data[0] & 0x0F == _ZLIB_METHOD and (data[0] * 256 + data[1]) % _ZLIB_MULTIPLE == 0


def _shown(value: bytes) -> str:
    return repr(value[:_LONGEST_NAME].decode("latin-1"))
