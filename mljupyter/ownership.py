"""Owners of files and directories, and the rule for the files that may be used.

On a shared machine, a file that is found by a search (in parent directories, in ``/tmp``) may come from another user.
The rule is that of git's ``safe.directory``: a file is used only when it belongs to this user or to root.
"""

from __future__ import annotations

import os
import stat
import sys
from functools import cache
from pathlib import Path

from mljupyter.visible import one_line

_ROOT = 0
_OTHERS_MAY_WRITE = 0o022


@cache
def user_name() -> str:
    """Return the login name of the user of this process, or the number if there is no name."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        return str(os.getuid())


def name_of(user: int) -> str:
    """Return the name of a user for messages."""
    import pwd

    try:
        return f"user {pwd.getpwuid(user).pw_name!r}"
    except KeyError:
        return f"user {user}"


def foreign_owner(*paths: Path) -> int | None:
    """Return the owner of one of these paths who is neither this user nor root, None without one.

    For a link, its own owner and the owner of its target are checked.

    Raises:
        OSError: when one of the paths is missing.

    """
    for path in paths:
        for look in (path.lstat, path.stat):  # the link first: the system may refuse to follow one of another user
            owner = look().st_uid
            if owner not in (os.getuid(), _ROOT):
                return owner
    return None


def passed_over(path: Path, *folders: Path) -> bool:
    """Return whether a file must not be used because it or one of its folders belongs to another user. Warn once.

    Raises:
        OSError: when one of them is missing, or not accessible.

    """
    owner = foreign_owner(*folders, path)
    if owner is not None:
        _say_passed_over(path, owner)
    return owner is not None


@cache
def _say_passed_over(path: Path, owner: int) -> None:
    print(
        f"mljupyter: {one_line(str(path))} is not used: it or its directory belongs to {name_of(owner)}, "
        "neither to you nor to root. To use it, copy it into a directory of your own.",
        file=sys.stderr,
    )


def weak_spot(directory: Path) -> str | None:
    """Return the reason why other users could replace a directory, or None when they cannot.

    Each directory in the path must belong to this user or to root. If others may write to it, its sticky bit must
    prevent them from renaming files of other users, as in ``/tmp``.

    Parameters:
        directory: an existing directory.

    """
    given, trusted = directory.absolute(), (os.getuid(), _ROOT, _unmapped_root())
    for place in (given, *given.parents):  # links on the way first: the system may refuse to follow another user's
        owner = place.lstat().st_uid
        if owner not in trusted:
            return f"{str(place)!r} belongs to {name_of(owner)}"
    real = directory.resolve(strict=True)
    for place in dict.fromkeys((given, *given.parents, real, *real.parents)):
        status = place.stat()
        if status.st_uid not in trusted:
            return f"{str(place)!r} belongs to {name_of(status.st_uid)}"
        if status.st_mode & _writable_for_others(status) and not status.st_mode & stat.S_ISVTX:
            return f"others may rename files in {str(place)!r} (mode {stat.S_IMODE(status.st_mode):04o})"
    return None


def _writable_for_others(status: os.stat_result) -> int:
    """Return the mode bits that let others write. A group with the owner's number counts as private to the owner."""
    return 0o002 if status.st_gid == status.st_uid == os.getuid() else _OTHERS_MAY_WRITE


@cache
def _unmapped_root() -> int:
    """Return the user id of root, which differs in a user namespace without root (Apptainer, bubblewrap)."""
    try:
        lines = Path("/proc/self/uid_map").read_text(encoding="utf-8").splitlines()
        if any(int(line.split()[0]) == _ROOT for line in lines):
            return _ROOT
        return int(Path("/proc/sys/kernel/overflowuid").read_text(encoding="utf-8"))
    except (OSError, ValueError, IndexError):
        return _ROOT
