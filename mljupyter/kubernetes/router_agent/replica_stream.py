"""ReplicaStream sends the replicas of each cluster to Envoy: the incremental variant of xDS, over gRPC.

Envoy follows files too, but needs an inotify instance for each of them, and looks at all of them for each change. On
the stream, a change is one message with one cluster, which Envoy acknowledges or refuses.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory, struct_pb2

from mljupyter.client.errors import ControllerError
from mljupyter.controller.router.files import ConfigurationRefusedError
from mljupyter.files import OWNER_ONLY

SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
METHOD = "DeltaAggregatedResources"
REPLICAS = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
_LONGEST_TEXT = 300
_ENDS_WITHIN = 1.0

log = logging.getLogger(__name__)


class ReplicaStream:
    """The server of the stream, on a socket that only this user can connect to.

    It has the newest replicas of each cluster. Envoy asks for those of its clusters whenever it connects. A version is
    in force when the Envoy that connected last has acknowledged it.

    Parameters:
        socket: the path of the socket.

    """

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._documents: dict[str, Mapping[str, Any]] = {}
        self._envoys: list[_Envoy] = []
        self._server: grpc.aio.Server | None = None
        self._news = _News()
        self.sent: Counter[str] = Counter()

    async def start(self) -> None:
        """Listen on the socket."""
        self._socket.unlink(missing_ok=True)
        server = grpc.aio.server()
        method = grpc.stream_stream_rpc_method_handler(
            self._serve, request_deserializer=Request.FromString, response_serializer=Response.SerializeToString
        )
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {METHOD: method}),))
        server.add_insecure_port(f"unix:{self._socket}")
        await server.start()
        self._socket.chmod(OWNER_ONLY)
        self._server = server

    async def close(self) -> None:
        """End all streams. Envoy keeps the replicas that it has."""
        if self._server is not None:
            await self._server.stop(_ENDS_WITHIN)

    def put(self, cluster: str, document: Mapping[str, Any]) -> None:
        """Send the replicas of a cluster, unless Envoy has them.

        Parameters:
            cluster: the name of the cluster.
            document: a version, and one resource: the content of its file.

        """
        self._documents[cluster] = document
        for envoy in self._envoys:
            envoy.offer(cluster, _version(document))

    def again(self, clusters: Iterable[str]) -> None:
        """Send the replicas of clusters again, although Envoy has them."""
        for cluster in clusters:
            for envoy in self._envoys:
                envoy.offer(cluster, None)

    def forget(self, cluster: str) -> None:
        """Forget a cluster that Envoy does not have any more."""
        self._documents.pop(cluster, None)

    def has(self, cluster: str, version: str) -> bool:
        """Return whether a version is in force."""
        return bool(self._envoys) and self._envoys[-1].has(cluster, version)

    async def in_force(self, versions: Mapping[str, str], within: float) -> None:
        """Return when these versions are in force, by cluster.

        Raises:
            ConfigurationRefusedError: when Envoy refuses one.
            ControllerError: when it does not follow in time.

        """
        try:
            async with asyncio.timeout(within):
                for cluster, version in versions.items():
                    while not self.has(cluster, version):
                        refusal = self._envoys[-1].refused.get((cluster, version)) if self._envoys else None
                        if refusal is not None:
                            raise ConfigurationRefusedError(f"the router refused replicas of {cluster}: {refusal}")
                        await self._news.wait()
        except TimeoutError:
            missing = [name for name, version in versions.items() if not self.has(name, version)]
            raise ControllerError(f"the router did not follow a change of replicas: {', '.join(missing)}.") from None

    async def _serve(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        """Serve one Envoy until it disconnects."""
        envoy = _Envoy()
        self._envoys.append(envoy)
        listening = asyncio.create_task(self._listen(requests, envoy))
        try:
            while (cluster := await envoy.next_due()) is not None:
                if (document := self._documents.get(cluster)) is not None:
                    self.sent[cluster] += 1
                    yield envoy.message(cluster, document)
                else:
                    yield envoy.no_longer(cluster)
        finally:
            listening.cancel()
            self._envoys.remove(envoy)
            self._news.tell()

    async def _listen(self, requests: AsyncIterator[Any], envoy: _Envoy) -> None:
        try:
            async for request in requests:
                if request.type_url in ("", REPLICAS):
                    envoy.hear(request)
                    self._news.tell()
        finally:
            envoy.end()


class _Envoy:
    """One connected Envoy: the clusters that it asks for, and the versions that it has."""

    def __init__(self) -> None:
        self._asked_for: set[str] = set()
        self._has: dict[str, str] = {}
        self._sent: dict[str, tuple[str, str]] = {}  # cluster and version by nonce
        self._unanswered: Counter[str] = Counter()  # messages by cluster
        self._numbers = itertools.count(1)
        self._due: dict[str, None] = {}  # clusters to send, in order
        self._bell = asyncio.Event()
        self._ended = False
        self.refused: dict[tuple[str, str], str] = {}

    def has(self, cluster: str, version: str) -> bool:
        """Return whether it has a version, and nothing newer is on the way."""
        return self._has.get(cluster) == version and cluster not in self._due and not self._unanswered[cluster]

    def offer(self, cluster: str, version: str | None) -> None:
        """Send a cluster if it asks for it and has another version. None: in any case."""
        if cluster in self._asked_for and (version is None or self._has.get(cluster) != version):
            self._due[cluster] = None
            self._bell.set()

    async def next_due(self) -> str | None:
        """Return the next cluster to send; None at the end."""
        while not self._due and not self._ended:
            self._bell.clear()
            await self._bell.wait()
        if self._ended:
            return None
        cluster = next(iter(self._due))
        del self._due[cluster]
        return cluster

    def message(self, cluster: str, document: Mapping[str, Any]) -> Any:
        """Return the message with the replicas of a cluster."""
        version, nonce = _version(document), str(next(self._numbers))
        self._sent[nonce] = cluster, version
        self._unanswered[cluster] += 1
        response = Response(system_version_info=version, type_url=REPLICAS, nonce=nonce)
        resource = response.resources.add(name=cluster, version=version)
        replicas = {name: value for name, value in document["resources"][0].items() if name != "@type"}
        resource.resource.type_url = REPLICAS
        resource.resource.value = json_format.ParseDict(replicas, _Replicas()).SerializeToString()
        return response

    def no_longer(self, cluster: str) -> Any:
        """Return the message that a cluster has no replicas, since it is not known."""
        nonce = str(next(self._numbers))
        return Response(type_url=REPLICAS, nonce=nonce, removed_resources=[cluster])

    def hear(self, request: Any) -> None:
        """Process a message of Envoy: a subscription, an acknowledgement or a refusal."""
        self._has.update(request.initial_resource_versions)
        for cluster in request.resource_names_unsubscribe:
            self._asked_for.discard(cluster)
            self._has.pop(cluster, None)
            self._due.pop(cluster, None)
        for cluster in request.resource_names_subscribe:
            self._asked_for.add(cluster)
            self._due[cluster] = None  # also if it has it: a cluster that was replaced waits for it
        if self._due:
            self._bell.set()
        answered = self._sent.pop(request.response_nonce, None)
        if answered is None:
            return
        cluster, version = answered
        self._unanswered[cluster] -= 1
        if request.HasField("error_detail"):
            message = request.error_detail.message[:_LONGEST_TEXT]
            log.error("Envoy refuses the replicas of cluster %s: %s", cluster, message)
            self.refused[cluster, version] = message
        elif cluster in self._asked_for:
            self._has[cluster] = version
            self.refused.pop((cluster, version), None)

    def end(self) -> None:
        """End the stream."""
        self._ended = True
        self._bell.set()


class _News:
    """Wakes all that wait for the next event."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def tell(self) -> None:
        self._event.set()
        self._event = asyncio.Event()

    async def wait(self) -> None:
        await self._event.wait()


