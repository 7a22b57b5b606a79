"""Small files of ours in the directories of installed packages: settings of a whole Python environment."""

from __future__ import annotations

import os
import site
import sysconfig
from pathlib import Path

from mljupyter.files import write_whole

_READABLE = 0o644


def directories() -> list[Path]:
    """Return the directories of installed packages, that of this environment first."""
    places = [sysconfig.get_path("purelib"), *site.getsitepackages()]
    if site.ENABLE_USER_SITE:
        places.append(site.getusersitepackages())
    return [Path(place) for place in dict.fromkeys(places)]


def find(name: str) -> list[Path]:
    """Return the files of a name, the first of which counts."""
    return [file for place in directories() if (file := place / name).exists()]


def write(name: str, text: str) -> Path | None:
    """Write a file into the first directory that is writable, and return it; None if there is none.

    The directory of the user's own packages is made if it is needed.
    """
    for place in directories():
        if place.is_dir() and os.access(place, os.W_OK):
            write_whole(place / name, text, mode=_READABLE)
            return place / name
    if not site.ENABLE_USER_SITE:
        return None
    own = Path(site.getusersitepackages())
    own.mkdir(parents=True, exist_ok=True)
    write_whole(own / name, text, mode=_READABLE)
    return own / name


def remove(name: str) -> tuple[Path, ...]:
    """Remove all files of a name, and return them.

    Raises:
        OSError: one cannot be removed; its `filename` names it.

    """
    removed = []
    for file in find(name):
        file.unlink(missing_ok=True)
        removed.append(file)
    return tuple(removed)
