"""Files that are written whole, so that a reader sees the old one or the new one, and files told apart."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

OWNER_ONLY = 0o600


@contextmanager
def draft_of(path: Path, mode: int = OWNER_ONLY) -> Iterator[Path]:
    """Give an empty file beside `path` to fill; it takes the place of `path` at the end, or is removed on an error.

    Its name is of this call alone: processes and threads may write the same file at once, and the last one stays.

    Parameters:
        path: the file that it becomes.
        mode: its permissions, less the umask; by default its owner's alone, from the first byte.

    Raises:
        OSError: when it cannot be written.

    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
    try:
        yield draft
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def write_whole(path: Path, text: str, *, mode: int = OWNER_ONLY, durable: bool = False) -> None:
    """Put a file with this text in place of the one there, if any; see `draft_of`.

    Parameters:
        path, mode: as for `draft_of`.
        text: what is in it.
        durable: whether it is on the disk before it takes its place, so that a loss of power leaves no empty file.

    """
    with draft_of(path, mode) as draft, draft.open("w", encoding="utf-8") as file:
        file.write(text)
        if durable:
            file.flush()
            os.fsync(file.fileno())


def file_at(path: Path) -> tuple[int, int] | None:
    """Return device and inode of the file at a path, None where there is none: another file there has others.

    A link counts as itself, not as the file that it leads to.
    """
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def make_private_directory(directory: Path) -> None:
    """Make a directory and its missing parents, all with mode 0700; existing ones stay as they are."""
    for missing in reversed([path for path in (directory, *directory.parents) if not path.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)
