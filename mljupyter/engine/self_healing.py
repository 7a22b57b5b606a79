"""Self-healing decisions: sockets that were removed, and a router that hangs.

A router or a replica whose socket was removed cannot listen on it again: another one takes its place. The controller
can, and does. A process that hangs is told about first and ended when it stays silent.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

LOOK_EVERY = 2.0
"""Seconds between two looks at a router that answers, and at the sockets."""
ANSWER_WITHIN = 3.0
"""Seconds that a router has to answer a look; after a silent one the next look comes at once."""
SAID_AFTER = 2
"""Silent looks in a row after which the status of endpoints says so: at most 8 s after the router began to hang."""
ENDED_AFTER = 3
"""Silent looks in a row after which the router is ended: at most 11 s after it began to hang. One look may be silent
because the machine slept in the middle of it."""
BEGINS_WITHIN = 60.0
"""Seconds after which a replica that has started should have made its socket, however busy the machine is."""
ADOPTED_WITHIN = 1.0
"""The same for one that an earlier controller has started, from when it was found: it has had its time."""

Stamp = tuple[int, int] | None
"""Device and inode of a socket's file, None where there is none."""


class Remedy(Enum):
    """Steps that mend the sockets, in this order."""

    PREPARE_DIRECTORY = "make the directory of the sockets again, and the link to it"
    LISTEN_AGAIN = "let the controller listen again"
    REPLACE_ROUTER = "replace the router"
    REPLACE_REPLICAS = "replace replicas"


@dataclass(frozen=True)
class Sockets:
    """The sockets of a workspace as one look finds them.

    Parameters:
        directory: whether their directory is there, and clients find it.
        controller: whether the controller's is the one that it listens on.
        router: whether the router's admin socket and those that it listens on are there.
        lost_replicas: ids of the replicas whose socket is gone.

    """

    directory: bool = True
    controller: bool = True
    router: bool = True
    lost_replicas: frozenset[str] = frozenset()


class Router(Enum):
    """Step that follows a look at the router."""

    LEFT = "left alone"
    SAID = "named in the status"
    ENDED = "ended, and started again"


def remedies(found: Sockets) -> tuple[Remedy, ...]:
    """Decide what to do about the sockets that a look has found.

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
    """The socket of a replica as one look finds it.

    Parameters:
        seen: the file when it was first seen; None where it was not seen yet.
        present: the file now.
        ready: whether the replica has answered on it.
        age: seconds since the replica was started, or found.
        adopted: whether it was found.

    """

    seen: Stamp
    present: Stamp
    ready: bool
    age: float
    adopted: bool = False

    @property
    def lost(self) -> bool:
        """Whether it was removed, or another file put in its place."""
        if self.seen is not None:
            return self.present != self.seen
        overdue = self.age > (ADOPTED_WITHIN if self.adopted else BEGINS_WITHIN)
        return self.present is None and (self.ready or overdue)


def silent_router(looks: int) -> Router:
    """Decide what to do about a router that has been silent for so many looks in a row."""
    if looks >= ENDED_AFTER:
        return Router.ENDED
    return Router.SAID if looks >= SAID_AFTER else Router.LEFT
