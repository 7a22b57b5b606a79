"""ClusterRouter: the router of a cluster as the control plane sees it: any number of Envoy pods with an agent each.

The operator publishes routes, and asks all router pods whether they are in force. Pods follow replicas by themselves.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from mljupyter.client.errors import ControllerError
from mljupyter.controller.tls.listener_manager import ListenerManager
from mljupyter.engine.envoy.hosts import bracketed
from mljupyter.engine.envoy.listener import SERVICE_PREFIX, Listening
from mljupyter.engine.envoy.routing import EndpointRoute, VersionRoute, cluster_name, mirror_name
from mljupyter.engine.rollout.request_counts import RequestCounts
from mljupyter.engine.scaling.demand import Reading
from mljupyter.kubernetes.api_server.connection import ApiError, ApiServer, Object
from mljupyter.kubernetes.api_server.informer import Informer, without_managers
from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.objects.published import (
    LISTENING_KEY,
    ROUTE_KEY,
    PublishedRoute,
    listening_text,
    version_of,
)
from mljupyter.kubernetes.operator.pod_supervisor import PodSupervisor
from mljupyter.kubernetes.operator.publication import base_uri
from mljupyter.kubernetes.operator.router_counters import RouterCounters
from mljupyter.kubernetes.operator.router_pod import RouterLoad, RouterPod
from mljupyter.kubernetes.operator.router_surroundings import ClusterSurroundings
from mljupyter.spec import CertificateStatus, EndpointSpec, Problem, RouterSize
from mljupyter.telemetry.metrics.router_statistics import RouterStatistics

MANAGER = "mljupyter"
_IN_FORCE_WITHIN = 8.0
Result = TypeVar("Result")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Made:
    """A published document, and what it was made from: while that stays, it is not made again."""

    route: EndpointRoute
    changes: int
    version: str
    text: str


class ClusterRouter:
    """Publishes routes to the router pods, and adds up their counters.

    Each endpoint has a document of its own, which is made and compared when its route or its replicas have changed. So
    the work for a change does not grow with the other endpoints.

    Attributes:
        documents_made: the number of documents made so far.
        size: the size of the router; None before the operator has seen its Deployment.

    Parameters:
        api: the API server.
        namespace: the operator's namespace.
        secret: the secret between operator and router agents.
        keeper: has the listener settings.
        surroundings: knows the addresses of the router.
        supervisor: knows the revisions of replicas.
        owner: returns the owner reference to an endpoint's custom resource.
        changed: called when it begins to answer, and when `problem` changes.
        withdrawn: called with the name of an endpoint whose published route somebody has deleted or changed.

    """

    adopted = True
    pid = None

    def __init__(
        self,
        api: ApiServer,
        namespace: str,
        secret: str,
        *,
        keeper: ListenerManager,
        surroundings: ClusterSurroundings,
        supervisor: PodSupervisor,
        owner: Callable[[str], dict[str, Any] | None],
        changed: Callable[[], None],
        withdrawn: Callable[[str], None],
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._secret = secret
        self._keeper = keeper
        self._surroundings = surroundings
        surroundings.on_change(changed)
        self._supervisor = supervisor
        self._owner = owner
        self._changed = changed
        self._withdrawn = withdrawn
        self.documents_made = 0
        self._made: dict[str, _Made] = {}
        self._listening_made: tuple[Listening, str, str] | None = None  # the settings, their document and its version
        self.identity = secrets.token_hex(8)
        self.problem: Problem | None = None
        self.size: RouterSize | None = None
        self._pods: dict[str, RouterPod] = {}
        self._leaving: dict[str, RouterPod] = {}  # they answer the requests of their clients before they end
        self._counters = RouterCounters()
        self._counting = False
        self._routes: dict[str, str] = {}  # the published version by endpoint
        self._revisions: dict[tuple[str, str], list[str]] = {}  # the last ones with replicas, by endpoint and version
        self._listening = ""  # the published version
        router = names.selector(component=names.COMPONENT_ROUTER)
        self._informer = Informer(api, names.pods(namespace), labels=router, changed=self._seen)
        self._published_secrets = Informer(
            api,
            names.secrets(namespace),
            labels=names.PUBLISHED_SELECTOR,
            changed=self._published_seen,
            keep=without_managers,
        )
        self._expected: dict[str, str] = {}  # the version that each Secret is to have
        self._damaged: set[str] = set()  # endpoints whose Secret somebody has deleted or changed
        self._running: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """The port of the router's Service."""
        return 80

    @property
    def up(self) -> bool:
        """Whether a router pod is ready."""
        return bool(self._pods)

    @property
    def readable(self) -> bool:
        """Whether `statistics` can be read, be it of a pod that is about to end."""
        return bool(self._pods or self._leaving)

    @property
    def pods(self) -> list[Object]:
        """All pods of the router, ready or not."""
        return list(self._informer.objects.values())

    @property
    def nodes(self) -> list[Object] | None:
        """The nodes of the cluster; None where the operator may not read them."""
        return self._surroundings.nodes

    def base(self, endpoint: EndpointSpec) -> str:
        """Return the base URI of an endpoint, at the address that is nearest to clients outside the cluster."""
        listening = self._keeper.listening()
        secure = listening.secure or endpoint.tls is not None
        published = self._surroundings.published
        if not secure and published is not None and published.address is not None:
            return f"{base_uri(published.address)}{SERVICE_PREFIX}/{endpoint.name}"
        address = self._surroundings.address(secure=secure)
        scheme, default = ("https", 443) if secure else ("http", 80)
        host = endpoint.tls.host if endpoint.tls is not None else listening.host if secure else bracketed(address.host)
        port = "" if address.port == default else f":{address.port}"
        return f"{scheme}://{host}{port}{SERVICE_PREFIX}/{endpoint.name}"

    def problem_of(self, endpoint: EndpointSpec) -> Problem | None:
        """Return the reason why requests of an endpoint cannot pass, None when they can."""
        return self.problem or self._keeper.refusal(endpoint)

    def certificate(self, endpoint: EndpointSpec) -> tuple[CertificateStatus | None, Problem | None]:
        """Return the certificate of an endpoint, and the problem with it, or with the way of clients to the router."""
        problem = self._keeper.problem(endpoint)
        if endpoint.tls is None and problem is None:
            problem = self._keeper.way_problem()
        return self._keeper.status(endpoint), problem

    async def start(self) -> None:
        """Find the router pods and the published routes, and follow the pods from now on."""
        self._running = asyncio.create_task(self._run(), name="router")
        await asyncio.gather(*(one.synced.wait() for one in (self._informer, self._published_secrets)))
        prefix = names.route_secret("")
        for name, item in self._published_secrets.objects.items():
            if name.startswith(prefix):
                self._routes[name.removeprefix(prefix)] = _version_in(item)
        self._say()

    async def apply(self, endpoints: Iterable[EndpointRoute]) -> None:
        """Publish these endpoints. Return when they are in force in all router pods.

        Raises:
            ControllerError: when the API server or a router pod does not follow.

        """
        wanted = {route.name: route for route in endpoints}
        changed = [name for name, route in wanted.items() if self._is_due(route)]
        gone = [name for name in self._routes if name not in wanted]
        former = [self._made[name].route for name in (*changed, *gone) if name in self._made]
        made = {name: self._make(wanted[name]) for name in changed}
        listening, listening_version = self._listening_document()
        listens_anew = listening_version != self._listening or not self._is_published(names.LISTENING_SECRET)
        self._expected[names.LISTENING_SECRET] = listening_version
        for name in gone:
            self._made.pop(name, None)
            self._expected.pop(names.route_secret(name), None)
        self._expected.update({names.route_secret(name): one.version for name, one in made.items()})
        written = [
            name
            for name, one in made.items()
            if self._routes.get(name) != one.version or not self._is_published(names.route_secret(name))
        ]
        try:
            if listens_anew:
                await self._write(names.LISTENING_SECRET, LISTENING_KEY, listening, None)
            await asyncio.gather(
                *(
                    self._write(names.route_secret(name), ROUTE_KEY, made[name].text, self._owner(name))
                    for name in written
                ),
                *(self._api.delete(self._path(names.route_secret(name))) for name in gone),
            )
        except ApiError as error:
            raise ControllerError(f"routes are not published: {error.message}") from None
        waits: list[Callable[[RouterPod], Awaitable[None]]] = []
        if listens_anew:
            waits.append(lambda pod: pod.listening_in_force(listening_version))
        waits += [_route_wait(name, made[name].version) for name in written]
        waits += [_route_wait(name, "") for name in gone]
        await asyncio.gather(*map(self._on_all, waits))
        self._listening = listening_version
        for name in gone:
            del self._routes[name]
        for name, one in made.items():
            self._routes[name], self._made[name] = one.version, one
        kept = {cluster for one in made.values() for cluster in _clusters(one.route)}
        for removed in {cluster for route in former for cluster in _clusters(route)} - kept:
            self._counters.forget(removed)

    async def demand(self, most_again: Mapping[str, int]) -> dict[str, Reading]:
        """Return the counters of every version, by cluster, of all router pods together."""
        return self._counters.demand(await self._readings(lambda pod: pod.demand(most_again)))

    async def busy(self) -> frozenset[str]:
        """Return the addresses of the replicas with requests."""
        return frozenset().union(*(found for _, found in await self._readings(lambda pod: pod.busy())))

    async def statistics(self) -> RouterStatistics:
        """Return the counts of every version, of all router pods together, since the first call."""
        readings = [found for _, found in await self._readings(lambda pod: pod.statistics())]
        if not self._counting:
            self._counting = True
            return self._counters.begin(readings)
        return self._counters.statistics(readings)

    async def replaced(self) -> dict[str, RouterStatistics]:
        """Return nothing: `statistics` has the counts of pods that have ended."""
        return {}

    def forget_replaced(self, replaced: Mapping[str, RouterStatistics]) -> None:
        """Do nothing; see `replaced`."""

    async def counts(self, cluster: str) -> RequestCounts:
        """Return the counts of one version's requests, of all router pods together."""
        return self._counters.counts(cluster, await self._readings(lambda pod: pod.counts(cluster)))

    async def loads(self) -> list[tuple[str, RouterLoad]]:
        """Return the load of each router pod, with its identity."""
        return await self._readings(lambda pod: pod.load(), leaving=False)

    async def replace(self) -> None:
        """Refuse: Kubernetes replaces router pods.

        Raises:
            ControllerError: always.

        """
        raise ControllerError(
            "on a cluster the router is replaced by Kubernetes: "
            f"kubectl --namespace {self._namespace} rollout restart deployment {names.ROUTER}"
        )

    async def leave(self) -> None:
        """Stop following the router pods, which continue to serve."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        await asyncio.gather(*(pod.close() for pod in (*self._pods.values(), *self._leaving.values())))

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for informer in (self._informer, self._published_secrets):
                tasks.create_task(informer.run())

    def _is_due(self, route: EndpointRoute) -> bool:
        """Return whether the document of a route may differ from the published one."""
        made = self._made.get(route.name)
        if made is None or made.changes != self._supervisor.changes(route.name) or route.name in self._damaged:
            return True
        return made.route is not route and made.route != route

    def _make(self, route: EndpointRoute) -> _Made:
        self.documents_made += 1
        changes, published = self._supervisor.changes(route.name), self._published(route)
        text = published.text()
        return _Made(route, changes, version_of(text), text)

    def _listening_document(self) -> tuple[str, str]:
        """Return the document of the listener settings, and its version."""
        listening = self._keeper.listening()
        if self._listening_made is None or self._listening_made[0] != listening:
            text = listening_text(listening)
            self._listening_made = (listening, text, version_of(text))
        return self._listening_made[1:]

    def _published(self, route: EndpointRoute) -> PublishedRoute:
        revisions: dict[str, tuple[str, ...]] = {}
        keys: dict[str, dict[str, str]] = {}
        without: set[str] = set()
        namespaces: dict[str, str] = {}
        at = self._supervisor.revisions_at(route.name)
        for version in (*route.versions, *route.leaving):
            found = sorted({at[address][2] for address in version.addresses if address in at})
            if found:
                self._revisions[route.name, version.name] = found
            elif version not in route.leaving:  # without the operator, a pod that becomes ready gets requests
                found = self._revisions.get((route.name, version.name), [])
            revisions[version.name] = tuple(found)
            for fingerprint in found:
                revision = (route.name, version.name, fingerprint)
                keys.setdefault(version.name, {})[fingerprint] = self._supervisor.key(revision)
                if (namespace := self._supervisor.namespace(revision)) is not None:
                    namespaces[fingerprint] = namespace
                ready = self._supervisor.ready_pods(revision)
                without |= {pod for pod, address in ready.items() if _is_left_out(version, address)}
        return PublishedRoute(route, revisions, keys, tuple(sorted(without)), namespaces or None)

    async def _write(self, name: str, key: str, text: str, owner: Mapping[str, Any] | None) -> None:
        """Write a document for the agents into its Secret."""
        metadata: dict[str, Any] = {
            "name": name,
            "namespace": self._namespace,
            "labels": {**names.labels(names.COMPONENT_ROUTER), names.PUBLISHED_LABEL: "router"},
        }
        if owner is not None:
            metadata["ownerReferences"] = [dict(owner)]
        data = {key: base64.b64encode(text.encode()).decode()}
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}
        await self._api.patch(self._path(name), body, kind="apply", manager=MANAGER, force=True)

    def _is_published(self, secret: str) -> bool:
        """Return whether a Secret has what it is to have."""
        found = self._published_secrets.objects.get(secret)
        return found is not None and _version_in(found) == self._expected.get(secret)

    def _published_seen(self, _kind: str, secret: Object) -> None:
        """Publish again what somebody has deleted or changed."""
        name = secret["metadata"]["name"]
        if name == names.LISTENING_SECRET:
            if not self._is_published(name):
                self._changed()
            return
        endpoint = name.removeprefix(names.route_secret(""))
        if name not in self._expected or self._is_published(name):
            self._damaged.discard(endpoint)
        else:
            self._damaged.add(endpoint)
            self._withdrawn(endpoint)

    def _path(self, secret: str) -> str:
        return f"{names.secrets(self._namespace)}/{secret}"

    async def _on_all(self, wait: Callable[[RouterPod], Awaitable[None]]) -> None:
        """Return when a wait has ended on all router pods. Those that end meanwhile do not count."""
        results = await asyncio.gather(*(self._on(pod, wait) for pod in list(self._pods.values())))
        errors = [error for error in results if error is not None]
        if errors:
            raise errors[0]

    async def _on(self, pod: RouterPod, wait: Callable[[RouterPod], Awaitable[None]]) -> ControllerError | None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _IN_FORCE_WITHIN
        while self._pods.get(pod.name) is pod:
            try:
                await wait(pod)
            except ControllerError as error:
                if loop.time() > deadline:
                    return error if self._pods.get(pod.name) is pod else None
                await asyncio.sleep(0.1)
            else:
                return None
        return None

    async def _readings(
        self, read: Callable[[RouterPod], Awaitable[Result]], *, leaving: bool = True
    ) -> list[tuple[str, Result]]:
        """Return what all router pods answer, each with its identity. Those that do not answer are left out.

        Parameters:
            read: asks one pod.
            leaving: ask those, too, that are about to end: a request that waits there may have to wake a version.

        """

        async def one(pod: RouterPod) -> tuple[str, Result] | None:
            try:
                if not pod.identity.partition("/")[2]:
                    await pod.learn()
                return pod.identity, await read(pod)
            except ControllerError as error:
                log.debug("router %s: %s", pod.name, error.message)
                self._has_left(pod.name)
                return None

        asked = [*self._pods.values(), *(self._leaving.values() if leaving else ())]
        found = [answer for answer in await asyncio.gather(*map(one, asked)) if answer is not None]
        if not found:
            raise ControllerError("no router pod answers.")
        return found

    def _seen(self, kind: str, pod: Object) -> None:
        """Follow a change of a router pod."""
        name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
        known = self._pods.get(name)
        ready = kind != "DELETED" and _is_ready(pod)
        if kind == "DELETED":
            self._has_left(name)
        if known is not None and (not ready or known.uid != uid):
            del self._pods[name]
            if kind != "DELETED" and "deletionTimestamp" in pod["metadata"]:
                self._leaving[name] = known
            else:
                self._close(known)
            known = None
        if ready and known is None:
            address = f"{pod['status']['podIP']}:{names.AGENT_PORT}"
            self._pods[name] = RouterPod(name, uid, address, self._secret)
        if self._informer.synced.is_set():
            self._say()

    def _has_left(self, name: str) -> None:
        if (pod := self._leaving.pop(name, None)) is not None:
            self._close(pod)

    def _close(self, pod: RouterPod) -> None:
        task = asyncio.get_running_loop().create_task(pod.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _say(self) -> None:
        """Set or clear the problem that no router pod is ready."""
        message = (
            f"no pod of the router is ready: kubectl --namespace {self._namespace} get pods "
            f"--selector {names.COMPONENT_LABEL}={names.COMPONENT_ROUTER}"
        )
        problem = None if self._pods else Problem(code="RouterUnreachable", message=message)
        if problem != self.problem:
            self.problem = problem
            self._changed()


def _version_in(secret: Object) -> str:
    """Return the version of the document in a Secret; an empty one when there is none."""
    data = secret.get("data") or {}
    try:
        return version_of(base64.b64decode(data.get(ROUTE_KEY) or data.get(LISTENING_KEY) or ""))
    except (binascii.Error, ValueError):
        return ""


def _clusters(route: EndpointRoute) -> set[str]:
    return {name(route.name, version.name) for version in route.versions for name in (cluster_name, mirror_name)}


def _route_wait(name: str, version: str) -> Callable[[RouterPod], Awaitable[None]]:
    return lambda pod: pod.route_in_force(name, version)


def _is_left_out(version: VersionRoute, address: str) -> bool:
    return address not in version.addresses


def _is_ready(pod: Object) -> bool:
    status = pod.get("status", {})
    conditions = {item["type"]: item["status"] for item in status.get("conditions") or ()}
    return bool(
        status.get("podIP") and conditions.get("Ready") == "True" and not pod["metadata"].get("deletionTimestamp")
    )
