"""Sealed files: a stream encrypted with a passphrase in frames, which can be read from any position.

A file is a magic line, a salt, and frames of AES-256-GCM. The nonce of a frame is its number with a mark of the last
one, so frames cannot be exchanged, left out or cut off. The key from scrypt belongs to one file: its salt is random.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from mljupyter.transfer.encryption import COST, check_passphrase, derived_key
from mljupyter.transfer.errors import PassphraseError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

_MAGIC = b"mljupyter-sealed-1\n"
_SALT_BYTES = 16
_FRAME_BYTES = 1 << 20
_TAG_BYTES = 16
_FIRST = len(_MAGIC) + _SALT_BYTES


def is_sealed(path: Path) -> bool:
    """Return whether a file is encrypted with a passphrase; False if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


@contextmanager
def sealed(target: IO[bytes], passphrase: str) -> Iterator[IO[bytes]]:
    """Yield a stream to write to; what is written goes to `target`, encrypted. After an error its end is missing.

    Raises:
        PassphraseError: the passphrase is too short.

    """
    check_passphrase(passphrase)
    salt = os.urandom(_SALT_BYTES)
    target.write(_MAGIC + salt)
    writer = _Writer(target, derived_key(passphrase, salt, COST))
    yield writer  # type: ignore[misc]  # zipfile needs what a raw stream has
    writer.finish()


def unsealed(path: Path, passphrase: str) -> IO[bytes]:
    """Return the content of a sealed file as a stream with positions.

    Raises:
        PassphraseError: the passphrase is wrong, or the file is damaged or cut off. Reading raises it too.
        OSError: the file cannot be read.

    """
    file = path.open("rb")
    try:
        return io.BufferedReader(_Reader(file, path, passphrase))
    except BaseException:
        file.close()
        raise


class _Writer(io.RawIOBase):
    def __init__(self, target: IO[bytes], key: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._target = target
        self._cipher = AESGCM(key)
        self._frames = 0
        self._waiting = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        self._waiting += data
        while len(self._waiting) > _FRAME_BYTES:
            self._seal(bytes(self._waiting[:_FRAME_BYTES]), last=False)
            del self._waiting[:_FRAME_BYTES]
        return memoryview(data).nbytes

    def finish(self) -> None:
        """Write the last frame."""
        self._seal(bytes(self._waiting), last=True)

    def _seal(self, content: bytes, *, last: bool) -> None:
        self._target.write(self._cipher.encrypt(_nonce(self._frames, last=last), content, None))
        self._frames += 1


class _Reader(io.RawIOBase):
    def __init__(self, file: IO[bytes], path: Path, passphrase: str) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._file = file
        self._path = path
        sealed_bytes = os.fstat(file.fileno()).st_size - _FIRST
        self._frames = max(1, -(-sealed_bytes // (_FRAME_BYTES + _TAG_BYTES)))
        self._size = sealed_bytes - self._frames * _TAG_BYTES
        file.seek(len(_MAGIC))
        self._cipher = AESGCM(derived_key(passphrase, file.read(_SALT_BYTES), COST))
        self._position = 0
        self._opened: tuple[int, bytes] = (-1, b"")
        self._frame(self._frames - 1)  # a wrong passphrase or a missing end is told at once

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()
        super().close()

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        if self._position >= self._size:
            return 0
        number, offset = divmod(self._position, _FRAME_BYTES)
        target = memoryview(buffer).cast("B")
        content = self._frame(number)[offset : offset + len(target)]
        target[: len(content)] = content
        self._position += len(content)
        return len(content)

    def _frame(self, number: int) -> bytes:
        from cryptography.exceptions import InvalidTag

        if self._opened[0] != number:
            self._file.seek(_FIRST + number * (_FRAME_BYTES + _TAG_BYTES))
            content = self._file.read(_FRAME_BYTES + _TAG_BYTES)
            try:
                opened = self._cipher.decrypt(_nonce(number, last=number == self._frames - 1), content, None)
            except (InvalidTag, ValueError) as error:
                raise PassphraseError(
                    f"{self._path} cannot be decrypted: the passphrase is wrong, or the file is damaged or cut off."
                ) from error
            self._opened = number, opened
        return self._opened[1]


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])
