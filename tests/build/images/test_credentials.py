"""Credentials of container registries: those given, and those of Docker's configuration."""

from __future__ import annotations

import base64
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from mljupyter.build.images import ImageError, RegistryCredentials, RegistryCredentialsError
from mljupyter.build.images.docker.engine import auth_config
from mljupyter.build.images.registry.credentials import find_credentials
from mljupyter.build.images.registry.references import DOCKER_HUB
from mljupyter.build.images.registry.registry_client import RegistryClient
from tests.security.registries import Answer, FakeRegistry, Got, running

HOST = "registry.example.com:5000"
ADA = ("ada", "s3cret")
# Speaks the protocol of Docker's credential helpers: `get` with the server on standard input, JSON on standard output.
HELPER = f"""#!{sys.executable}
import json, sys
server = sys.stdin.read().strip()
with open(__file__ + ".asked", "a") as file:
    print(sys.argv[1], server, file=file)
known = json.load(open(__file__ + ".json"))
if server not in known:
    sys.exit(print("credentials not found in native keychain") or 1)
username, secret = known[server]
print(json.dumps({{"ServerURL": server, "Username": username, "Secret": secret}}))
"""


def configure(monkeypatch: pytest.MonkeyPatch, directory: Path, document: Any) -> None:
    directory.mkdir(exist_ok=True)
    (directory / "config.json").write_text(document if isinstance(document, str) else json.dumps(document))
    monkeypatch.setenv("DOCKER_CONFIG", str(directory))


