"""The router's configuration files: Envoy resources of `mljupyter.engine`, one document for each discovery service.

The router watches these files: listeners (lds), clusters (cds), tables of routes (rds), the replicas of each cluster
(eds), certificates (sds), and the configuration of filters (ecds). The version of each file is a fingerprint of its
content. The router's statistics report it, so the controller knows which version is in force.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePath

from mljupyter.engine.envoy import activator, grpc, overload
from mljupyter.engine.envoy import resources as envoy
from mljupyter.engine.envoy.extensions import Resource
from mljupyter.engine.envoy.listener import Listening
from mljupyter.engine.envoy.routing import (
    SHARED,
    EndpointResources,
    EndpointRoute,
    endpoint_resources,
    router_resources,
)

LISTENERS, CLUSTERS, PRESSURE = "lds.json", "cds.json", "pressure.json"
_PRIVATE_SOCKETS = {activator.NAME: "waiting.sock", grpc.NAME: "no-grpc.sock"}


@dataclass(frozen=True)
class RouterSettings:
    """The port of the router, and the places of its files and sockets: the `Placement` of its resources.

    With `stream`, the path of a socket, the router gets the replicas of its clusters from a server there, and not from
    their files. Envoy needs an inotify instance for each file that it follows, and Linux allows a user 128 of them.
    With `event_loop_statistics` it counts the durations of the turns of its event loop. `container_memory_bytes` is the
    memory limit of a container that is for the router alone; None for a router that shares its machine.
    """

    directory: PurePath
    admin_socket: PurePath
    port: int
    most_connections: int = 10_000
    most_memory_bytes: int = 1 << 30
    container_memory_bytes: int | None = None
    stream: PurePath | None = None
    event_loop_statistics: bool = False

    def path(self, file: str) -> str:
        """Return the path of a configuration file."""
        return str(self.directory / file)

    def source(self, kind: str, name: str) -> Resource:
        """Return the configuration source of a resource: the file it is in, or the stream."""
        if kind == "eds" and self.stream is not None:
            return envoy.from_stream()
        return watched_file(self.path(file_of(kind, name)))

    def private_address(self, listener: str) -> str:
        """Return the address of a private listener, to which only the router itself connects."""
        return f"unix:{self.admin_socket.with_name(_PRIVATE_SOCKETS[listener])}"

    @property
    def pressure_file(self) -> str:
        """The path of the file with the pressure of connections."""
        return self.path(PRESSURE)


@dataclass(frozen=True)
class RouterFiles:
    """The router's configuration files: name to document. `repr` is short, since routes hold keys."""

    documents: Mapping[str, Resource] = field(repr=False)

    def version(self, name: str) -> str:
        """Return the version that a file declares."""
        return str(self.documents[name]["version_info"])

    def listening_on(self) -> frozenset[tuple[str, int]]:
        """Return IP address and port of every listener that has one."""
        listeners = self.documents.get(LISTENERS, {}).get("resources", [])
        found = [item["address"]["socket_address"] for item in listeners if "socket_address" in item["address"]]
        return frozenset((item["address"], item["port_value"]) for item in found)

    def sockets(self) -> frozenset[str]:
        """Return the paths of the sockets that the router listens on."""
        listeners = self.documents.get(LISTENERS, {}).get("resources", [])
        return frozenset(item["address"]["pipe"]["path"] for item in listeners if "pipe" in item["address"])

    def merged_clusters(self, before: RouterFiles) -> Resource:
        """Return the clusters of both states, with the newer definition of each, for use while routes change.

        It is the newer document itself if no cluster goes.
        """
        known = {item["name"]: item for item in before.documents.get(CLUSTERS, {}).get("resources", [])}
        newer = {item["name"]: item for item in self.documents[CLUSTERS]["resources"]}
        return discovery({**known, **newer}.values()) if known.keys() - newer.keys() else self.documents[CLUSTERS]


def bootstrap(settings: RouterSettings) -> Resource:
    """Return the bootstrap configuration that the router is started with."""
    return envoy.bootstrap(
        admin_address=f"unix:{settings.admin_socket}",
        listeners=watched_file(settings.path(LISTENERS)),
        clusters=watched_file(settings.path(CLUSTERS)),
        overload_manager=overload.manager(
            most_connections=settings.most_connections,
            most_memory_bytes=settings.most_memory_bytes,
            pressure_file=settings.pressure_file,
        ),
        runtime=overload.runtime(SHARED, settings.most_connections),
        stream=f"unix:{settings.stream}" if settings.stream is not None else None,
        event_loop_statistics=settings.event_loop_statistics,
    )