def _version(document: Mapping[str, Any]) -> str:
    return str(document["version_info"])


_FIELD = descriptor_pb2.FieldDescriptorProto
_TEXT, _NUMBER, _BYTES, _INTEGER = _FIELD.TYPE_STRING, _FIELD.TYPE_UINT32, _FIELD.TYPE_BYTES, _FIELD.TYPE_INT32
_MESSAGES: dict[str, dict[str, tuple[int, Any, bool]]] = {
    # The fields of Envoy's messages that are used here: name to number, type and whether it is repeated.
    "Any": {"type_url": (1, _TEXT, False), "value": (2, _BYTES, False)},
    "Status": {"code": (1, _INTEGER, False), "message": (2, _TEXT, False)},
    "Version": {"key": (1, _TEXT, False), "value": (2, _TEXT, False)},
    "Request": {
        "type_url": (2, _TEXT, False),
        "resource_names_subscribe": (3, _TEXT, True),
        "resource_names_unsubscribe": (4, _TEXT, True),
        "initial_resource_versions": (5, "Version", True),
        "response_nonce": (6, _TEXT, False),
        "error_detail": (7, "Status", False),
    },
    "Resource": {"version": (1, _TEXT, False), "resource": (2, "Any", False), "name": (3, _TEXT, False)},
    "Response": {
        "system_version_info": (1, _TEXT, False),
        "resources": (2, "Resource", True),
        "type_url": (4, _TEXT, False),
        "nonce": (5, _TEXT, False),
        "removed_resources": (6, _TEXT, True),
    },
    "SocketAddress": {"address": (2, _TEXT, False), "port_value": (3, _NUMBER, False)},
    "Pipe": {"path": (1, _TEXT, False)},
    "Address": {"socket_address": (1, "SocketAddress", False), "pipe": (2, "Pipe", False)},
    "Endpoint": {"address": (1, "Address", False)},
    "Section": {"key": (1, _TEXT, False), "value": (2, ".google.protobuf.Struct", False)},
    "Metadata": {"filter_metadata": (1, "Section", True)},
    "Host": {"endpoint": (1, "Endpoint", False), "metadata": (3, "Metadata", False)},
    "Hosts": {"lb_endpoints": (2, "Host", True)},
    "Replicas": {"cluster_name": (1, _TEXT, False), "endpoints": (2, "Hosts", True)},
}
_MAPS = {"Version": "Request", "Section": "Metadata"}


