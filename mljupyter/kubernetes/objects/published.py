"""Published documents: what the operator tells the routers about endpoints and listening, each with its version.

A route names revisions instead of addresses. Each router adds the addresses of their pods by itself, also while the
operator is away.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from mljupyter.engine.envoy.listener import Listening
from mljupyter.engine.envoy.routing import EndpointRoute, VersionRoute
from mljupyter.errors import MLJupyterError
from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.objects.pod_state import is_serving

ROUTE_KEY = "route.json"
LISTENING_KEY = "listening.json"
SCORING_PORT = "scoring"
"""The name of the container port on which a replica answers."""

Pod = Mapping[str, Any]


class PublishedError(MLJupyterError):
    """A published document cannot be read."""


@dataclass(frozen=True)
class PublishedRoute:
    """The route of an endpoint, without the addresses of its replicas.

    Parameters:
        route: the route; addresses and keys of replicas in it are not published.
        revisions: the revisions whose ready pods get requests, by version; also those of versions that leave.
        keys: the key of the replicas of each revision, by version.
        without: names of pods that get no requests, although they are ready.
        namespaces: the namespaces of revisions that do not run in that of the installation, by fingerprint.

    """

    route: EndpointRoute
    revisions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    keys: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    without: tuple[str, ...] = ()
    namespaces: Mapping[str, str] | None = None

    @property
    def version(self) -> str:
        """The fingerprint of the document."""
        return _fingerprint(self._document())

    def text(self) -> str:
        """Return the document as JSON, with its version."""
        document = self._document()
        return json.dumps({"version": _fingerprint(document), **document})

    @classmethod
    def parse(cls, text: str | bytes) -> PublishedRoute:
        """Read a document.

        Raises:
            PublishedError: when it cannot be read.

        """
        published: PublishedRoute = _parsed(_ROUTES, text)
        return published

    def _document(self) -> dict[str, Any]:
        bare = replace(
            self.route,
            versions=tuple(replace(one, addresses=(), replica_keys=None) for one in self.route.versions),
            leaving=tuple(replace(one, addresses=(), replica_keys=None) for one in self.route.leaving),
        )
        return _document(_ROUTES, replace(self, route=bare, without=tuple(sorted(self.without))))


_ROUTES = TypeAdapter(PublishedRoute)
_LISTENINGS = TypeAdapter(Listening)


def listening_text(listening: Listening) -> str:
    """Return listener settings as JSON, with their version."""
    document = _document(_LISTENINGS, listening)
    return json.dumps({"version": _fingerprint(document), **document})


def parse_listening(text: str | bytes) -> Listening:
    """Read listener settings.

    Raises:
        PublishedError: when they cannot be read.

    """
    listening: Listening = _parsed(_LISTENINGS, text)
    return listening


def version_of(text: str | bytes) -> str:
    """Return the version that a document declares; an empty one if the document cannot be read.

    Example:
        >>> version_of('{"version": "8a2f"}')
        '8a2f'

    """
    try:
        return str(json.loads(text)["version"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""


def endpoint_route(published: PublishedRoute, pods: Iterable[Pod], home: str | None = None) -> EndpointRoute:
    """Return the route of an endpoint with the addresses of its ready pods.

    A version without replicas gives its weight to the default version, or to the first that has replicas, unless its
    requests wait for its first replica. A version whose pods are all unready keeps their addresses: its requests wait
    there, or are tried again, instead of being refused at once. While another version has a ready pod, that one gets
    the weight.

    Parameters:
        published: the published document.
        pods: pods as the API server shows them, those of other endpoints included. One in another namespace than that
            of its revision is left out: whoever may create pods in one namespace gets no requests of another.
        home: the namespace of the installation; None: it is not compared.

    """
    route = published.route
    without = frozenset(published.without)
    places = published.namespaces or {}
    ready: dict[str, dict[str, str | None]] = {}
    unready: dict[str, dict[str, str | None]] = {}
    for pod in pods:
        labels = pod["metadata"].get("labels") or {}
        version, revision = labels.get(names.VERSION_LABEL, ""), labels.get(names.REVISION_LABEL, "")
        if (
            labels.get(names.ENDPOINT_LABEL) == route.name
            and revision in published.revisions.get(version, ())
            and pod["metadata"]["name"] not in without
            and places.get(revision, home) in (None, pod["metadata"].get("namespace"))
            and _may_serve(pod)
        ):
            key = published.keys.get(version, {}).get(revision)
            (ready if _is_ready(pod) else unready).setdefault(version, {})[address_of(pod)] = key
    versions = _weighted(
        tuple(_with(version, ready.get(version.name, {})) for version in route.versions), route.default_version
    )
    leaving = tuple(_with(version, ready.get(version.name, {})) for version in route.leaving)
    return replace(
        route,
        versions=tuple(_at_least_unready(version, unready) for version in versions),
        leaving=tuple(_at_least_unready(version, unready) for version in leaving),
    )


def _is_ready(pod: Pod) -> bool:
    conditions = {one["type"]: one["status"] for one in (pod.get("status") or {}).get("conditions") or ()}
    return conditions.get("ContainersReady") == "True"


def _may_serve(pod: Pod) -> bool:
    """Return whether a pod has an address, stays, and is not withdrawn."""
    has_address = bool((pod.get("status") or {}).get("podIP"))
    return has_address and "deletionTimestamp" not in pod["metadata"] and is_serving(pod)


def routed_part(pod: Pod) -> dict[str, Any]:
    """Return the part of a pod that decides whether and where it gets requests: enough for `endpoint_route`."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    kept = ("name", "namespace", "uid", "resourceVersion", "labels", "deletionTimestamp")
    containers = (pod.get("spec") or {}).get("containers") or ()
    return {
        "metadata": {name: metadata[name] for name in kept if name in metadata},
        "spec": {"containers": [{"ports": container.get("ports")} for container in containers]},
        "status": {
            "podIP": status.get("podIP"),
            "conditions": [{"type": one["type"], "status": one["status"]} for one in status.get("conditions") or ()],
        },
    }


