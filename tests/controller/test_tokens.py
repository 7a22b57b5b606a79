"""The keys that sign tokens: kept, rotated with overlap, forgotten in time."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from joserfc import jwt
from joserfc.errors import BadSignatureError, InvalidKeyIdError
from joserfc.jwk import ECKey, KeySet

from mljupyter.controller.tls.tokens import TokenKeys

NOW = int(time.time())


def verified(keys: TokenKeys, text: str) -> dict[str, object]:
    known = KeySet([ECKey.import_key(dict(key)) for key in keys.verification.public_keys])
    return jwt.decode(text, known).claims


def test_a_token_says_for_whom_where_and_how_long(tmp_path: Path) -> None:
    keys = TokenKeys(tmp_path / "keys.json")
    token = keys.issue("diabetes", "ana", NOW, 1000)
    claims = verified(keys, token.text)
    assert {claims["aud"], claims["sub"], claims["iss"]} == {"diabetes", "ana", keys.verification.issuer}
    assert (claims["exp"], claims["nbf"], token.refresh_after) == (NOW + 1000, NOW - 2 * 24 * 3600, NOW + 800)
    assert token.text not in repr(token)


def test_what_is_published_cannot_sign(tmp_path: Path) -> None:
    keys = TokenKeys(tmp_path / "keys.json")
    keys.ensure()
    assert not any("d" in key for key in keys.verification.public_keys)
    assert (tmp_path / "keys.json").stat().st_mode & 0o777 == 0o600


def test_another_process_signs_with_the_same_key(tmp_path: Path) -> None:
    first = TokenKeys(tmp_path / "keys.json")
    first.ensure()
    second = TokenKeys(tmp_path / "keys.json")
    assert verified(first, second.issue("a", "b", NOW, 60).text)["aud"] == "a"
    assert not second.ensure()


def test_an_old_key_counts_until_its_last_token_has_ended(tmp_path: Path) -> None:
    keys = TokenKeys(tmp_path / "keys.json")
    old = keys.issue("a", "b", NOW, 1000).text
    keys.rotate(NOW, 1000)
    assert verified(keys, old)["aud"] == "a"
    assert verified(keys, keys.issue("a", "b", NOW, 1000).text)["aud"] == "a"
    assert len(keys.names) == 2
    keys.rotate(NOW + 10, 1000)
    assert not keys.forget_old(NOW + 1000)
    assert keys.forget_old(NOW + 1065)  # the first one; the second has ten seconds more
    assert len(keys.names) == 2
    assert keys.forget_old(NOW + 1075)
    with pytest.raises((BadSignatureError, InvalidKeyIdError, ValueError)):
        verified(keys, old)


def test_revoking_forgets_all_keys_at_once(tmp_path: Path) -> None:
    keys = TokenKeys(tmp_path / "keys.json")
    before = keys.issue("a", "b", NOW, 1000).text
    keys.rotate(NOW, 1000, revoke=True)
    assert len(keys.names) == 1
    with pytest.raises((BadSignatureError, InvalidKeyIdError, ValueError)):
        verified(keys, before)
