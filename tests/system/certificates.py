"""Certificates for tests, as a user would bring them: two PEM files."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def pem_pair(*hosts: str, days: float = 90, begins: float = -1) -> tuple[str, str]:
    """Return a self-signed certificate and its key in PEM; `days` from now it ends, `begins` from now it begins."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now + timedelta(days=begins))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([_name(host) for host in hosts]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), private.decode()


class Files:
    """A certificate's two files."""

    def __init__(self, directory: Path, *hosts: str, days: float = 90) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.certificate, self.key, self.hosts = directory / "chain.pem", directory / "key.pem", hosts
        self.renew(days)

    def renew(self, days: float = 90) -> None:
        """Put another certificate with another key in place."""
        certificate, key = pem_pair(*self.hosts, days=days)
        self.certificate.write_text(certificate)
        self.key.write_text(key)


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
