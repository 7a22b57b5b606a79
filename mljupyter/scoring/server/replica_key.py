"""The replica key: a secret that a replica shares with its router. Requests without it get only the health status.

A replica in a container or pod listens on a port that others can also reach: users of the machine, other containers.
The router checks the keys and tokens of clients, so a replica must know that a request comes from its router.
"""

# ruff: noqa: PTH123
# pathlib takes 3 ms to import, and every start of a replica would pay them.
from __future__ import annotations

from collections.abc import Iterable, MutableMapping

HEADER = b"x-mlj-replica-key"
VARIABLE = "MLJUPYTER_REPLICA_KEY"
FILE_VARIABLE = "MLJUPYTER_REPLICA_KEY_FILE"
FEWEST_CHARACTERS = 16
_HEALTH = ("GET", "HEAD")


class ReplicaKeyError(ValueError):
    """The given key cannot be used."""


class ReplicaKey:
    """The secret of one replica; `repr` does not show it."""

    def __init__(self, key: str) -> None:
        # This imports hashlib, which only replicas with a key should pay for.
        from hmac import compare_digest

        self._compare = compare_digest
        self._key = key.encode()

    def admits(self, method: str, path: str, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """Return whether a request may be answered: it has the key, or asks for health."""
        return (path == "/" and method in _HEALTH) or self.is_in(headers)

    def is_in(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """Return whether the headers of a request have the key."""
        # The router appends its own key last. The comparison takes constant time, so that timing reveals nothing.
        given = [value for name, value in headers if name == HEADER]
        return bool(given) and self._compare(given[-1], self._key)


def take(environment: MutableMapping[str, str]) -> ReplicaKey | None:
    """Take the key out of the environment variables, so that user code does not find it there, and return it.

    It is the value of MLJUPYTER_REPLICA_KEY, or the content of the file that MLJUPYTER_REPLICA_KEY_FILE names. Returns
    None if neither is set: then every request is answered, as in a container that a user runs without a router.

    Raises:
        ReplicaKeyError: when the file cannot be read, or the key breaks the rule.

    """
    key, path = environment.pop(VARIABLE, None), environment.pop(FILE_VARIABLE, None)
    source = VARIABLE
    if key is None and path is not None:
        source = f"the file {path!r} ({FILE_VARIABLE})"
        try:
            with open(path, encoding="ascii") as file:
                key = file.read().strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not ASCII text"
            raise ReplicaKeyError(f"{source} cannot be read: {reason}") from None
    if key is None:
        return None
    if len(key) < FEWEST_CHARACTERS or not (key.isascii() and key.isprintable() and " " not in key):
        raise ReplicaKeyError(
            f"{source} breaks the rule for a replica's key: "
            f"at least {FEWEST_CHARACTERS} printable ASCII characters without blanks"
        )
    return ReplicaKey(key)
