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

    """

    def __init__(self, api: ApiServer, namespace: str) -> None:
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
        self._secrets = Informer(
            api, names.secrets(namespace), fields=f"type={TLS_TYPE}", changed=lambda kind, secret: self._news.set()
        )

    async def run(self) -> None:
        """Follow the API server until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for informer in (self._service, self._nodes, self._secrets):
                tasks.create_task(informer.run())

    async def known(self) -> None:
        """Return when they are known. Nodes are not waited for long: the right to read them may be missing."""
        await asyncio.gather(self._service.synced.wait(), self._secrets.synced.wait())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_NODES_WITHIN):
                await self._nodes.synced.wait()

    def on_change(self, changed: Callable[[], None]) -> None:
        """Have a function called when the router's Service has changed."""
        self._address_changed = changed

    def address(self, *, secure: bool) -> RouterAddress:
        """Return the address that is nearest to clients outside the cluster, with the port for TLS if `secure`."""
        if (found := self._addresses.get(secure)) is None:
            service, nodes = self._service.objects.get(names.ROUTER), self._nodes.objects.values()
            found = self._addresses[secure] = external_address(service, nodes, self._namespace, secure=secure)
        return found

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

    async def store_pair(self, certificate: str, key: str) -> str:
        """Store a certificate and its key in a Secret of the operator, and return its name when `pair` returns them.

        Raises:
            StorageError: when they cannot be stored.

        """
        name = names.CERTIFICATE_SECRET
        metadata = {"name": name, "namespace": self._namespace, "labels": names.labels(names.COMPONENT_ROUTER)}
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
        if secret != names.CERTIFICATE_SECRET:
            return
        try:
            await self._api.delete(self._path(secret))
        except ApiError as error:
            raise StorageError(f"the certificate that is no longer used is not deleted: {error.message}") from None

    def _path(self, secret: str) -> str:
        return f"{names.secrets(self._namespace)}/{secret}"

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