def router_files(
    settings: RouterSettings,
    endpoints: Iterable[EndpointRoute],
    listening: Listening = Listening(),  # noqa: B008
) -> RouterFiles:
    """Return all configuration files of the router for these endpoints.

    Parameters:
        settings: the places of the router and its files.
        endpoints: all endpoints of the workspace, in any order.
        listening: the addresses, certificates and token keys; by default without TLS, on this machine only.

    """
    return RouterFilesBuilder(settings).files(endpoints, listening)


@dataclass(frozen=True)
class _Built:
    """What was built for an endpoint."""

    endpoint: EndpointRoute
    own: EndpointResources
    documents: Mapping[str, Resource]

    def routes_as(self, other: _Built) -> bool:
        """Return whether both have the same part in the files that all endpoints share."""
        return self._shared() == other._shared()

    def _shared(self) -> tuple[object, ...]:
        wakes = any(version.wake_wait_ms for version in self.endpoint.versions)
        return replace(self.endpoint, versions=(), leaving=()), wakes, self.own.clusters, self.own.routes


class RouterFilesBuilder:
    """Builds the files of the router again and again, each time only those of endpoints that have changed.

    A file that stays is the same object as before.

    Attributes:
        endpoints_built: how often the resources of an endpoint were built.
        tables_built: how often the files that all endpoints share were built.

    """

    def __init__(self, settings: RouterSettings) -> None:
        self._settings = settings
        self._built: dict[str, _Built] = {}
        self._listening: Listening | None = None
        self._shared: dict[str, Resource] = {}
        self.endpoints_built = 0
        self.tables_built = 0

    def files(self, endpoints: Iterable[EndpointRoute], listening: Listening) -> RouterFiles:
        """Return all files for these endpoints; see `router_files`."""
        before, self._built = self._built, {}
        same = self._listening == listening
        for endpoint in endpoints:
            known = before.get(endpoint.name)
            if known is not None and (known.endpoint is endpoint or known.endpoint == endpoint):
                self._built[endpoint.name] = known
                continue
            built = self._built[endpoint.name] = self._build(endpoint)
            same = same and known is not None and built.routes_as(known)
        if not same or before.keys() != self._built.keys():
            self._shared = self._tables(listening)
            self._listening = listening
        own = (built.documents for built in self._built.values())
        return RouterFiles(
            {name: document for documents in (*own, self._shared) for name, document in documents.items()}
        )

    def _build(self, endpoint: EndpointRoute) -> _Built:
        self.endpoints_built += 1
        own = endpoint_resources(endpoint, self._settings)
        documents = {file_of("eds", name): discovery([one]) for name, one in own.replicas.items()}
        return _Built(endpoint, own, documents)

    def _tables(self, listening: Listening) -> dict[str, Resource]:
        self.tables_built += 1
        found = router_resources(
            [built.endpoint for built in self._built.values()],
            listening,
            port=self._settings.port,
            placement=self._settings,
            own=lambda endpoint: self._built[endpoint.name].own,
        )
        single = {"rds": found.routes, "sds": found.secrets, "ecds": found.filters}
        listed = {file_of(kind, name): [one] for kind, named in single.items() for name, one in named.items()}
        listed |= {CLUSTERS: found.clusters, LISTENERS: found.listeners}
        return {name: self._same_or_new(name, resources) for name, resources in listed.items()}

    def _same_or_new(self, name: str, resources: list[Resource]) -> Resource:
        known = self._shared.get(name)
        return known if known is not None and known["resources"] == resources else discovery(resources)


def file_of(kind: str, name: str) -> str:
    """Return the name of the file of a resource."""
    return f"{kind}-{name}.json"


def watched_file(path: str) -> Resource:
    """Return a configuration source: a file that the router reads again each time one is renamed into its place."""
    return {"path_config_source": {"path": path}, "resource_api_version": "V3"}


def whole(document: object) -> bool:
    """Return whether a document is a complete file of the router: its version fits its content."""
    if not isinstance(document, dict) or not isinstance(document.get("resources"), list):
        return False
    return document == discovery(document["resources"])


def discovery(resources: Iterable[Resource]) -> Resource:
    """Return the document of a discovery service, with a fingerprint of its content as version."""
    listed = list(resources)
    text = json.dumps(listed, sort_keys=True, separators=(",", ":"))
    return {"version_info": hashlib.sha256(text.encode()).hexdigest()[:16], "resources": listed}
