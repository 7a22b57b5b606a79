"""Write files atomically, so that a reader sees the old one or the new one, and identify files by inode."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

OWNER_ONLY = 0o600


@contextmanager
def draft_of(path: Path, mode: int = OWNER_ONLY) -> Iterator[Path]:
    """Yield an empty file beside `path` to write to. It replaces `path` at the end, or is removed on an error.

    Its name is unique: processes and threads may write the same file concurrently, and the last one stays.
    A device or a pipe, such as /dev/null, is written to directly: it must not be replaced by a file.

    Parameters:
        path: the file to write.
        mode: its permissions before the umask; by default for its owner only, from the first byte.

    Raises:
        OSError: when it cannot be written.

    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        yield path
        return
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
    try:
        yield draft
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def write_whole(path: Path, text: str, *, mode: int = OWNER_ONLY, durable: bool = False) -> None:
    """Write a file with this text atomically; see `draft_of`.

    Parameters:
        path, mode: as for `draft_of`.
        text: the content.
        durable: sync it to the disk before the rename, so that a power cut leaves no empty file.

    """
    with draft_of(path, mode) as draft, draft.open("w", encoding="utf-8") as file:
        file.write(text)
        if durable:
            file.flush()
            os.fsync(file.fileno())


def file_at(path: Path) -> tuple[int, int] | None:
    """Return device and inode of the file at a path, which identify it; None without a file.

    A link is identified itself, not its target.
    """
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def make_private_directory(directory: Path, below: Path | None = None) -> None:
    """Create a directory and its missing parents, all with mode 0700. Existing ones stay as they are.

    Parameters:
        directory: the directory.
        below: a directory above it, or itself, that is not created: a workspace, which may have been deleted.

    Raises:
        FileNotFoundError: `below` does not exist.

    """
    places = [directory, *directory.parents]
    if below is not None:
        places = places[: places.index(below)]
        below.stat()
    for missing in reversed([path for path in places if not path.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)


def expanded(path: str | os.PathLike[str]) -> Path:
    """Return a path with ``~`` replaced by the home directory, as a shell does.

    The path is unchanged if there is no such user or no home directory: a file may have a name such as ``~model.pkl``.
    """
    return Path(os.path.expanduser(path))  # noqa: PTH111 - Path.expanduser() raises an error then


def in_home(chosen: str | None, usual: str) -> Path:
    """Return the directory of another program: the one that the user has chosen, else one in the home directory.

    Without a home directory, it is a path that cannot exist, so that nothing is found there and nothing is written.

    Parameters:
        chosen: the value of the program's environment variable, if it is set.
        usual: the usual path in the home directory, such as ``.cache``.

    """
    if chosen:
        return expanded(chosen)
    home = expanded("~")
    return (home if home.is_absolute() else Path(os.devnull)) / usual
