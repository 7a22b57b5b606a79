"""The certificate authority of a workspace, which signs the router's certificate if the user has given none."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from mljupyter.client.errors import CertificateError
from mljupyter.controller.tls.private_files import write_private
from mljupyter.engine.envoy.listener import Pair

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

LEAF_DAYS = 90
_AUTHORITY_DAYS = 3650
_BEFORE = timedelta(days=2)  # for slow clocks of clients, and for one of ours that is set back by a day


class Authority:
    """A certificate authority of one workspace. Its private key never leaves the control directory.

    Parameters:
        directory: the directory of certificate and key. It is created on first use.
        workspace: the workspace's name, which is part of the certificate.

    """

    def __init__(self, directory: Path, workspace: str) -> None:
        self._directory = directory
        self._workspace = workspace

    @property
    def file(self) -> Path:
        """The file of the certificate in PEM, which clients have to trust."""
        return self._directory / "authority.pem"

    @property
    def _key_file(self) -> Path:
        return self._directory / "authority.key"

    def certificate(self) -> str:
        """Return the authority's certificate in PEM. Certificate and key are created if there are none.

        A damaged or missing certificate is created again from its key. Clients that trust the old one trust it too.

        Raises:
            CertificateError: when the key cannot be read, since a key cannot be restored.

        """
        from cryptography import x509

        if not (self.file.exists() or self._key_file.exists()):
            write_private(self._key_file, _private_pem(_new_key()))
        key = self._key()
        try:
            text = self.file.read_text(encoding="utf-8")
            fits = x509.load_pem_x509_certificate(text.encode()).public_key() == key.public_key()
        except (OSError, ValueError):
            fits = False
        if not fits:
            text = self._signed_by(key, datetime.now(UTC))
            write_private(self.file, text)
        return text

    def renew(self, now: datetime) -> str:
        """Sign the authority's certificate again with its present key, and return it in PEM.

        Clients that trust the earlier one trust all certificates as before.

        Parameters:
            now: the current time, with its zone.

        Raises:
            CertificateError: when the key cannot be read.

        """
        text = self._signed_by(self._key(), now)
        write_private(self.file, text)
        return text

    def damage(self) -> str | None:
        """Return the problem of the key, with a remedy; None without a problem or without a key."""
        if not (self.file.exists() or self._key_file.exists()):
            return None
        try:
            self._key()
        except CertificateError as error:
            return error.message
        return None

    def _key(self) -> ec.EllipticCurvePrivateKey:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        try:
            key = serialization.load_pem_private_key(self._key_file.read_bytes(), password=None)
        except (OSError, ValueError, TypeError) as error:
            key, reason = None, getattr(error, "strerror", None) or "it is empty or damaged"
        else:
            reason = "it has another type"
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise CertificateError(
                f"{str(self._key_file)!r}, the private key of the workspace's authority, cannot be used: {reason}.\n"
                f"Remove {self._files()}: the workspace then creates another authority, which clients have to trust."
            )
        return key

    def _files(self) -> str:
        return " and ".join(repr(str(path)) for path in (self._key_file, self.file))

    def issue(self, hosts: Iterable[str], now: datetime) -> Pair:
        """Return a new certificate with a new key, valid for ninety days.

        Parameters:
            hosts: its host names and IP addresses, the one for its subject first.
            now: the current time, with its zone.

        Raises:
            CertificateError: when the authority's key cannot be read.

        """
        from cryptography import x509
        from cryptography.x509.oid import ExtendedKeyUsageOID

        authority = x509.load_pem_x509_certificate(self.certificate().encode())
        signer = self._key()
        hosts = list(hosts)
        key = _new_key()
        end = min(now + timedelta(days=LEAF_DAYS), authority.not_valid_after_utc)
        builder = (
            _builder(_name(hosts[0]), authority.subject, key.public_key(), now, end)
            .add_extension(x509.SubjectAlternativeName([_general_name(host) for host in hosts]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()),
                critical=False,
            )
        )
        return Pair(_signed(builder, signer), _private_pem(key), tuple(hosts))

    def _signed_by(self, key: ec.EllipticCurvePrivateKey, now: datetime) -> str:
        """Return a certificate of the authority, signed by its own key."""
        from cryptography import x509

        name = _name(f"mljupyter workspace {self._workspace}"[:64])
        builder = (
            _builder(name, name, key.public_key(), now, now + timedelta(days=_AUTHORITY_DAYS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.KeyUsage(
                    digital_signature=False,
                    content_commitment=False,
                    key_encipherment=False,
                    data_encipherment=False,
                    key_agreement=False,
                    key_cert_sign=True,
                    crl_sign=True,
                    encipher_only=False,
                    decipher_only=False,
                ),
                critical=True,
            )
        )
        return _signed(builder, key)


def _new_key() -> ec.EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, end: datetime
) -> x509.CertificateBuilder:
    from cryptography import x509

    builder = x509.CertificateBuilder(issuer, subject, key, x509.random_serial_number())
    return builder.not_valid_before(now - _BEFORE).not_valid_after(end)


def _signed(builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> str:
    from cryptography.hazmat.primitives import hashes, serialization

    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def _private_pem(key: ec.EllipticCurvePrivateKey) -> str:
    from cryptography.hazmat.primitives import serialization

    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def _name(text: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _general_name(host: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)