def as_text(username: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{username}:{password}".encode()).decode()}


def install_helper(monkeypatch: pytest.MonkeyPatch, directory: Path, known: dict[str, tuple[str, str]]) -> Path:
    directory.mkdir()
    program = directory / "docker-credential-fake"
    program.write_text(HELPER)
    program.chmod(0o755)
    Path(f"{program}.json").write_text(json.dumps(known))
    monkeypatch.setenv("PATH", str(directory), prepend=os.pathsep)
    return Path(f"{program}.asked")


def found(host: str = HOST, *known: RegistryCredentials) -> tuple[str, str] | None:
    credentials = find_credentials(host, known)
    return None if credentials is None else (credentials.username, credentials.password)


@pytest.fixture(params=["with the Docker SDK", "without the Docker SDK"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "without the Docker SDK":
        without_sdk(monkeypatch)
    return str(request.param)


def without_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("docker", "docker.auth"):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.mark.parametrize("key", [HOST, f"https://{HOST}", f"https://{HOST}/v2/"])
def test_a_password_that_docker_login_stored_as_text_is_found(
    key: str, either: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    configure(monkeypatch, tmp_path, {"auths": {key: as_text(*ADA), "other.example.com": as_text("bob", "x")}})
    assert found() == ADA


@pytest.mark.parametrize("host", [DOCKER_HUB, "docker.io", "index.docker.io"])
def test_docker_hub_is_found_under_the_name_that_docker_login_stores(
    host: str, either: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    configure(monkeypatch, tmp_path, {"auths": {"https://index.docker.io/v1/": as_text(*ADA)}})
    assert found(host) == ADA
    assert found(host, RegistryCredentials("docker.io", "bob", "given")) == ("bob", "given")


def test_credentials_that_are_given_come_before_those_of_docker(
    either: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    configure(monkeypatch, tmp_path, {"auths": {HOST: as_text(*ADA)}})
    assert found(HOST, RegistryCredentials(f"https://{HOST}/team", "bob", "given")) == ("bob", "given")


def test_another_registry_gets_no_credentials(either: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    configure(monkeypatch, tmp_path, {"auths": {HOST: as_text(*ADA)}})
    for other in ("registry.example.com", "registry.example.com:5001", f"{HOST}.evil.org", f"a.{HOST}", DOCKER_HUB):
        assert found(other) is None


@pytest.mark.parametrize("setting", [{"credHelpers": {HOST: "fake"}}, {"credsStore": "fake"}])
def test_a_credential_helper_is_asked_for_the_registry_alone(
    setting: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = install_helper(monkeypatch, tmp_path / "bin", {HOST: ADA, "other.example.com": ("bob", "x")})
    configure(monkeypatch, tmp_path, {"auths": {HOST: {}}, **setting})
    assert found() == ADA
    assert auth_config(HOST, ()) == {"username": "ada", "password": "s3cret"}
    assert set(asked.read_text().splitlines()) == {f"get {HOST}"}


def test_a_registry_that_a_helper_does_not_know_is_looked_up_in_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install_helper(monkeypatch, tmp_path / "bin", {})
    configure(monkeypatch, tmp_path, {"credsStore": "fake", "auths": {HOST: as_text(*ADA)}})
    assert found() == ADA
    assert found("other.example.com") is None


def test_docker_hub_is_looked_up_with_a_helper_by_its_url(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install_helper(monkeypatch, tmp_path / "bin", {"https://index.docker.io/v1/": ADA})
    configure(monkeypatch, tmp_path, {"credsStore": "fake"})
    assert found(DOCKER_HUB) == ADA


def test_an_identity_token_is_found_and_passed_to_the_engine_as_one(
    either: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    entry = {**as_text("00000000-0000-0000-0000-000000000000", ""), "identitytoken": "refresh"}
    configure(monkeypatch, tmp_path, {"auths": {HOST: entry}})
    credentials = find_credentials(HOST)
    assert credentials is not None
    assert credentials.is_token
    assert "refresh" not in repr(credentials)
    assert auth_config(HOST, ()) == {"identitytoken": "refresh"}


def test_a_helper_that_is_not_on_the_path_is_named_and_the_file_is_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    configure(monkeypatch, tmp_path, {"credsStore": "missing", "auths": {HOST: as_text(*ADA)}})
    assert found() == ADA
    assert found("public.example.com") is None
    assert all("docker-credential-missing, which is not on PATH" in line for line in caplog.messages)
    assert len(caplog.messages) == 2
    assert not recwarn.list


def test_a_helper_that_fails_is_logged_and_the_registry_is_asked_without_credentials(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    install_helper(monkeypatch, tmp_path / "bin", {})
    (tmp_path / "bin" / "docker-credential-fake").write_text("#!/bin/sh\necho 'the keychain is locked'\nexit 3\n")
    configure(monkeypatch, tmp_path, {"credsStore": "fake"})
    assert found() is None
    (line,) = caplog.messages
    assert HOST in line
    assert "keychain is locked" in line


def test_without_the_docker_sdk_a_helper_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    without_sdk(monkeypatch)
    install_helper(monkeypatch, tmp_path / "bin", {HOST: ADA})
    configure(monkeypatch, tmp_path, {"credHelpers": {HOST: "fake"}, "auths": {"b.example.com": as_text("bob", "x")}})
    assert found("b.example.com") == ("bob", "x")
    assert caplog.messages == []
    assert found() is None
    assert "pip install 'mljupyter[docker]'" in caplog.text


@pytest.mark.parametrize(
    "document",
    ["", "{", "[]", "7", '{"auths": 7}', '{"auths": []}', f'{{"auths": {{"{HOST}": {{"auth": "?"}}}}}}',
     f'{{"auths": {{"{HOST}": {{"auth": 7}}}}}}', f'{{"auths": {{"{HOST}": 7}}}}', '{"credHelpers": [7]}',
     '{"auths": {"' + HOST + '": {"auth": "' + base64.b64encode(b"no colon").decode() + '"}}}', '{"credsStore": 7}'],
)  # fmt: skip
def test_a_configuration_that_cannot_be_read_gives_no_credentials(
    document: str, either: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    configure(monkeypatch, tmp_path, document)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert found() is None


def test_credentials_need_all_three_parts() -> None:
    with pytest.raises(ImageError, match="lack username and password"):
        RegistryCredentials(HOST, "", "")


def test_an_identity_token_is_exchanged_for_an_access_token_and_goes_nowhere_else() -> None:
    def manifest(got: Got) -> Answer:
        challenge = f'Bearer realm="http://{registry.host}/token",service="r",scope="repository:team/a:pull"'
        if got.authorization != "Bearer access":
            return Answer(401, b"", {"WWW-Authenticate": challenge})
        return Answer(200, b"{}", {"Content-Type": "application/vnd.oci.image.manifest.v1+json"})

    with running(FakeRegistry()) as registry:
        registry.answers["GET", "/v2/team/a/manifests/1"] = manifest
        registry.answers["POST", "/token"] = Answer(200, b'{"access_token": "access"}')
        token = RegistryCredentials(registry.host, "<token>", "refresh")
        with RegistryClient(registry.host, "team/a", token) as client:
            assert client.manifest("1").json() == {}
        (asked,) = [got for got in registry.got if got.method == "POST"]
        assert parse_qs(asked.body.decode()) == {
            "grant_type": ["refresh_token"], "refresh_token": ["refresh"], "client_id": ["mljupyter"],
            "service": ["r"], "scope": ["repository:team/a:pull"],
        }  # fmt: skip
        assert registry.authorizations() == {None, "Bearer access"}

        registry.answers["POST", "/token"] = Answer(401)
        with (
            RegistryClient(registry.host, "team/a", token) as client,
            pytest.raises(RegistryCredentialsError) as caught,
        ):
            client.manifest("1")
    assert f"docker login {registry.host}" in str(caught.value)
    assert "refresh" not in str(caught.value)
