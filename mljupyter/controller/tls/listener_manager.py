"""The listener manager holds the router's listen settings, its certificates, and the keys that sign tokens."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import platform
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Protocol

from mljupyter.client.errors import AuthenticationRequiredError, CertificateError, InvalidSpecError, StorageError
from mljupyter.controller.layout import Layout
from mljupyter.controller.storage.store import Store
from mljupyter.controller.tls.authority import Authority
from mljupyter.controller.tls.certificate_manager import (
    CertificateManager,
    LeafCertificate,
    Wanted,
    no_secrets,
)
from mljupyter.controller.tls.certificates import checked
from mljupyter.controller.tls.tokens import TokenKeys
from mljupyter.engine.envoy.listener import ROUTER_CERTIFICATE, Listening, Pair, PublicAddress
from mljupyter.spec import (
    Authentication,
    CertificateFiles,
    CertificateSecret,
    CertificateStatus,
    EndpointSpec,
    EndpointTls,
    Problem,
    RouterSpec,
    RouterTls,
)

_SETTING = "router"
_LOOK_EVERY = 1.0
_FOLLOWED_WITHIN = 5.0
_KEPT_SECONDS = 10.0  # a change that was accepted may still be taken back when it cannot be stored
_MOST_ON_CLUSTER = 900_000
"""The bytes of all certificates and keys on a cluster: an object there has at most 1 MiB."""

log = logging.getLogger(__name__)


class RouterSurroundings(Protocol):
    """A cluster around the router: the addresses of clients, and Secrets with certificates."""

    @property
    def public(self) -> PublicAddress:
        """The address of clients with TLS."""
        ...

    @property
    def hosts(self) -> Sequence[str]:
        """All host names and IP addresses by which clients may reach the router."""
        ...

    @property
    def is_published(self) -> bool:
        """Whether clients are to come through an Ingress or a Gateway, where TLS ends."""
        ...

    @property
    def trusted(self) -> Sequence[str]:
        """The certificates in PEM with which TLS ends before the router, as far as they are known."""
        ...

    def way_problem(self, *, secure: bool) -> str:
        """Return the reason why clients do not come the way that is wanted, with the way out; empty if they do.

        Parameters:
            secure: whether all endpoints are served with TLS by the router.

        """
        ...

    def pair(self, secret: str) -> tuple[str, str]:
        """Return the certificate and the key of a Secret in PEM.

        Raises:
            CertificateError: when there are none.

        """
        ...

    async def store_pair(self, certificate: str, key: str, endpoint: str = "") -> str:
        """Store a certificate and its key, and return the name of their Secret when `pair` returns them.

        Parameters:
            certificate, key: in PEM.
            endpoint: whose own certificate it is; empty for that of the router.

        Raises:
            StorageError: when they cannot be stored.

        """
        ...

    async def forget_pair(self, secret: str) -> None:
        """Delete a Secret that `store_pair` wrote. Others stay."""
        ...

    @property
    def stored_pairs(self) -> Sequence[str]:
        """The names of the Secrets that `store_pair` wrote for endpoints."""
        ...


class ListenerManager:
    """Has the router's listener settings, and notices their changes by an operation, a file, or time.

    Parameters:
        layout: the files of the workspace.
        store: the endpoints and the settings.
        surroundings: the cluster around the router; None for a router on this machine.

    """

    def __init__(self, layout: Layout, store: Store, surroundings: RouterSurroundings | None = None) -> None:
        self._store = store
        self._seen_change: int | None = None  # the number of the last change of the store that was processed
        self._of_endpoints: dict[str, EndpointTls] = {}
        self._surroundings = surroundings
        self._public: PublicAddress | None = None
        text = store.setting(_SETTING)
        self._spec = RouterSpec.parse(text) if text else RouterSpec()
        self.authority = Authority(layout.tls, layout.directory.name)
        self.token_keys = TokenKeys(layout.token_keys)
        secrets = surroundings.pair if surroundings is not None else no_secrets
        self._certificates = CertificateManager(layout.tls, self.authority, secrets)
        self._unused: dict[str, float] = {}  # Secrets with certificates of endpoints, since when
        self._followed = asyncio.Event()
        self._followed.set()
        self.look()

    @property
    def spec(self) -> RouterSpec:
        """The desired listen settings of the router."""
        return self._spec

    def listening(self) -> Listening:
        """Return the current listener settings of the router."""
        machine = platform.node() if self._surroundings is None else ""
        verification = self.token_keys.verification
        return Listening(self._spec, self._certificates.pairs, verification, machine, self._public)

    @property
    def on_cluster(self) -> bool:
        """Whether the router is that of a cluster."""
        return self._surroundings is not None

    def put(self, spec: RouterSpec) -> None:
        """Change the listener settings of the router."""
        self._store.put_setting(_SETTING, spec.json_text())
        self._spec = spec
        self.look()

    def look(self) -> bool:
        """Check files, addresses and time. Return whether anything has changed for the router or a status."""
        now = datetime.now(UTC)
        before, self._public = self._public, self._surroundings.public if self._surroundings is not None else None
        changed = self._certificates.look(self._wanted(), now) or before != self._public
        return self.token_keys.forget_old(now.timestamp()) or changed

    def status(self, endpoint: EndpointSpec | None) -> CertificateStatus | None:
        """Return the certificate of an endpoint, or that of the router."""
        return self._certificates.status(_name(endpoint), datetime.now(UTC))

    def problem(self, endpoint: EndpointSpec | None) -> Problem | None:
        """Return the problem of an endpoint's certificate, or of that of the router."""
        return self._certificates.problem(_name(endpoint), datetime.now(UTC))

    @property
    def is_published(self) -> bool:
        """Whether clients are to come through an Ingress or a Gateway of a cluster, where TLS ends."""
        return self._surroundings is not None and self._surroundings.is_published

    def way_problem(self) -> Problem | None:
        """Return the problem with the way of clients to the router, such as an Ingress without an address."""
        if self._surroundings is None or not (
            text := self._surroundings.way_problem(secure=self._spec.tls is not None)
        ):
            return None
        return Problem(code="NotPublished", message=text)

    def refusal(self, endpoint: EndpointSpec) -> Problem | None:
        """Return the reason why all requests of an endpoint are refused, None when they are not."""
        return self.token_keys.problem if endpoint.authentication is Authentication.TOKEN else None

    def trusted(self) -> str:
        """Return the certificates for clients to trust: the authority, if used, those in use, that of an Ingress."""
        pairs = self._certificates.pairs
        tls = self._spec.tls
        own = []
        if tls is not None and tls.own is None:
            with contextlib.suppress(CertificateError):  # it is reported by the status
                own = [self.authority.certificate()]
        before = self._surroundings.trusted if self._surroundings is not None else ()
        return "\n".join([*own, *(pair.certificate for pair in pairs.values()), *before])

    def admit(self, spec: EndpointSpec) -> None:
        """Check that an endpoint is allowed with the present listener settings. Create a token key if it needs one.

        Raises:
            AuthenticationRequiredError: when other machines could use it without authentication.
            CertificateError: when its own certificate cannot be used.

        """
        if spec.tls is not None:
            self._refuse_files(spec.tls.own)
            pair = self._certificates.read(spec.tls.own, datetime.now(UTC))
            self._refuse_too_many(spec.name, pair)
        refuse_open_to_network(self._spec, [spec])
        if spec.authentication is Authentication.TOKEN:
            self.token_keys.ensure()

    def check(self, spec: RouterSpec) -> None:
        """Check that listener settings can be used here, and the certificate that they name.

        Raises:
            CertificateError: when the certificate cannot be used.
            InvalidSpecError: when a setting does not exist here.

        """
        own = spec.tls.own if spec.tls is not None else None
        self._refuse_other_address(spec)
        if self.is_published and spec.tls is not None and self._spec.tls is None:
            raise InvalidSpecError(
                "TLS ends at the Ingress or the Gateway of this cluster, which sends plain HTTP to the routers.\n"
                "For an Ingress, attach the cluster again with the Secret of its certificate (--tls-secret); a Gateway "
                "has it in its listener."
            )
        if own is not None:
            self._refuse_files(own)
            self._certificates.read(own, datetime.now(UTC))

    def _refuse_files(self, own: CertificateFiles | CertificateSecret) -> None:
        if self._surroundings is not None and isinstance(own, CertificateFiles):
            raise CertificateError(
                f"the operator of a cluster cannot read {own.certificate_file!r}: send certificate and key, or name a "
                "Secret of the type kubernetes.io/tls."
            )

    def _refuse_too_many(self, name: str, pair: Pair) -> None:
        """Refuse a certificate for which the Secret with the listener settings of a cluster has no room."""
        if self._surroundings is None:
            return
        pairs = self._certificates.pairs | {name: pair}
        size = sum(len(one.certificate) + len(one.key) for one in pairs.values())
        if size > _MOST_ON_CLUSTER:
            raise CertificateError(
                f"the certificates of router and endpoints would have {size} bytes together, and a cluster has room "
                f"for {_MOST_ON_CLUSTER}: let endpoints share the certificate of the router, or give shorter chains."
            )

    def _refuse_other_address(self, spec: RouterSpec) -> None:
        if self._surroundings is not None and spec.address != self._spec.address:
            raise InvalidSpecError(
                f"address is {spec.address!r}: on a cluster the address of the router is that of its Service.\n"
                "Attach the cluster again with another service type."
            )

    async def store(self, spec: RouterSpec, certificate: str, key: str) -> RouterSpec:
        """Store a certificate and its key on the cluster. Return the settings with the name of their Secret.

        Parameters:
            spec: the settings, with a Secret of any name.
            certificate, key: in PEM.

        Raises:
            CertificateError: when they cannot be used.
            InvalidSpecError: when the settings have no certificate, or the router is that of this machine.
            StorageError: when they cannot be stored.

        """
        secret = spec.tls.secret if spec.tls is not None else None
        if self._surroundings is None or secret is None:
            raise InvalidSpecError(
                "a certificate is sent, but the settings name no Secret of a cluster: give the router of this machine "
                "files."
            )
        self._refuse_other_address(spec)
        checked(certificate, key, secret.host, datetime.now(UTC))
        name = await self._surroundings.store_pair(certificate, key)
        return spec.model_copy(update={"tls": RouterTls(secret=CertificateSecret(host=secret.host, name=name))})

    async def store_own(self, spec: EndpointSpec, certificate: str, key: str) -> EndpointSpec:
        """Store an endpoint's own certificate on the cluster. Return the endpoint with the name of its Secret.

        Each certificate has a Secret of its own, so that one that is refused later leaves the earlier one in use.

        Parameters:
            spec: the endpoint, with a host.
            certificate, key: in PEM.

        Raises:
            CertificateError: when they cannot be used.
            InvalidSpecError: when the endpoint has no TLS, or is on this machine.
            StorageError: when they cannot be stored.

        """
        if self._surroundings is None or spec.tls is None:
            raise InvalidSpecError(
                "a certificate is sent, but the endpoint has no tls.host, or runs on this machine: give files here."
            )
        checked(certificate, key, spec.tls.host, datetime.now(UTC))
        self._refuse_too_many(spec.name, Pair(certificate, key))
        name = await self._surroundings.store_pair(certificate, key, spec.name)
        self._unused.pop(name, None)
        return spec.model_copy(update={"tls": EndpointTls(host=spec.tls.host, secret=name)})

    async def forget_unused_of_endpoints(self) -> None:
        """Delete the stored certificates of endpoints that none has had for some seconds."""
        if self._surroundings is None:
            return
        used = {tls.secret for tls in self._own_tls().values()}
        now = time.monotonic()
        unused = [name for name in self._surroundings.stored_pairs if name not in used]
        self._unused = {name: self._unused.get(name, now) for name in unused}
        for name, since in list(self._unused.items()):
            if now - since > _KEPT_SECONDS:
                await self._surroundings.forget_pair(name)

    async def forget_unused(self, before: RouterSpec) -> None:
        """Delete the stored certificate of earlier settings if it is not used any more."""
        then, now = before.tls, self._spec.tls
        if self._surroundings is None or then is None or then.secret is None:
            return
        if now is None or now.secret is None or now.secret.name != then.secret.name:
            await self._surroundings.forget_pair(then.secret.name)

    async def run(self, follow: Callable[[], Awaitable[None]]) -> None:
        """Check until cancelled, and call `follow` after each change."""
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            try:
                if self.look():
                    self._followed.clear()
                    await follow()
                await self.forget_unused_of_endpoints()
            except StorageError as error:
                log.error("certificates: %s", error.message)
            finally:
                self._followed.set()

    async def followed(self) -> None:
        """Return when the last change is in force in the router, or after a short timeout."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FOLLOWED_WITHIN):
                await self._followed.wait()

    def _own_tls(self) -> Mapping[str, EndpointTls]:
        """Return the settings of endpoints with a certificate of their own, after a look at the changed endpoints."""
        changes, before = self._store.changes, self._seen_change
        for name in self._store.names() if before is None else changes.since(before):
            record = self._store.find(name)
            if record is not None and record.spec.tls is not None:
                self._of_endpoints[name] = record.spec.tls
            else:
                self._of_endpoints.pop(name, None)
        self._seen_change = changes.number
        return self._of_endpoints

    def _wanted(self) -> dict[str, Wanted]:
        wanted: dict[str, Wanted] = {name: tls.own for name, tls in sorted(self._own_tls().items())}
        tls = self._spec.tls
        if tls is not None and tls.own is not None:
            wanted[ROUTER_CERTIFICATE] = tls.own
        elif tls is not None:
            around = self._surroundings
            others = around.hosts if around is not None else machine_hosts(self._spec.address)
            hosts = leaf_hosts(str(tls.leaf_domain_label), [*others, *self._spec.hosts])
            wanted[ROUTER_CERTIFICATE] = LeafCertificate(hosts)
        return wanted


def leaf_hosts(label: str, others: Sequence[str]) -> tuple[str, ...]:
    """Return the host names and addresses of a certificate that the workspace signs: the leaf domain first.

    Names under ``localhost`` resolve to this machine without a name server (RFC 6761). On a cluster they are those of
    a port-forward.

    Parameters:
        label: the leaf domain label.
        others: further names and addresses.

    Example:
        >>> leaf_hosts("team", ["192.0.2.7"])
        ('team.localhost', 'localhost', '127.0.0.1', '::1', '192.0.2.7')

    """
    return tuple(dict.fromkeys([f"{label}.localhost", "localhost", "127.0.0.1", "::1", *others]))


def machine_hosts(address: str) -> list[str]:
    """Return the names and addresses of this machine for a router that listens on `address`."""
    if ip_address(address).is_loopback:
        return []
    machine = platform.node().lower()
    return [*([machine] if machine else []), *([] if ip_address(address).is_unspecified else [address])]


def refuse_open_to_network(router: RouterSpec, endpoints: list[EndpointSpec]) -> None:
    """Raise `AuthenticationRequiredError` when other machines could use endpoints without authentication.

    Endpoints with their own port always listen only on this machine.
    """
    if not router.beyond_loopback or router.allow_without_authentication:
        return
    names = [one.name for one in endpoints if one.authentication is Authentication.NONE and one.port is None]
    if names:
        raise AuthenticationRequiredError(
            f"{', '.join(repr(name) for name in names)} would be open to everybody who can reach this machine: "
            f"the router listens on {router.address}, and there is no authentication.\n"
            "Turn on keys with auth_enabled=True or tokens with token_auth_enabled=True, let the router listen on "
            "127.0.0.1,\nor allow it knowingly: mljupyter router listen ADDRESS --allow-without-authentication"
        )


def _name(endpoint: EndpointSpec | None) -> str:
    return endpoint.name if endpoint is not None and endpoint.tls is not None else ROUTER_CERTIFICATE