def _classes() -> dict[str, Any]:
    """Return the classes of the messages. Their own pool keeps them apart from those of other packages."""
    file = descriptor_pb2.FileDescriptorProto(name="mljupyter.proto", package="mljupyter", syntax="proto3")
    file.dependency.append("google/protobuf/struct.proto")
    made: dict[str, Any] = {}
    for name in (*(name for name in _MESSAGES if name not in _MAPS), *_MAPS):
        made[name] = (
            made[_MAPS[name]].nested_type.add(name=_entry(name)) if name in _MAPS else file.message_type.add(name=name)
        )
        made[name].options.map_entry = name in _MAPS
        for field, (number, kind, repeated) in _MESSAGES[name].items():
            label = _FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL
            if isinstance(kind, str):
                other = f".mljupyter.{_MAPS[kind]}.{_entry(kind)}" if kind in _MAPS else f".mljupyter.{kind}"
                full = kind if kind.startswith(".") else other
                made[name].field.add(name=field, number=number, label=label, type=_FIELD.TYPE_MESSAGE, type_name=full)
            else:
                made[name].field.add(name=field, number=number, label=label, type=kind)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(struct_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    found = {name: pool.FindMessageTypeByName(f"mljupyter.{name}") for name in ("Request", "Response", "Replicas")}
    return {name: message_factory.GetMessageClass(descriptor) for name, descriptor in found.items()}


def _entry(name: str) -> str:
    """Return the name of the type of a map's entries: that of its field, as protobuf requires it."""
    return {"Version": "InitialResourceVersionsEntry", "Section": "FilterMetadataEntry"}[name]


_CLASSES = _classes()
Request, Response, _Replicas = _CLASSES["Request"], _CLASSES["Response"], _CLASSES["Replicas"]
