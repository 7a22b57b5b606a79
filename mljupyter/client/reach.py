"""Connections to scoring URIs with TLS: address and trusted certificates."""

from __future__ import annotations

import http.client
import socket
import ssl
from dataclasses import dataclass
from ipaddress import ip_address

from mljupyter.spec import RouterRecord


@dataclass(frozen=True)
class Reach:
    """The address of a router, and the certificates to trust.

    Parameters:
        address: the address it listens on; None connects to the host of the URI.
        trust: certificates in PEM that are trusted for this router only; empty for those of the system.
        port: the only port of URIs for which the address is; None for all.
        system: whether the certificates of the system are trusted as well.

    """

    address: str | None = None
    trust: str = ""
    port: int | None = None
    system: bool = False

    def connection(self, host: str, port: int, timeout: float) -> http.client.HTTPSConnection:
        """Return a connection to the address that verifies the certificate for the host name."""
        context = ssl.create_default_context(cadata=self.trust) if self.trust else ssl.create_default_context()
        if self.system:
            context.load_default_certs()
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # the user's own certificate need not be self-signed
        address = self.address if self.port in (None, port) else None
        return _Connection(address, host, port, timeout, context)


def of_router(record: RouterRecord) -> Reach:
    """Return how this machine reaches the router of a workspace."""
    address = ip_address(record.spec.address)
    if address.is_unspecified:
        return Reach("127.0.0.1" if address.version == 4 else "::1", record.trust)
    return Reach(str(address), record.trust)


class _Connection(http.client.HTTPSConnection):
    def __init__(self, address: str | None, host: str, port: int, timeout: float, context: ssl.SSLContext) -> None:
        super().__init__(host, port, timeout=timeout, context=context)
        self._address = address
        self._verifies = context

    def connect(self) -> None:
        plain = socket.create_connection((self._address or self.host, self.port), self.timeout)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.sock = self._verifies.wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise
