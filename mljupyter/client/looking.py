"""Requests of somebody who only looks, such as an open page: they leave a control plane stopped that was stopped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_LOOKING = ContextVar("mljupyter_only_looking", default=False)


@contextmanager
def only_looking() -> Iterator[None]:
    """Start no control plane during the block, on this thread, but those that have crashed.

    Example:
        >>> is_only_looking()
        False
        >>> with only_looking():
        ...     is_only_looking()
        True

    """
    token = _LOOKING.set(True)
    try:
        yield
    finally:
        _LOOKING.reset(token)


def is_only_looking() -> bool:
    """Return whether this thread is in a block of `only_looking`."""
    return _LOOKING.get()
