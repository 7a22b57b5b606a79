"""Self-healing decisions for removed sockets and for a router that hangs.

A router or a replica whose socket was removed cannot create it again, so another one takes its place. The controller
creates its own socket again. A process that hangs is first reported in the status, and ended if it does not recover.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

LOOK_EVERY = 2.0
"""Seconds between two checks of a router that answers, and of the sockets."""
ANSWER_WITHIN = 3.0
"""Timeout of a check of the router in seconds. After a failed check, the next one follows at once."""
SAID_AFTER = 2
"""Failed checks in a row after which the status of endpoints says so: at most 8 s after the router began to hang."""
ENDED_AFTER = 3
"""Failed checks in a row after which the router is ended: at most 11 s after it began to hang. A single check may fail
because the machine was suspended during it."""
BEGINS_WITHIN = 60.0
"""Seconds after which a started replica should have created its socket, even on a busy machine."""
ADOPTED_WITHIN = 1.0
"""The same for a replica of an earlier controller, counted from its adoption."""

Stamp = tuple[int, int] | None
"""Device and inode of a socket's file, None without a file."""


class Remedy(Enum):
    """Steps that repair the sockets, in this order."""

    PREPARE_DIRECTORY = "make the directory of the sockets again, and the link to it"
    LISTEN_AGAIN = "let the controller listen again"
    REPLACE_ROUTER = "replace the router"
    REPLACE_REPLICAS = "replace replicas"


@dataclass(frozen=True)
class Sockets:
    """The sockets of a workspace at one check.

    Parameters:
        directory: whether their directory exists and clients find it.
        controller: whether the controller's socket is the one that it listens on.
        router: whether the router's admin socket and its listening sockets exist.
        lost_replicas: ids of the replicas whose socket was removed.

    """

    directory: bool = True
    controller: bool = True
    router: bool = True
    lost_replicas: frozenset[str] = frozenset()


class Router(Enum):
    """The step after a check of the router."""

    LEFT = "left alone"
    SAID = "named in the status"
    ENDED = "ended, and started again"


def remedies(found: Sockets) -> tuple[Remedy, ...]:
    """Return the steps that repair the sockets.

    Example:
        >>> remedies(Sockets(controller=False))
        (<Remedy.LISTEN_AGAIN: 'let the controller listen again'>,)

    """
    needed = {
        Remedy.PREPARE_DIRECTORY: not found.directory,
        Remedy.LISTEN_AGAIN: not (found.directory and found.controller),
        Remedy.REPLACE_ROUTER: not found.router,
        Remedy.REPLACE_REPLICAS: bool(found.lost_replicas),
    }
    return tuple(remedy for remedy in Remedy if needed[remedy])


@dataclass(frozen=True)
class ReplicaSocket:
    """The socket of a replica at one check.

    Parameters:
        seen: the file when it was first seen; None if it was not seen yet.
        present: the current file.
        ready: whether the replica has answered on it.
        age: seconds since the replica was started or adopted.
        adopted: whether it was adopted.

    """

    seen: Stamp
    present: Stamp
    ready: bool
    age: float
    adopted: bool = False

    @property
    def lost(self) -> bool:
        """Whether it was removed, or replaced by another file."""
        if self.seen is not None:
            return self.present != self.seen
        overdue = self.age > (ADOPTED_WITHIN if self.adopted else BEGINS_WITHIN)
        return self.present is None and (self.ready or overdue)


def silent_router(looks: int) -> Router:
    """Return the step for a router after this number of failed checks in a row."""
    if looks >= ENDED_AFTER:
        return Router.ENDED
    return Router.SAID if looks >= SAID_AFTER else Router.LEFT
