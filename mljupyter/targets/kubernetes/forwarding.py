"""Port-forwards to the routers of a cluster: a local port whose connections go through the API server to a router pod.

It is used when nothing else reaches the routers, and exists as long as the process that needs it.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from typing import Any

from mljupyter.client.errors import ControllerError
from mljupyter.kubernetes.objects import names
from mljupyter.targets.kubernetes.cluster import Cluster

LOOPBACK = "127.0.0.1"
_CHUNK = 1 << 16
_BACKLOG = 64


class Forwarder:
    """A port of this machine's loopback address that leads to the routers of a cluster.

    Parameters:
        cluster: the API server.
        namespace: the namespace of the installation.
        port: the port of the router pods.

    """

    def __init__(self, cluster: Cluster, namespace: str, port: int) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._remote = port
        self._turn = 0
        self._opening = threading.Lock()
        self._listener = socket.create_server((LOOPBACK, 0), backlog=_BACKLOG)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, name=f"forward-{self.port}", daemon=True).start()

    def close(self) -> None:
        """Accept no further connections."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # closed
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(connection,), name="forwarded", daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        with near:
            try:
                far = self._open()
            except (ControllerError, OSError):
                return  # the client sees a closed connection
            try:
                _relay(near, far)
            finally:
                far.close()

    def _open(self) -> Any:
        """Return a socket to a router pod, each time the next of those that are ready."""
        from kubernetes.client import ApiClient, CoreV1Api
        from kubernetes.client.exceptions import ApiException
        from kubernetes.stream import portforward

        pods = self._cluster.items(names.pods(self._namespace), labels=names.selector(component=names.COMPONENT_ROUTER))
        ready = sorted(pod["metadata"]["name"] for pod in pods if _is_ready(pod))
        if not ready:
            raise ControllerError("no router pod is ready.")
        configuration = self._cluster.client.configuration
        with self._opening:  # `portforward` exchanges a method of the client for the time of the call
            self._turn += 1
            name = ready[self._turn % len(ready)]
            api = CoreV1Api(ApiClient(configuration=configuration))
            try:
                forward = portforward(
                    api.connect_get_namespaced_pod_portforward, name, self._namespace, ports=str(self._remote)
                )
            except ApiException as error:
                raise OSError(str(error)) from None
        return forward.socket(self._remote)


def _is_ready(pod: dict[str, Any]) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return not pod["metadata"].get("deletionTimestamp") and any(
        one["type"] == "Ready" and one["status"] == "True" for one in conditions
    )


def _relay(near: socket.socket, far: Any) -> None:
    """Copy bytes in both directions until one side closes."""
    other = {near: far, far: near}
    while True:
        for source in select.select([near, far], [], [])[0]:
            try:
                data = source.recv(_CHUNK)
                if not data:
                    return
                other[source].sendall(data)
            except OSError:
                return
