"""The listener manager holds the router's listen settings, its certificates, and the keys that sign tokens."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import platform
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from ipaddress import ip_address

from mljupyter.client.errors import AuthenticationRequiredError, CertificateError, StorageError
from mljupyter.controller.layout import Layout
from mljupyter.controller.storage.store import Store
from mljupyter.controller.tls.authority import Authority
from mljupyter.controller.tls.certificate_manager import CertificateManager, LeafCertificate, Wanted, read_pair
from mljupyter.controller.tls.tokens import TokenKeys
from mljupyter.engine.envoy.listener import ROUTER_CERTIFICATE, Listening
from mljupyter.spec import Authentication, CertificateStatus, EndpointSpec, Problem, RouterSpec

_SETTING = "router"
_LOOK_EVERY = 1.0
_FOLLOWED_WITHIN = 5.0

log = logging.getLogger(__name__)


class ListenerManager:
    """Has the router's listener settings, and notices their changes by an operation, a file, or time."""

    def __init__(self, layout: Layout, store: Store) -> None:
        self._store = store
        text = store.setting(_SETTING)
        self._spec = RouterSpec.parse(text) if text else RouterSpec()
        self.authority = Authority(layout.tls, layout.directory.name)
        self.token_keys = TokenKeys(layout.token_keys)
        self._certificates = CertificateManager(layout.tls, self.authority)
        self._followed = asyncio.Event()
        self._followed.set()
        self.look()

    @property
    def spec(self) -> RouterSpec:
        """The desired listen settings of the router."""
        return self._spec

    def listening(self) -> Listening:
        """Return the current listener settings of the router."""
        return Listening(self._spec, self._certificates.pairs, self.token_keys.verification, platform.node())

    def put(self, spec: RouterSpec) -> None:
        """Change the listener settings of the router."""
        self._store.put_setting(_SETTING, spec.json_text())
        self._spec = spec
        self.look()

    def look(self) -> bool:
        """Check files and time. Return whether anything has changed for the router or a status."""
        now = datetime.now(UTC)
        changed = self._certificates.look(self._wanted(), now)
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
        if tls is not None and tls.files is None:
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
        if tls is not None and tls.files is not None:
            wanted[ROUTER_CERTIFICATE] = tls.files
        elif tls is not None:
            wanted[ROUTER_CERTIFICATE] = LeafCertificate(leaf_hosts(str(tls.leaf_domain_label), self._spec.address))
        return wanted


def leaf_hosts(label: str, address: str) -> tuple[str, ...]:
    """Return the host names and addresses of a certificate that the workspace signs: the leaf domain first.

    Names under ``localhost`` resolve to this machine without a name server (RFC 6761).
    """
    hosts = [f"{label}.localhost", "localhost", "127.0.0.1", "::1"]
    machine = platform.node().lower()
    if not ip_address(address).is_loopback:
        hosts += [machine] if machine else []
        hosts += [] if ip_address(address).is_unspecified else [address]
    return tuple(dict.fromkeys(hosts))


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
