"""The agent follows published documents and pods on the API server, and keeps its Envoy in step with them."""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mljupyter.client.errors import ControllerError
from mljupyter.controller.router.files import ConfigurationRefusedError
from mljupyter.controller.router.router import Router
from mljupyter.engine.envoy.routing import EndpointRoute
from mljupyter.kubernetes.api_server.connection import ApiServer, Object
from mljupyter.kubernetes.api_server.informer import Informer
from mljupyter.kubernetes.api_server.namespaces import NamespaceInformers, namespace_of
from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.objects.place import places
from mljupyter.kubernetes.objects.published import (
    LISTENING_KEY,
    ROUTE_KEY,
    PublishedError,
    PublishedRoute,
    endpoint_route,
    routed_part,
    version_of,
)
from mljupyter.kubernetes.router_agent.published import PublishedListening

_SETTLE_SECONDS = 0.02
_PAUSE_AFTER_FAILURE = 0.5
_STILL_ACCEPTS_SECONDS = 5.0  # nodes learn late that this pod gets no new connections
_DRAINED_WITHIN = 30.0
_COUNTED_WITHIN = 4.0  # the operator reads statistics each second
_ASKED_WITHIN = 10.0  # otherwise no operator runs that would read them

_Pod = tuple[str, str]
"""The namespace and the name of a pod."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Versioned:
    """A published route with the version that its document declares."""

    version: str
    published: PublishedRoute


@dataclass(frozen=True)
class Refusal:
    """A published version that is not in force, with the reason."""

    version: str
    message: str


@dataclass(frozen=True)
class _Made:
    """A route with the addresses of its pods, and the document that it was made from."""

    versioned: Versioned
    route: EndpointRoute


class Agent:
    """Applies the newest published documents and pods to the router. A refused route leaves the others untouched.

    A change of a document or a pod costs the work for its endpoint alone.

    Parameters:
        api: the API server.
        namespace: the namespace of the installation.
        router: the Envoy of this pod.
        listening: the listener settings.
        endpoint_namespaces: the other namespaces that replicas may run in.

    Attributes:
        routes_made: how often the route of an endpoint was made from its document and its pods.
        routes: the versions of the routes in force, by endpoint.
        listening_version: the version of the listener settings in force.
        refused: the newest refused version of each endpoint.
        refused_listening: the newest refused version of the listener settings.

    """

    def __init__(
        self,
        api: ApiServer,
        namespace: str,
        router: Router,
        listening: PublishedListening,
        endpoint_namespaces: Sequence[str] = (),
    ) -> None:
        self.router = router
        self._namespace = namespace
        self.routes: dict[str, str] = {}
        self.listening_version = ""
        self.routes_made = 0
        self.refused: dict[str, Refusal] = {}
        self.refused_listening: Refusal | None = None
        self._listening = listening
        self._wanted: dict[str, Versioned] = {}  # by endpoint, the newest that can be read
        self._accepted: dict[str, Versioned] = {}  # those that the router has
        self._texts: dict[str, bytes] = {}  # by Secret
        self._dirty = asyncio.Event()
        self._news = asyncio.Condition()
        self._leaving = False
        self._drained = False
        self._told = asyncio.Event()  # the operator has its last counts
        self._told_at = -math.inf
        self._secrets = Informer(
            api, names.secrets(namespace), labels=names.PUBLISHED_SELECTOR, changed=self._secret_changed
        )
        self._pods = NamespaceInformers(
            api,
            names.pods,
            {place.namespace: place.selector for place in places(namespace, endpoint_namespaces)},
            changed=self._pod_changed,
            keep=routed_part,
        )
        self._pods_of: dict[str, dict[_Pod, Object]] = {}  # by endpoint
        self._endpoint_of: dict[_Pod, str] = {}
        self._made: dict[str, _Made] = {}
        self._moved: set[str] = set()  # endpoints whose pods have changed since

    @property
    def ready(self) -> bool:
        """Whether the router answers with the configuration of the API server, and is meant to get requests."""
        return bool(self.listening_version) and self.router.up and not self._leaving

    @property
    def problem(self) -> str | None:
        """The reason why the API server is not followed, or None."""
        return self._secrets.problem or self._pods.problem

    async def run(self) -> None:
        """Follow the API server, and configure the router, until cancelled."""
        await self.router.start()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._secrets.run())
            tasks.create_task(self._pods.run())
            tasks.create_task(self._apply_changes())

    async def retire(self) -> None:
        """End the router when its clients are gone, after half a minute at the latest. It is not ready from now on.

        Without endpoints it ends at once: clients may keep connections open, but nothing answers them.
        """
        idle = self.ready and not self.routes
        self._leaving = True
        if idle:
            await self.router.retire(after=0.0, within=0.0)
        else:
            await self.router.retire(after=_STILL_ACCEPTS_SECONDS, within=_DRAINED_WITHIN, finished=self._until_counted)

    @property
    def drained(self) -> bool:
        """Whether the router has answered its last request, so that its counts stay as they are."""
        return self._drained

    def told(self, *, drained: bool) -> None:
        """Note that the operator gets the counts of the router.

        Parameters:
            drained: whether they are the last ones: it was drained before they were read.

        """
        self._told_at = time.monotonic()
        if drained:
            self._told.set()

    async def _until_counted(self) -> None:
        """Return when the operator has the last counts of the router, or does not ask for them."""
        self._drained = True
        if time.monotonic() - self._told_at > _ASKED_WITHIN:
            return
        try:
            async with asyncio.timeout(_COUNTED_WITHIN):
                await self._told.wait()
        except TimeoutError:
            log.warning("no operator has asked for the last counts of this router")

    async def route_in_force(self, name: str, version: str, within: float) -> str:
        """Return the version of a route in force: the given one as soon as it is, another one after a time.

        Parameters:
            name: the endpoint.
            version: the awaited version; empty: until there is no route.
            within: the longest wait in seconds.

        Raises:
            ConfigurationRefusedError: when the awaited version is refused.

        """
        async with self._news:
            try:
                async with asyncio.timeout(within):
                    await self._news.wait_for(
                        lambda: _refused(self.refused.get(name), version) or self.routes.get(name, "") == version
                    )
            except TimeoutError:
                pass
        return self.routes.get(name, "")

    async def listening_in_force(self, version: str, within: float) -> str:
        """Return the version of the listener settings in force; see `route_in_force`."""
        async with self._news:
            try:
                async with asyncio.timeout(within):
                    await self._news.wait_for(
                        lambda: _refused(self.refused_listening, version) or self.listening_version == version
                    )
            except TimeoutError:
                pass
        return self.listening_version

    def _secret_changed(self, kind: str, secret: Object) -> None:
        self._texts[secret["metadata"]["name"]] = b"" if kind == "DELETED" else _content(secret)
        self._dirty.set()

    def _pod_changed(self, kind: str, pod: Object) -> None:
        name, endpoint = (namespace_of(pod), pod["metadata"]["name"]), _endpoint_of(pod)
        before = self._endpoint_of.pop(name, endpoint)  # another one when somebody has changed its labels
        self._pods_of.get(before, {}).pop(name, None)
        if kind != "DELETED":
            self._endpoint_of[name] = endpoint
            self._pods_of.setdefault(endpoint, {})[name] = pod
        elif not self._pods_of.get(before):
            self._pods_of.pop(before, None)
        self._moved |= {before, endpoint}
        self._dirty.set()

    async def _apply_changes(self) -> None:
        await asyncio.gather(self._secrets.synced.wait(), self._pods.known())
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            self._read()
            try:
                if self._listening.known:  # before, it is not known whether requests must be encrypted
                    await self._apply()
            except ControllerError as error:
                log.error("the router is not configured: %s", error.message)
                self._dirty.set()
                await asyncio.sleep(_PAUSE_AFTER_FAILURE)
            async with self._news:
                self._news.notify_all()
            await asyncio.sleep(_SETTLE_SECONDS)  # changes in the meantime are applied together

    def _read(self) -> None:
        """Read the documents that have changed. One that cannot be read is refused, and its former one stays."""
        changed, self._texts = self._texts, {}
        for secret, text in changed.items():
            if secret == names.LISTENING_SECRET:
                self._read_listening(text)
                continue
            name = secret.removeprefix(names.route_secret(""))
            if not text:
                self._wanted.pop(name, None)
                self.refused.pop(name, None)
                continue
            version = version_of(text)
            try:
                self._wanted[name] = Versioned(version, PublishedRoute.parse(text))
                self.refused.pop(name, None)
            except PublishedError as error:
                self._refuse(name, version, error.message)

    def _read_listening(self, text: bytes) -> None:
        if not text:
            return  # the operator publishes it again; until then the router listens as before
        try:
            self._listening.put(text.decode(errors="replace"))
            self.refused_listening = None
        except PublishedError as error:
            log.error("listener settings: %s", error.message)
            self.refused_listening = Refusal(version_of(text), error.message)

    async def _apply(self) -> None:
        wanted = {
            name: self._accepted.get(name)
            if name in self.refused and self.refused[name].version == one.version
            else one
            for name, one in self._wanted.items()
        }
        newest = {name: one for name, one in wanted.items() if one is not None}
        version = self._listening.version
        try:
            await self._put(newest)
        except ConfigurationRefusedError as error:
            await self._put_without_refused(newest, error)
        self.listening_version = version

    async def _put_without_refused(self, newest: dict[str, Versioned], error: ConfigurationRefusedError) -> None:
        """Apply each changed route by itself, to find those that the router refuses."""
        before = self._accepted
        kept = {name: before[name] for name in newest if name in before}
        changed = [name for name in sorted(newest) if newest[name] != before.get(name)]
        try:
            await self._put(kept)
        except ConfigurationRefusedError:
            self.refused_listening = Refusal(self._listening.version, error.message)
            raise
        for name in changed:
            try:
                await self._put({**self._accepted, name: newest[name]})
            except ConfigurationRefusedError as refusal:
                self._refuse(name, newest[name].version, refusal.message)
        await self._put(dict(self._accepted))

    async def _put(self, routes: dict[str, Versioned]) -> None:
        moved, self._moved = self._moved, set()
        self._made = {name: self._make(name, one, moved=name in moved) for name, one in routes.items()}
        await self.router.apply([made.route for made in self._made.values()])
        self._accepted = routes
        self.routes = {name: one.version for name, one in routes.items()}

    def _make(self, name: str, versioned: Versioned, *, moved: bool) -> _Made:
        """Return a route with the addresses of its pods: the same object as before, as long as nothing changes."""
        known = self._made.get(name)
        if known is not None and known.versioned is versioned and not moved:
            return known
        self.routes_made += 1
        route = endpoint_route(versioned.published, self._pods_of.get(name, {}).values(), self._namespace)
        if known is not None and known.route == route:
            route = known.route
        return _Made(versioned, route)

    def _refuse(self, name: str, version: str, message: str) -> None:
        log.error("the route of endpoint %r is refused: %s", name, message)
        self.refused[name] = Refusal(version, message)


def _refused(refusal: Refusal | None, version: str) -> bool:
    """Return False, or raise `ConfigurationRefusedError` when the version is refused."""
    if refusal is not None and version and refusal.version == version:
        raise ConfigurationRefusedError(refusal.message)
    return False


def _endpoint_of(pod: Object) -> str:
    return str((pod["metadata"].get("labels") or {}).get(names.ENDPOINT_LABEL, ""))


def _content(secret: Object) -> bytes:
    """Return the published document of a Secret; an unreadable one is an error when it is parsed."""
    data: dict[str, Any] = secret.get("data") or {}
    key = LISTENING_KEY if secret["metadata"]["name"] == names.LISTENING_SECRET else ROUTE_KEY
    try:
        return base64.b64decode(data.get(key) or "") or b"{}"
    except (binascii.Error, ValueError):
        return b"{}"
