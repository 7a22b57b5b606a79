"""Encryption of an archive's secrets with a passphrase: scrypt for the key, AES-256-GCM for the content."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from typing import Any

from mljupyter.outside import json_value
from mljupyter.transfer.errors import PassphraseError

LEAST_CHARACTERS = 10
COST, _BLOCK, _LANES = 1 << 16, 8, 1  # 64 MB of memory and a fifth of a second
_MOST_COST = 1 << 18


def encrypted(secrets: Mapping[str, Any], passphrase: str) -> bytes:
    """Return secrets as an encrypted document.

    Raises:
        PassphraseError: the passphrase is too short.

    """
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    check_passphrase(passphrase)
    salt, nonce = os.urandom(16), os.urandom(12)
    sealed = AESGCM(derived_key(passphrase, salt, COST)).encrypt(nonce, json.dumps(secrets).encode(), None)
    document = {"cipher": "scrypt-aes-256-gcm", "cost": COST, "salt": _text(salt), "nonce": _text(nonce)}
    return json.dumps({**document, "sealed": _text(sealed)}).encode()


def decrypted(content: bytes, passphrase: str) -> dict[str, Any]:
    """Return the secrets of an encrypted document.

    Raises:
        PassphraseError: the passphrase is wrong, or the document is damaged.

    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        document = json_value(content)
        cost = document["cost"]
        if document["cipher"] != "scrypt-aes-256-gcm" or type(cost) is not int or not 2 <= cost <= _MOST_COST:
            raise ValueError("unknown cipher")
        salt, nonce, sealed = (base64.b64decode(document[part], validate=True) for part in ("salt", "nonce", "sealed"))
        opened = AESGCM(derived_key(passphrase, salt, cost)).decrypt(nonce, sealed, None)
        secrets = json_value(opened)
    except (InvalidTag, KeyError, TypeError, ValueError) as error:
        raise PassphraseError(
            "The secrets of the archive cannot be decrypted: the passphrase is wrong, or they are damaged."
        ) from error
    if not isinstance(secrets, dict):
        raise PassphraseError("The secrets of the archive are damaged.")
    return secrets


def check_passphrase(passphrase: str) -> None:
    """Raise `PassphraseError` for a passphrase that is too short."""
    if len(passphrase) < LEAST_CHARACTERS:
        raise PassphraseError(
            f"The passphrase has {len(passphrase)} characters. Rule: at least {LEAST_CHARACTERS}, such as four words: "
            "everybody who gets the archive can try to guess it."
        )


def derived_key(passphrase: str, salt: bytes, cost: int) -> bytes:
    """Return the key of 32 bytes that scrypt derives from a passphrase."""
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    return Scrypt(salt=salt, length=32, n=cost, r=_BLOCK, p=_LANES).derive(passphrase.encode())


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
