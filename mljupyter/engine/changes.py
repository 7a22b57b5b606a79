"""Changes: the keys that have changed, in the order of their last change, each with its number."""

from __future__ import annotations

from collections import OrderedDict


class Changes:
    """Numbers each change of a key, so that several readers can each ask which keys have changed since they asked last.

    An answer costs the work for the keys in it, however many others there are. Of a key, only the last change counts.
    A reader in another process gets a token instead of a number, which the numbers of another source do not match.

    Parameters:
        epoch: a text without a dot, which other sources do not have: their numbers begin again.

    Attributes:
        number: the number of the last change; 0 before the first one.

    Example:
        >>> changes = Changes()
        >>> changes.note("a"), changes.note("b"), changes.note("a")
        (1, 2, 3)
        >>> changes.since(1)
        ['a', 'b']
        >>> changes.since(3)
        []

    """

    def __init__(self, epoch: str = "") -> None:
        self._epoch = epoch
        self._numbers: OrderedDict[str, int] = OrderedDict()
        self.number = 0

    def note(self, key: str) -> int:
        """Number a change of a key, and return the number."""
        self.number += 1
        self._numbers[key] = self.number
        self._numbers.move_to_end(key)
        return self.number

    def since(self, number: int) -> list[str]:
        """Return the keys whose last change has a greater number, the newest first."""
        found = []
        for key, changed in reversed(self._numbers.items()):
            if changed <= number:
                break
            found.append(key)
        return found

    @property
    def token(self) -> str:
        """The number of the last change as a text for a reader in another process."""
        return f"{self._epoch}.{self.number}"

    def number_of(self, token: str) -> int | None:
        """Return the number in a token; None if the token is of another source, or of no source."""
        epoch, _, number = token.partition(".")
        if epoch != self._epoch or not (number.isascii() and number.isdigit()):
            return None
        return int(number) if int(number) <= self.number else None
