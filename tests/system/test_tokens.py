"""Tokens end to end: issued by the controller, verified by the real router."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from mljupyter.client.errors import KeysNotAvailableError, TokensNotAvailableError
from mljupyter.spec import Authentication, EndpointRecord
from tests.holding import files_holding
from tests.load import Load
from tests.system.conftest import Machine
from tests.waiting import promised, wait_until

pytestmark = pytest.mark.system
SHARES_MACHINE = True
TOKEN = Authentication.TOKEN


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def post(record: EndpointRecord, token: str | None = None, client: Any = httpx) -> httpx.Response:
    answer = client.post(str(record.status.scoring_uri), content=b"[1]", headers=bearer(token) if token else {})
    assert isinstance(answer, httpx.Response)
    return answer


def signing_key(machine: Machine) -> tuple[ECKey, str]:
    """Return the private key and the issuer, which only the owner of the workspace can read."""
    return key_in((machine.directory / "control" / "token-keys.json").read_text())


def key_in(text: str) -> tuple[ECKey, str]:
    """Return the private key and the issuer in the file of the keys."""
    document = json.loads(text)
    return ECKey.import_key(document["keys"][0]["jwk"]), document["issuer"]


def confused(token: str, key: ECKey) -> str:
    """Return a token that is signed with the public key as if that were a secret both sides know."""
    header = base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "kid": key.kid}).encode()).rstrip(b"=")
    signed = header + b"." + token.split(".")[1].encode()
    digest = hmac.new(key.as_pem(private=False), signed, hashlib.sha256).digest()
    return (signed + b"." + base64.urlsafe_b64encode(digest).rstrip(b"=")).decode()


def forged(key: Any, issuer: str, **claims: Any) -> str:
    now = int(time.time())
    header = {"alg": "ES256", "kid": key.kid}
    good = {"iss": issuer, "aud": "echo", "iat": now, "exp": now + 600}
    return jwt.encode(header, {name: value for name, value in {**good, **claims}.items() if value is not None}, key)


def forged_tokens(token: str, key: ECKey, issuer: str, **claims: Any) -> dict[str, str | None]:
    """Return credentials that no endpoint takes.

    Parameters:
        token: a good token.
        key: the private key that has signed it.
        issuer: its issuer.
        claims: the claims of a good one, if the endpoint is not ``echo``.

    """
    stranger = ECKey.generate_key("P-256", {"kid": key.kid}, private=True)
    now = int(time.time())
    return {
        "nothing": None,
        "no token": "abcdefgh",
        "signature cut off": ".".join([*forged(key, issuer, **claims).split(".")[:2], ""]),
        "alg none": "eyJhbGciOiJub25lIn0." + token.split(".")[1] + ".",
        "symmetric with the public key": confused(token, key),
        "wrong key": forged(stranger, issuer, **claims),
        "unknown key": forged(ECKey.generate_key("P-256", {"kid": "other"}, private=True), issuer, **claims),
        "expired": forged(key, issuer, **claims, exp=now - 60),
        "without an end": forged(key, issuer, **claims, exp=None),
        "not yet valid": forged(key, issuer, **claims, nbf=now + 600),
        "another issuer": forged(key, "mljupyter:other", **claims),
    }


@pytest.mark.faults(16, "tokens of another endpoint, key, time, algorithm")
def test_a_token_opens_its_endpoint_and_no_other_and_nothing_else_does(machine: Machine) -> None:
    record = machine.healthy(machine.spec(authentication=TOKEN))
    other = machine.healthy(machine.spec("other", authentication=TOKEN))
    token = machine.client.token("echo")["token"]
    assert post(record, token).status_code == 200
    assert token not in post(record, token).text
    refused = forged_tokens(token, *signing_key(machine))
    for case, bad in refused.items():
        answer = post(record, bad)
        assert (answer.status_code, answer.json()["code"]) == (401, "Unauthorized"), case
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert bad is None or bad not in answer.text
    elsewhere = post(other, token)
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (403, "Forbidden")
    in_query = httpx.post(f"{record.status.scoring_uri}?access_token={token}", content=b"[1]")
    assert in_query.status_code == 401


@pytest.mark.alone
def test_a_rotated_key_signs_new_tokens_and_old_ones_last_until_they_are_revoked(machine: Machine) -> None:
    record = machine.healthy(machine.spec(authentication=TOKEN, limits={"maxConcurrentRequests": 3}))
    before = machine.client.token("echo")["token"]
    with httpx.Client() as kept, Load(str(record.status.scoring_uri), before, clients=2) as load:
        assert post(record, before, kept).status_code == 200
        assert len(machine.client.rotate_token_keys()) == 2
        after = machine.client.token("echo")["token"]
        assert [post(record, token, kept).status_code for token in (before, after)] == [200, 200]
        wait_until(lambda: load.sent > 0, what="requests of the load are answered")
    assert load.failed == 0, (load.results, load.refusals)
    with httpx.Client() as kept:
        assert post(record, before, kept).status_code == 200
        began = time.monotonic()
        assert len(machine.client.rotate_token_keys(revoke=True)) == 1
        assert post(record, before, kept).status_code == 401
        assert time.monotonic() - began < promised(1.0)
        assert post(record, after, kept).status_code == 401
        assert post(record, machine.client.token("echo")["token"], kept).status_code == 200


def test_tokens_outlive_the_controller(machine: Machine) -> None:
    record = machine.healthy(machine.spec(authentication=TOKEN))
    token = machine.client.token("echo")["token"]
    machine.client.stop()
    assert post(record, token).status_code == 200
    assert post(record, machine.client.token("echo")["token"]).status_code == 200
    assert post(record, token).status_code == 200


def test_the_router_has_no_secret_that_signs_and_the_key_is_its_owners_alone(machine: Machine) -> None:
    machine.healthy(machine.spec(authentication=TOKEN))
    secret = signing_key(machine)[0].as_dict(private=True)["d"]
    keys = machine.directory / "control" / "token-keys.json"
    assert keys.stat().st_mode & 0o777 == 0o600
    assert files_holding(machine.directory / "control", secret.encode()) == [keys]
    assert b"ES256" in (machine.directory / "control" / "router" / "ecds-mljupyter.tokens.json").read_bytes()


def test_switching_between_keys_and_tokens_disables_the_former(machine: Machine) -> None:
    spec = machine.spec(authentication=Authentication.KEY)
    record = machine.healthy(spec)
    key = machine.client.keys("echo")[0]
    with pytest.raises(TokensNotAvailableError, match="token_auth_enabled=True"):
        machine.client.token("echo")
    machine.settle(machine.client.replace(spec.model_copy(update={"authentication": TOKEN})))
    assert post(record, key).status_code == 401
    assert post(record, machine.client.token("echo")["token"]).status_code == 200
    with pytest.raises(KeysNotAvailableError):
        machine.client.keys("echo")


def test_the_lifetime_of_a_token_follows_the_setting(machine: Machine) -> None:
    machine.healthy(machine.spec(authentication=TOKEN))
    router = machine.client.router()
    machine.client.put_router(router.spec.model_copy(update={"token_seconds": 100}))
    token = machine.client.token("echo")
    assert token["expires"] - token["refreshAfter"] == 20
    assert 90 < token["expires"] - time.time() <= 100
