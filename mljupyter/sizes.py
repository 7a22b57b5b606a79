"""Sizes in bytes as people read them."""

from __future__ import annotations

_UNITS = ("bytes", "KB", "MB", "GB", "TB")


def readable_size(size: float) -> str:
    """Return a number of bytes with its unit.

    Example:
        >>> readable_size(1_500)
        '1.5 KB'

    """
    for unit in _UNITS[:-1]:
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} {_UNITS[-1]}"
