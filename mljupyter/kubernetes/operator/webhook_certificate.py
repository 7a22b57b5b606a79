"""The certificate of the operators' webhook, and the authority that signs it: their Secret, and when they are renewed.

The API server trusts the authority for this webhook alone, so it is not the one that signs the routers' certificates.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

from mljupyter.client.errors import CertificateError
from mljupyter.controller.layout import private_directory
from mljupyter.controller.tls.authority import LEAF_DAYS, Authority
from mljupyter.controller.tls.certificates import WARNED_BEFORE, checked
from mljupyter.controller.tls.private_files import write_private
from mljupyter.kubernetes.objects import names

_AUTHORITY, _AUTHORITY_KEY = "authority.pem", "authority.key"
_CERTIFICATE, _KEY = "tls.crt", "tls.key"
_AUTHORITY_LASTS = timedelta(days=LEAF_DAYS) + WARNED_BEFORE
"""An authority that ends sooner would shorten the certificates that it signs."""


@dataclass(frozen=True)
class WebhookCertificate:
    """A certificate with its key, and the authority that has signed it, all in PEM."""

    authority: str
    authority_key: str = field(repr=False)
    certificate: str
    key: str = field(repr=False)

    @classmethod
    def of(cls, secret: Mapping[str, Any]) -> Self | None:
        """Return the content of a Secret; None when it has none that can be read."""
        data = secret.get("data") or {}
        try:
            found = [base64.b64decode(data[name]).decode() for name in (_AUTHORITY, _AUTHORITY_KEY, _CERTIFICATE, _KEY)]
        except (LookupError, ValueError, TypeError):
            return None
        return cls(*found)

    def secret(self, namespace: str) -> dict[str, Any]:
        """Return the Secret with this content."""
        texts = {
            _AUTHORITY: self.authority,
            _AUTHORITY_KEY: self.authority_key,
            _CERTIFICATE: self.certificate,
            _KEY: self.key,
        }
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": names.WEBHOOK,
                "namespace": namespace,
                "labels": names.labels(names.COMPONENT_OPERATOR),
            },
            "type": "Opaque",
            "data": {name: base64.b64encode(text.encode()).decode() for name, text in texts.items()},
        }


def server_name(namespace: str) -> str:
    """Return the host name that the API server expects in the certificate.

    Example:
        >>> server_name("team-a")
        'mljupyter-webhook.team-a.svc'

    """
    return f"{names.WEBHOOK}.{namespace}.svc"


def renewed(present: WebhookCertificate | None, directory: Path, namespace: str, now: datetime) -> WebhookCertificate:
    """Return the certificate to use from now on: the present one, or a new one where that ends soon or is damaged.

    An authority that ends soon is signed again by its own key, so that the API server trusts the certificates in use.

    Parameters:
        present: the present certificate; None when there is none.
        directory: for the files of the authority. It is created, and only its owner may enter.
        namespace: the namespace of the operator.
        now: the current time, with its zone.

    Raises:
        StorageError: when the files cannot be written.

    """
    private_directory(directory, "")
    authority = _authority(present, directory, namespace, now)
    signed_by = authority.certificate()
    if present is not None and _lasts(present, signed_by, namespace, now):
        pair = (present.certificate, present.key)
    else:
        # The short name is that of its subject, which may have 64 characters.
        issued = authority.issue([names.WEBHOOK, server_name(namespace)], now)
        pair = (issued.certificate, issued.key)
    return WebhookCertificate(signed_by, (directory / _AUTHORITY_KEY).read_text(encoding="utf-8"), *pair)


def _authority(present: WebhookCertificate | None, directory: Path, namespace: str, now: datetime) -> Authority:
    """Return the present authority, with a certificate that lasts; another one when its key is damaged."""
    from cryptography import x509

    authority = Authority(directory, f"webhook {namespace}")
    texts = {_AUTHORITY: present.authority, _AUTHORITY_KEY: present.authority_key} if present is not None else {}
    for name in (_AUTHORITY, _AUTHORITY_KEY):
        path = directory / name
        if name not in texts:
            path.unlink(missing_ok=True)
        elif not path.exists() or path.read_text(encoding="utf-8") != texts[name]:
            write_private(path, texts[name])
    try:
        text = authority.certificate()
        if x509.load_pem_x509_certificate(text.encode()).not_valid_after_utc - now < _AUTHORITY_LASTS:
            authority.renew(now)
    except CertificateError:
        for name in (_AUTHORITY, _AUTHORITY_KEY):
            (directory / name).unlink(missing_ok=True)
    return authority


def _lasts(present: WebhookCertificate, authority: str, namespace: str, now: datetime) -> bool:
    """Return whether a certificate can be used for a while: its key, its host name, its end, and its authority."""
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature

    try:
        status = checked(present.certificate, present.key, server_name(namespace), now)
        leaf = x509.load_pem_x509_certificate(present.certificate.encode())
        leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.encode()))
    except (CertificateError, InvalidSignature, ValueError, TypeError):
        return False
    return status.not_after - now > WARNED_BEFORE