def address_of(pod: Pod) -> str:
    """Return the address of a replica as ``IP:PORT``. Its port is the container port ``scoring``, by default 5001."""
    containers = (pod.get("spec") or {}).get("containers") or ()
    ports = [port for container in containers for port in container.get("ports") or ()]
    found = (port["containerPort"] for port in ports if port.get("name") == SCORING_PORT)
    return f"{pod['status']['podIP']}:{next(found, names.REPLICA_PORT)}"


def _with(version: VersionRoute, addresses: Mapping[str, str | None]) -> VersionRoute:
    keys = {address: key for address, key in addresses.items() if key is not None}
    return replace(
        version,
        addresses=tuple(sorted(addresses)),
        replica_keys=keys,
        waiting=version.waiting and not addresses,
    )


def _at_least_unready(version: VersionRoute, unready: Mapping[str, Mapping[str, str | None]]) -> VersionRoute:
    """Return a version with its unready pods, if none is ready and its requests do not wait elsewhere."""
    if version.addresses or version.waiting or version.name not in unready:
        return version
    return _with(version, unready[version.name])


def _weighted(versions: tuple[VersionRoute, ...], default: str) -> tuple[VersionRoute, ...]:
    able = [version.name for version in versions if version.addresses]
    if not able:
        return versions
    heir = default if default in able else able[0]
    empty = {version.name for version in versions if not version.addresses and not version.waiting}
    spare = sum(version.weight for version in versions if version.name in empty)
    return tuple(
        replace(version, weight=0 if version.name in empty else version.weight + (spare if version.name == heir else 0))
        for version in versions
    )


def _document(adapter: TypeAdapter[Any], value: object) -> dict[str, Any]:
    document: dict[str, Any] = adapter.dump_python(value, mode="json", by_alias=True, exclude_none=True)
    return document


def _parsed(adapter: TypeAdapter[Any], text: str | bytes) -> Any:
    try:
        document = json.loads(text)
        if not isinstance(document, dict):
            raise PublishedError("a published document is not a JSON object. The operator writes it again.")
        document.pop("version", None)
        return adapter.validate_python(document)
    except ValidationError as error:  # its values may be secrets
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise PublishedError(f"a published document cannot be read: {where}: {first['msg']}.") from None
    except (ValueError, RecursionError):
        raise PublishedError("a published document is not JSON. The operator writes it again.") from None


def _fingerprint(document: Mapping[str, Any]) -> str:
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
