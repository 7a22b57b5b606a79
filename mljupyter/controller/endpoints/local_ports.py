"""Ports of local web services: each has one of its own, which no other program or workspace uses."""

from __future__ import annotations

import logging

from mljupyter.controller.storage.history import Change
from mljupyter.controller.storage.store import Store
from mljupyter.runtimes.ports import PortReservations

log = logging.getLogger(__name__)
LOCAL_PORTS = range(8890, 8990)
"""The ports that local web services get if they ask for none."""
_MOVED = Change(action="another program uses its port")


def replace_taken(store: Store, ports: PortReservations) -> None:
    """Give each local web service whose port is in use a free one; to be called while no router of its own runs.

    The router would open a port that a router of another workspace of the user has, and the system would divide the
    requests between both. That happens to a restored copy of a workspace, beside the original.

    Parameters:
        store: the endpoints.
        ports: the reservations, which get the ports of all local web services.

    """
    found = [record for record in map(store.get, store.names()) if record.spec.port is not None and not record.deleting]
    for record in found:
        spec = record.spec
        if spec.port is None or ports.take(spec.port):
            continue
        mine = {other.spec.port for other in found}
        free = ports.free_port(port for port in LOCAL_PORTS if port not in mine)
        log.warning("endpoint %s: its port %d is in use; it has the port %d now", spec.name, spec.port, free)
        store.put(spec.model_copy(update={"port": free}), record.status, store.keys(spec.name), _MOVED)
