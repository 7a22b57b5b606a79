"""Check certificates before the router gets them: complete, matching key, matching host, not expired."""

from __future__ import annotations

from datetime import datetime, timedelta

from mljupyter.client.errors import CertificateError
from mljupyter.spec import CertificateStatus, Problem

WARNED_BEFORE = timedelta(days=30)


def checked(certificate: str, key: str, host: str | None, now: datetime) -> CertificateStatus:
    """Return the status of a certificate chain after a check of the chain and its key.

    Parameters:
        certificate: the chain in PEM, the certificate itself first.
        key: its private key in PEM, without a passphrase.
        host: the host name that it must cover; None for any.
        now: the current time, with its zone.

    Raises:
        CertificateError: with the problem. The key is never shown.

    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization

    try:
        chain = x509.load_pem_x509_certificates(certificate.encode())
    except ValueError:
        raise CertificateError("the certificate is not in PEM, or incomplete.") from None
    try:
        private = serialization.load_pem_private_key(key.encode(), password=None)
    except TypeError:
        raise CertificateError(
            "the private key has a passphrase: give one without, in a file with mode 0600."
        ) from None
    except ValueError:
        raise CertificateError("the private key is not in PEM, or incomplete.") from None
    leaf = chain[0]
    if _spki(leaf.public_key()) != _spki(private.public_key()):
        raise CertificateError("certificate and private key do not match.")
    if leaf.not_valid_after_utc <= now:
        raise CertificateError(f"the certificate ended on {leaf.not_valid_after_utc:%Y-%m-%d %H:%M} UTC.")
    if leaf.not_valid_before_utc > now:
        raise CertificateError(f"the certificate begins on {leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC.")
    names = _names(leaf)
    if host is not None and not any(_covers(name, host) for name in names):
        raise CertificateError(f"the certificate is for {', '.join(names) or 'no host name'}, not for {host!r}.")
    return CertificateStatus(
        names=names,
        issuer=leaf.issuer.rfc4514_string(),
        not_before=leaf.not_valid_before_utc,
        not_after=leaf.not_valid_after_utc,
        fingerprint=leaf.fingerprint(hashes.SHA256()).hex(),
    )


def expiry_problem(status: CertificateStatus, now: datetime) -> Problem | None:
    """Return the problem of a certificate that expires within thirty days or has expired; None for all others."""
    if status.not_after - now > WARNED_BEFORE:
        return None
    names, day = ", ".join(status.names), f"{status.not_after:%Y-%m-%d %H:%M} UTC"
    if status.not_after <= now:
        return Problem(code="CertificateExpired", message=f"the certificate for {names} ended on {day}: renew it.")
    return Problem(code="CertificateExpires", message=f"the certificate for {names} ends on {day}: renew it.")


def _names(certificate: object) -> list[str]:
    from cryptography import x509

    assert isinstance(certificate, x509.Certificate)  # noqa: S101 - narrows the type
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [*found.get_values_for_type(x509.DNSName), *map(str, found.get_values_for_type(x509.IPAddress))]


def _covers(name: str, host: str) -> bool:
    """Return whether a name in a certificate, which may begin with ``*.``, matches a host (RFC 6125)."""
    name, host = name.lower(), host.lower()
    return name == host or (name.startswith("*.") and host.partition(".")[2] == name[2:])


def _spki(key: object) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    encoded: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]
    return encoded
