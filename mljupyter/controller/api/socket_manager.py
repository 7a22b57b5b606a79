"""The socket manager restores the sockets of a workspace when a cleaner of temporary directories removed them."""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path

from mljupyter.controller.api.controller_socket import ControllerSocket
from mljupyter.controller.endpoints.replica_handle import ReplicaHandle
from mljupyter.controller.endpoints.supervisor import Supervisor
from mljupyter.controller.layout import Layout
from mljupyter.controller.router.router import Router
from mljupyter.controller.storage.lock import ControllerLock
from mljupyter.engine.self_healing import LOOK_EVERY, Remedy, ReplicaSocket, Sockets, Stamp, remedies
from mljupyter.errors import MLJupyterError
from mljupyter.files import file_at
from mljupyter.spec import ReplicaPhase

_MADE_BY = (ReplicaPhase.STARTING, ReplicaPhase.READY)

log = logging.getLogger(__name__)


class SocketManager:
    """Checks every two seconds whether all sockets exist, and starts their repair.

    Parameters:
        layout: the file layout of the workspace.
        own: the controller's socket.
        router: the router, with a socket for its admin interface and one for the activator.
        supervisor: has the replicas, each with one socket.
        lock: the controller's lock. Without it, nothing is repaired, since another controller owns the workspace.

    """

    def __init__(
        self, layout: Layout, own: ControllerSocket, router: Router, supervisor: Supervisor, lock: ControllerLock
    ) -> None:
        self._layout = layout
        self._own = own
        self._router = router
        self._supervisor = supervisor
        self._lock = lock
        self._directory = layout.runtime()
        self._directory_stamp = file_at(self._directory)
        self._seen: dict[str, Stamp] = {}
        self._replacing: asyncio.Task[None] | None = None
        self._failed = False

    async def run(self) -> None:
        """Check every two seconds until cancelled."""
        while True:
            try:
                self.look()
                self._failed = False
            except (MLJupyterError, OSError) as error:
                if not self._failed:
                    log.error("sockets: %s", error.message if isinstance(error, MLJupyterError) else error)
                self._failed = True
            await asyncio.sleep(LOOK_EVERY)

    def look(self) -> None:
        """Check once, and start the necessary repairs.

        Raises:
            SocketPathError: when the directory of the sockets cannot be created.
            OSError: when it cannot be written.

        """
        found = self._find()
        if not self._lock.held():
            return
        for remedy in remedies(found):
            log.warning("sockets were removed: %s", remedy.value)
            match remedy:
                case Remedy.PREPARE_DIRECTORY:
                    self._layout.prepare()
                    self._directory = self._layout.runtime()
                    self._directory_stamp = file_at(self._directory)
                    self._router.use_sockets_in(self._directory)
                case Remedy.LISTEN_AGAIN:
                    self._own.listen_again()
                case Remedy.REPLACE_ROUTER:
                    if self._replacing is None or self._replacing.done():
                        self._replacing = asyncio.create_task(self._router.replace_lost(), name="replace the router")
                case Remedy.REPLACE_REPLICAS:
                    for replica_id in found.lost_replicas:
                        self._supervisor.lose(replica_id)

    def _find(self) -> Sockets:
        linked = self._layout.runtime_link.is_symlink() and self._layout.runtime() == self._directory
        present = file_at(self._directory)
        return Sockets(
            directory=linked and present is not None and present == self._directory_stamp,
            controller=self._own.there(),
            router=self._router.sockets_there(),
            lost_replicas=self._lost_replicas(),
        )

    def _lost_replicas(self) -> frozenset[str]:
        now = time.monotonic()
        watched = [item for item in self._supervisor.all() if item.phase in _MADE_BY and not item.lost]
        found = {}
        for item in watched:
            path, replica_id = _socket(item), item.replica.id
            if path is not None:
                present, ready = file_at(path), item.phase is ReplicaPhase.READY
                seen = self._seen.get(replica_id) or present
                found[replica_id] = ReplicaSocket(seen, present, ready, now - item.since, item.adopted)
        self._seen = {replica_id: socket.seen for replica_id, socket in found.items()}
        return frozenset(replica_id for replica_id, socket in found.items() if socket.lost)


def _socket(watched: ReplicaHandle) -> Path | None:
    """Return the path of a replica's socket, None for a replica with a port."""
    address = watched.replica.address
    return Path(address.removeprefix("unix:")) if address.startswith("unix:") else None
