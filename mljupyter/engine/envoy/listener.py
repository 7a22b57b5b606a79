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
    """A certificate chain and its private key in PEM, with the certificate's host names."""

    certificate: str
    key: str = field(repr=False)
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True)
class PublicAddress:
    """The host and the port at which clients send requests with TLS, where the router's own are not theirs."""

    host: str
    port: int


@dataclass(frozen=True)
class Listening:
    """The listener settings of the router: its spec, the available certificates, and the key that verifies tokens.

    `pairs` has the router's own certificate by the empty name, those of endpoints by their names. If a configured
    certificate is not available, its endpoints are served neither with TLS *nor* with plain HTTP: requests that should
    be encrypted are never served in plain text. `public` is None if clients connect to the router's own port.
    """

    spec: RouterSpec = field(default_factory=RouterSpec)
    pairs: Mapping[str, Pair] = field(default_factory=dict)
    tokens: TokenVerification = field(default_factory=TokenVerification)
    machine: str = "localhost"
    public: PublicAddress | None = None

    @property
    def secure(self) -> bool:
        """Whether all endpoints are served with TLS."""
        return self.spec.tls is not None

    @property
    def host(self) -> str:
        """The host of scoring URIs: that of the certificate, or the listening address."""
        tls = self.spec.tls
        if tls is not None and tls.own is not None:
            return tls.own.host
        if self.public is not None:
            return bracketed(self.public.host)
        if not self.spec.beyond_loopback:
            return "localhost"
        address = ip_address(self.spec.address)
        if address.is_unspecified:
            return self.machine
        return f"[{address}]" if address.version == 6 else str(address)

    @property
    def hosts(self) -> frozenset[str]:
        """The accepted hosts of requests: this machine's own, those of certificates, and those in the spec."""
        names = {*OWN_HOSTS, self.machine, self.spec.address, *self.spec.hosts}
        for pair in self.pairs.values():
            names.update(pair.hosts)
        if self.spec.tls is not None and self.spec.tls.own is not None:
            names.add(self.spec.tls.own.host)
        # For a pattern of a certificate, the router accepts exactly one label before the rest.
        return frozenset(bracketed(name.lower()) for name in names if name and "*" not in name.removeprefix("*."))

    def secure_port(self, port: int) -> int:
        """Return the port of clients with TLS; `port` is the router's own."""
        return port if self.public is None else self.public.port

    def base(self, endpoint: EndpointSpec, port: int) -> str:
        """Return the base URI of ``/score`` and ``/swagger.json`` of an endpoint.

        Parameters:
            endpoint: the endpoint.
            port: the router's port.

        """
        if endpoint.port is not None:
            return f"http://localhost:{endpoint.port}"
        if endpoint.tls is not None:
            return f"https://{endpoint.tls.host}:{port}{SERVICE_PREFIX}/{endpoint.name}"
        return f"{'https' if self.secure else 'http'}://{self.host}:{port}{SERVICE_PREFIX}/{endpoint.name}"
