"""The paths of files in runs and datastores: relative, with ``/``, and never out of their place."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable

from fsspec.utils import glob_translate

from mljupyter.tracking.errors import TrackingError

_WILDCARDS = re.compile(r"[*?\[]")
_MOST_CHARACTERS = 1024


def checked_path(path: str) -> str:
    """Return a path in its normal form.

    Raises:
        TrackingError: it is empty, leads out of its place, or is too long.

    Example:
        >>> checked_path("/outputs//model.pkl")
        'outputs/model.pkl'

    """
    given = str(path).replace("\\", "/")
    normal = posixpath.normpath(given.strip("/")) if given.strip("/") else ""
    if normal in ("", ".") or ".." in normal.split("/") or "\0" in normal or len(normal) > _MOST_CHARACTERS:
        raise TrackingError(
            f"{given[:200]!r} is not a path of a file here. Rule: relative, with '/', without '..', at most "
            f"{_MOST_CHARACTERS} characters, such as 'outputs/model.pkl'."
        )
    return normal


def folder_path(path: str | None) -> str:
    """Return the path of a folder in its normal form; the empty text is the top.

    Example:
        >>> folder_path("./data/"), folder_path(None)
        ('data', '')

    """
    given = str(path or "").replace("\\", "/").strip("/")
    return "" if given in ("", ".") else checked_path(given)


def has_wildcards(pattern: str) -> bool:
    """Return whether a path is a pattern."""
    return _WILDCARDS.search(pattern) is not None


def fixed_part(pattern: str) -> str:
    """Return the folder that all paths of a pattern are below.

    Example:
        >>> fixed_part("weather/2019/*.csv"), fixed_part("weather.csv")
        ('weather/2019', 'weather.csv')

    """
    if not has_wildcards(pattern):
        return pattern
    parts = pattern.split("/")
    first = next(index for index, part in enumerate(parts) if has_wildcards(part))
    return "/".join(parts[:first])


def matching(paths: Iterable[str], pattern: str) -> list[str]:
    """Return the paths that a pattern, a file or a folder names, in order.

    Example:
        >>> matching(["a.csv", "b/c.csv", "b/d.txt"], "b"), matching(["a.csv", "b/c.csv"], "**/*.csv")
        (['b/c.csv', 'b/d.txt'], ['a.csv', 'b/c.csv'])

    """
    wanted = pattern.strip("/")
    if not wanted:
        return sorted(paths)
    if not has_wildcards(wanted):
        return sorted(path for path in paths if path == wanted or path.startswith(f"{wanted}/"))
    rule = re.compile(glob_translate(wanted))
    return sorted(path for path in paths if rule.match(path))
