"""Base class for the sections of an environment: named settings, where an unknown name is an error."""

from __future__ import annotations

from typing import Any

from mljupyter.build.environments.definition import redacted
from mljupyter.exceptions import UserErrorException


class Section:
    """Settings with defaults, given as keyword arguments or set as attributes."""

    __slots__ = ()
    _defaults: dict[str, Any] = {}
    _hidden: frozenset[str] = frozenset()

    def __init__(self, **kwargs: Any) -> None:
        if unknown := sorted(kwargs.keys() - self._defaults.keys()):
            raise UserErrorException(
                f"{type(self).__name__} has no {', '.join(unknown)}. It has: {', '.join(self._defaults)}."
            )
        for name, default in self._defaults.items():
            setattr(self, name, kwargs.get(name, default() if callable(default) else default))

    def __repr__(self) -> str:
        shown = (f"{name}={redacted(repr(getattr(self, name)))}" for name in self._defaults if name not in self._hidden)
        return f"{type(self).__name__}({', '.join(shown)})"
