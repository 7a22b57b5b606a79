"""Listener settings of the router: addresses, certificates, and token verification."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address

from mljupyter.engine.envoy.hosts import OWN_HOSTS, bracketed
from mljupyter.engine.envoy.tokens import TokenVerification
from mljupyter.spec import EndpointSpec, RouterSpec

ROUTER_CERTIFICATE = ""
SERVICE_PREFIX = "/api/v1/service"


@dataclass(frozen=True)
class Pair:
    """A certificate chain and its private key in PEM, and the host names it is for."""

    certificate: str
    key: str = field(repr=False)
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Listening:
    """How the router listens: its spec, the certificates at hand, and what verifies tokens.

    `pairs` holds the router's own certificate by the empty name, those of endpoints by their names. A certificate that
    is wanted and not at hand leaves what it is for without TLS *and* without plain HTTP: nothing is served in the open
    that was to be secret.
    """

    spec: RouterSpec = field(default_factory=RouterSpec)
    pairs: Mapping[str, Pair] = field(default_factory=dict)
    tokens: TokenVerification = field(default_factory=TokenVerification)
    machine: str = "localhost"

    @property
    def secure(self) -> bool:
        """Whether all endpoints are served with TLS."""
        return self.spec.tls is not None

    @property
    def host(self) -> str:
        """The host of scoring URIs: that of the certificate, or the address that is listened on."""
        tls = self.spec.tls
        if tls is not None and tls.files is not None:
            return tls.files.host
        if not self.spec.beyond_loopback:
            return "localhost"
        address = ip_address(self.spec.address)
        if address.is_unspecified:
            return self.machine
        return f"[{address}]" if address.version == 6 else str(address)

    @property
    def hosts(self) -> frozenset[str]:
        """The hosts that requests may be for: this machine's own, those of certificates, and those that are allowed."""
        names = {*OWN_HOSTS, self.machine, self.spec.address, *self.spec.hosts}
        for pair in self.pairs.values():
            names.update(pair.hosts)
        if self.spec.tls is not None and self.spec.tls.files is not None:
            names.add(self.spec.tls.files.host)
        # Where a certificate has a pattern, the router takes one whole label before the rest, and no other.
        return frozenset(bracketed(name.lower()) for name in names if name and "*" not in name.removeprefix("*."))

    def base(self, endpoint: EndpointSpec, port: int) -> str:
        """Return the URI that ``/score`` and ``/swagger.json`` of an endpoint stand under.

        Parameters:
            endpoint: the endpoint.
            port: the router's port.

        """
        if endpoint.port is not None:
            return f"http://localhost:{endpoint.port}"
        if endpoint.tls is not None:
            return f"https://{endpoint.tls.host}:{port}{SERVICE_PREFIX}/{endpoint.name}"
        return f"{'https' if self.secure else 'http'}://{self.host}:{port}{SERVICE_PREFIX}/{endpoint.name}"
