"""ClusterSurroundings follows the router's Service, the nodes, and the Secrets with certificates on the API server."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from mljupyter.client.errors import CertificateError, StorageError
from mljupyter.engine.envoy.listener import PublicAddress
from mljupyter.kubernetes.api_server.connection import ApiError, ApiServer, Object
from mljupyter.kubernetes.api_server.informer import Informer
from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.objects.installation import ServiceType
from mljupyter.kubernetes.operator.publication import Publication, ingress_publication, route_publication
from mljupyter.kubernetes.operator.router_address import RouterAddress, certificate_hosts, external_address

MANAGER = "mljupyter"
TLS_TYPE = "kubernetes.io/tls"
CERTIFICATE, KEY = "tls.crt", "tls.key"
_NODES_WITHIN = 2.0
_SEEN_WITHIN = 5.0


class ClusterSurroundings:
    """The `RouterSurroundings` of a cluster.

    Parameters:
        api: the API server.
        namespace: the operator's namespace.
        service: how clients reach the router.
        gateway: namespace and name of the Gateway, if that is by an HTTPRoute.

    """

    def __init__(
        self,
        api: ApiServer,
        namespace: str,
        service: ServiceType = ServiceType.CLUSTER_IP,
        gateway: tuple[str, str] = ("", ""),
    ) -> None:
        self._kind = service
        self._api = api
        self._namespace = namespace
        self._address_changed: Callable[[], None] = lambda: None
        self._news = asyncio.Event()
        # They are asked for with each status of each endpoint, and seldom change.
        self._addresses: dict[bool, RouterAddress] = {}
        self._hosts: tuple[str, ...] | None = None
        self._service = Informer(
            api, names.services(namespace), fields=f"metadata.name={names.ROUTER}", changed=self._service_seen
        )
        self._nodes = Informer(api, names.nodes(), changed=self._node_seen)
        of_router = f"metadata.name={names.ROUTER}"
        self._ingress = Informer(api, names.ingresses(namespace), fields=of_router, changed=self._published_seen)
        self._route = Informer(api, names.http_routes(namespace), fields=of_router, changed=self._published_seen)
        self._gateway = Informer(
            api, names.gateways(gateway[0]), fields=f"metadata.name={gateway[1]}", changed=self._published_seen
        )
        publishers = {ServiceType.INGRESS: (self._ingress,), ServiceType.HTTP_ROUTE: (self._route, self._gateway)}
        self._publishers = publishers.get(service, ())
        self._publication: Publication | None = None
        self._secrets = Informer(
            api, names.secrets(namespace), fields=f"type={TLS_TYPE}", changed=lambda kind, secret: self._news.set()
        )

    async def run(self) -> None:
        """Follow the API server until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for informer in (self._service, self._nodes, self._secrets, *self._publishers):
                tasks.create_task(informer.run())

    async def known(self) -> None:
        """Return when they are known. Some are not waited for long: the right to read them may be missing."""
        await asyncio.gather(self._service.synced.wait(), self._secrets.synced.wait())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_NODES_WITHIN):
                await asyncio.gather(*(one.synced.wait() for one in (self._nodes, *self._publishers)))

    def on_change(self, changed: Callable[[], None]) -> None:
        """Have a function called when the addresses of the router have changed."""
        self._address_changed = changed

    def address(self, *, secure: bool) -> RouterAddress:
        """Return the address that is nearest to clients outside the cluster, with the port for TLS if `secure`."""
        if (found := self._addresses.get(secure)) is None:
            service, nodes = self._service.objects.get(names.ROUTER), self._nodes.objects.values()
            found = self._addresses[secure] = external_address(service, nodes, self._namespace, secure=secure)
        return found

    @property
    def published(self) -> Publication | None:
        """The publication by an Ingress or an HTTPRoute; None if there is to be none."""
        if self._publication is None and self._publishers:
            if self._kind is ServiceType.INGRESS:
                found = ingress_publication(self._ingress.objects.get(names.ROUTER), self._namespace)
            else:
                gateway = next(iter(self._gateway.objects.values()), None)
                found = route_publication(self._route.objects.get(names.ROUTER), gateway, self._namespace)
            self._publication = found
        return self._publication

    @property
    def nodes(self) -> list[Object] | None:
        """The nodes of the cluster; None where the operator may not read them."""
        return list(self._nodes.objects.values()) if self._nodes.synced.is_set() else None

    @property
    def public(self) -> PublicAddress:
        """The address of clients with TLS."""
        address = self.address(secure=True)
        return PublicAddress(address.host, address.port)

    @property
    def hosts(self) -> tuple[str, ...]:
        """All host names and IP addresses by which clients may reach the router."""
        if self._hosts is None:
            service, nodes = self._service.objects.get(names.ROUTER), self._nodes.objects.values()
            self._hosts = certificate_hosts(service, nodes, self._namespace)
        return self._hosts

    @property
    def is_published(self) -> bool:
        """Whether clients are to come through an Ingress or a Gateway, where TLS ends."""
        return bool(self._publishers)

    @property
    def trusted(self) -> list[str]:
        """The certificates in the Secrets that the Ingress names."""
        ingress = self._ingress.objects.get(names.ROUTER) or {"spec": {}}
        found = []
        for item in ingress["spec"].get("tls") or ():
            with contextlib.suppress(CertificateError):  # it is not there yet, which its controller reports
                found.append(self.pair(str(item.get("secretName")))[0])
        return found

    def way_problem(self, *, secure: bool) -> str:
        """Return the reason why the Ingress or the HTTPRoute does not lead to the router; empty if it does."""
        published = self.published
        if published is None:
            return ""
        if secure:
            return (
                f"the routers have TLS of their own, and {self._kind} sends them plain HTTP: it is not used.\n"
                "Turn TLS of the routers off (disable_ssl); that of the host ends at the Ingress or the Gateway."
            )
        return published.problem

    def pair(self, secret: str) -> tuple[str, str]:
        """Return the certificate and the key of a Secret in PEM.

        Raises:
            CertificateError: when there are none.

        """
        found = self._secrets.objects.get(secret)
        if found is None:
            raise CertificateError(
                f"namespace {self._namespace!r} has no Secret {secret!r} of the type {TLS_TYPE}: "
                f"kubectl --namespace {self._namespace} create secret tls {secret} --cert FILE --key FILE."
            )
        certificate, key = (_text(found, entry) for entry in (CERTIFICATE, KEY))
        return certificate, key

    async def store_pair(self, certificate: str, key: str, endpoint: str = "") -> str:
        """Store a certificate and its key in a Secret of the operator, and return its name when `pair` returns them.

        Parameters:
            certificate, key: in PEM.
            endpoint: whose own certificate it is, which gets a Secret by its content; empty for that of the router.

        Raises:
            StorageError: when they cannot be stored.

        """
        labels = names.labels(names.COMPONENT_ROUTER)
        name = names.CERTIFICATE_SECRET
        if endpoint:
            name, labels = names.certificate_secret(endpoint, certificate), labels | {names.ENDPOINT_LABEL: endpoint}
        metadata = {"name": name, "namespace": self._namespace, "labels": labels}
        data = {CERTIFICATE: _encoded(certificate), KEY: _encoded(key)}
        body = {"apiVersion": "v1", "kind": "Secret", "type": TLS_TYPE, "metadata": metadata, "data": data}
        try:
            await self._api.patch(self._path(name), body, kind="apply", manager=MANAGER, force=True)
            async with asyncio.timeout(_SEEN_WITHIN):
                while (self._secrets.objects.get(name) or {}).get("data") != data:
                    self._news.clear()
                    await self._news.wait()
        except ApiError as error:
            raise StorageError(f"the certificate is not stored: {error.message}") from None
        except TimeoutError:
            raise StorageError(
                f"Secret {name!r} is written, but the API server has not shown it within {_SEEN_WITHIN:g} s: try again."
            ) from None
        return name

    async def forget_pair(self, secret: str) -> None:
        """Delete the Secret of `store_pair`. A Secret of somebody else stays.

        Raises:
            StorageError: when the API server does not delete it.

        """
        if secret != names.CERTIFICATE_SECRET and secret not in self.stored_pairs:
            return
        try:
            await self._api.delete(self._path(secret))
        except ApiError as error:
            raise StorageError(f"the certificate that is no longer used is not deleted: {error.message}") from None

    @property
    def stored_pairs(self) -> list[str]:
        """The names of the Secrets that `store_pair` wrote for endpoints."""
        ours = names.labels(names.COMPONENT_ROUTER).items()
        labels = {name: one["metadata"].get("labels") or {} for name, one in self._secrets.objects.items()}
        return [name for name, found in labels.items() if names.ENDPOINT_LABEL in found and ours <= found.items()]

    def _path(self, secret: str) -> str:
        return f"{names.secrets(self._namespace)}/{secret}"

    def _published_seen(self, _kind: str, _object: Object) -> None:
        before, self._publication = self._publication, None
        if all(one.synced.is_set() for one in self._publishers) and before != self.published:
            self._address_changed()

    def _forget(self) -> None:
        self._addresses, self._hosts = {}, None

    def _node_seen(self, _kind: str, _node: Object) -> None:
        self._forget()

    def _service_seen(self, _kind: str, _service: Object) -> None:
        before = (self._addresses, self._hosts)
        self._forget()
        same = all(self.address(secure=secure) == address for secure, address in before[0].items())
        if self._service.synced.is_set() and not (same and before[1] == self.hosts):
            self._address_changed()


def _text(secret: Mapping[str, Any], entry: str) -> str:
    try:
        return base64.b64decode((secret.get("data") or {}).get(entry) or "").decode("ascii")
    except (binascii.Error, ValueError):
        raise CertificateError(f"{entry} of Secret {secret['metadata']['name']!r} is not PEM: PEM is text.") from None


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
