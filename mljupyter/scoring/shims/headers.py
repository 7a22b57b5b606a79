"""A multi-dict of HTTP headers: names are case-insensitive and may have several values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any


class Headers:
    """Headers with the methods that scripts use: ``headers["Allow"] = "GET"``, `get`, `add`, `getlist`, `items`."""

    def __init__(self, pairs: Iterable[tuple[str, Any]] | Mapping[str, Any] = ()) -> None:
        self._pairs: list[tuple[str, str]] = []
        for name, value in pairs.items() if isinstance(pairs, Mapping) else pairs:
            self.add(name, value)

    def add(self, name: str, value: Any) -> None:
        """Add a value to the present ones."""
        self._pairs.append((name, str(value)))

    add_header = add

    def set(self, name: str, value: Any) -> None:
        """Set the only value."""
        self.remove(name)
        self.add(name, value)

    def __setitem__(self, name: str, value: Any) -> None:
        self.set(name, value)

    def remove(self, name: str) -> None:
        """Remove all values of a name."""
        self._pairs = [pair for pair in self._pairs if pair[0].lower() != name.lower()]

    def __delitem__(self, name: str) -> None:
        self.remove(name)

    def getlist(self, name: str) -> list[str]:
        """Return all values of a name."""
        return [value for key, value in self._pairs if key.lower() == name.lower()]

    get_all = getlist

    def get(self, name: str, default: Any = None) -> Any:
        """Return the first value of a name."""
        values = self.getlist(name)
        return values[0] if values else default

    def __getitem__(self, name: str) -> str:
        values = self.getlist(name)
        if not values:
            raise KeyError(name)
        return values[0]

    def setdefault(self, name: str, value: Any) -> str:
        """Set a value unless there is one; return the value."""
        if name not in self:
            self.add(name, value)
        return self[name]

    def update(self, more: Mapping[str, Any]) -> None:
        """Set each of the values."""
        for name, value in more.items():
            self.set(name, value)

    extend = update

    def items(self) -> list[tuple[str, str]]:
        """Return all pairs in order."""
        return list(self._pairs)

    def keys(self) -> list[str]:
        """Return the names in order."""
        return [name for name, _ in self._pairs]

    def values(self) -> list[str]:
        """Return the values in order."""
        return [value for _, value in self._pairs]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self.getlist(name))

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)

    def __repr__(self) -> str:
        return f"Headers({self._pairs!r})"
