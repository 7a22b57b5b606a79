"""The listener manager holds the router's listen settings, its certificates, and the keys that sign tokens."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import platform
from collections.abc import Awaitable, Callable, Sequence
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
    read_pair,
)
from mljupyter.controller.tls.certificates import checked
from mljupyter.controller.tls.tokens import TokenKeys
from mljupyter.engine.envoy.listener import ROUTER_CERTIFICATE, Listening, PublicAddress
from mljupyter.spec import (
    Authentication,
    CertificateFiles,
    CertificateSecret,
    CertificateStatus,
    EndpointSpec,
    Problem,
    RouterSpec,
    RouterTls,
)

_SETTING = "router"
_LOOK_EVERY = 1.0
_FOLLOWED_WITHIN = 5.0

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

    def pair(self, secret: str) -> tuple[str, str]:
        """Return the certificate and the key of a Secret in PEM.

        Raises:
            CertificateError: when there are none.

        """
        ...

    async def store_pair(self, certificate: str, key: str) -> str:
        """Store a certificate and its key, and return the name of their Secret when `pair` returns them.

        Raises:
            StorageError: when they cannot be stored.

        """
        ...

    async def forget_pair(self, secret: str) -> None:
        """Delete a Secret that `store_pair` wrote. Others stay."""
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
        self._surroundings = surroundings
        self._public: PublicAddress | None = None
        text = store.setting(_SETTING)
        self._spec = RouterSpec.parse(text) if text else RouterSpec()
        self.authority = Authority(layout.tls, layout.directory.name)
        self.token_keys = TokenKeys(layout.token_keys)
        secrets = surroundings.pair if surroundings is not None else no_secrets
        self._certificates = CertificateManager(layout.tls, self.authority, secrets)
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

    def refusal(self, endpoint: EndpointSpec) -> Problem | None:
        """Return the reason why all requests of an endpoint are refused, None when they are not."""
        return self.token_keys.problem if endpoint.authentication is Authentication.TOKEN else None

    def trusted(self) -> str:
        """Return the certificates for clients on this machine to trust: the authority, if used, and those in use."""
        pairs = self._certificates.pairs
        tls = self._spec.tls
        own = []
        if tls is not None and tls.own is None:
            with contextlib.suppress(CertificateError):  # it is reported by the status
                own = [self.authority.certificate()]
        return "\n".join([*own, *(pair.certificate for pair in pairs.values())])

    def admit(self, spec: EndpointSpec) -> None:
        """Check that an endpoint is allowed with the present listener settings. Create a token key if it needs one.

        Raises:
            AuthenticationRequiredError: when other machines could use it without authentication.
            CertificateError: when its own certificate cannot be used.

        """
        if spec.tls is not None:
            read_pair(spec.tls, datetime.now(UTC))
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
        if self._surroundings is not None and isinstance(own, CertificateFiles):
            raise CertificateError(
                f"the operator of a cluster cannot read {own.certificate_file!r}: send certificate and key, or name a "
                "Secret of the type kubernetes.io/tls."
            )
        if own is not None:
            self._certificates.read(own, datetime.now(UTC))

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
            except StorageError as error:
                log.error("certificates: %s", error.message)
            finally:
                self._followed.set()

    async def followed(self) -> None:
        """Return when the last change is in force in the router, or after a short timeout."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FOLLOWED_WITHIN):
                await self._followed.wait()

    def _wanted(self) -> dict[str, Wanted]:
        wanted: dict[str, Wanted] = {
            name: spec.tls for name in self._store.names() if (spec := self._store.get(name).spec).tls is not None
        }
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
