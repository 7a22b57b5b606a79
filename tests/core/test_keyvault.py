"""Secrets of a workspace: in the keyring, or in a private file; never in texts."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import keyring
import keyring.backend
import keyring.errors
import pytest

from mljupyter.core import Keyvault, Workspace
from mljupyter.core.authentication import (
    ArmTokenAuthentication,
    AzureCliAuthentication,
    InteractiveLoginAuthentication,
    MsiAuthentication,
    ServicePrincipalAuthentication,
    TokenAuthentication,
    _say_once,
)
from mljupyter.exceptions import AuthenticationException, UserErrorException


class Ring(keyring.backend.KeyringBackend):
    """A keyring of this process, as a desktop has one."""

    priority = -1  # keyring itself must not choose it

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}
        self.locked = False

    def get_password(self, service: str, username: str) -> str | None:
        self._check()
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._check()
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        self._check()
        del self.kept[service, username]

    def _check(self) -> None:
        if self.locked:
            raise keyring.errors.KeyringLocked("locked")


@pytest.fixture
def ring() -> Iterator[Ring]:
    before = keyring.get_keyring()
    ring = Ring()
    ring.priority = 1
    keyring.set_keyring(ring)
    yield ring
    keyring.set_keyring(before)


@pytest.fixture
def no_ring() -> Iterator[None]:
    from keyring.backends import fail

    before = keyring.get_keyring()
    keyring.set_keyring(fail.Keyring())
    yield
    keyring.set_keyring(before)


def file_of(workspace: Workspace) -> Path:
    return workspace.directory / "keyvault" / "keyvault.json"


def test_secrets_are_set_changed_listed_and_deleted(workspace: Workspace, no_ring: None) -> None:
    keyvault = workspace.get_default_keyvault()
    keyvault.set_secret(name="db-password", value="geheim")
    keyvault.set_secrets({"token": "one", "other": "two"})
    keyvault.set_secret("token", "three")
    assert keyvault.get_secret(name="db-password") == "geheim"
    assert Keyvault(workspace).get_secrets(secrets=["token", "other"]) == {"token": "three", "other": "two"}
    keyvault.delete_secret("other")
    keyvault.delete_secrets(["token", "nowhere"])
    assert keyvault.list_secrets() == [{"name": "db-password"}]


def test_one_that_is_missing_is_none_and_is_said(
    workspace: Workspace, no_ring: None, capsys: pytest.CaptureFixture[str]
) -> None:
    keyvault = workspace.get_default_keyvault()
    keyvault.set_secret("there", "geheim")
    assert keyvault.get_secrets(["there", "nowhere"]) == {"there": "geheim", "nowhere": None}
    said = capsys.readouterr().err
    assert "SecretNotFound: 'nowhere'" in said and "geheim" not in said


def test_without_a_keyring_they_are_in_a_file_of_this_user(
    workspace: Workspace, no_ring: None, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace.get_default_keyvault().set_secret("token", "geheim")
    assert stat.S_IMODE(file_of(workspace).stat().st_mode) == 0o600
    assert stat.S_IMODE(file_of(workspace).parent.stat().st_mode) == 0o700
    assert str(file_of(workspace)) in capsys.readouterr().err


def test_with_a_keyring_the_file_has_names_only(workspace: Workspace, ring: Ring) -> None:
    keyvault = workspace.get_default_keyvault()
    keyvault.set_secret("token", "geheim")
    assert [*ring.kept.values()] == ["geheim"] and "geheim" not in file_of(workspace).read_text()
    assert keyvault.get_secret("token") == "geheim"
    keyvault.delete_secret("token")
    assert ring.kept == {} and keyvault.list_secrets() == []


def test_a_keyring_that_is_locked_or_lost_says_so(workspace: Workspace, ring: Ring) -> None:
    keyvault = workspace.get_default_keyvault()
    keyvault.set_secret("token", "geheim")
    ring.locked = True
    with pytest.raises(UserErrorException, match="Unlock it"):
        keyvault.get_secret("token")
    keyvault.set_secret("other", "in the file")
    assert keyvault.get_secret("other") == "in the file"
    ring.locked = False
    ring.kept.clear()
    with pytest.raises(UserErrorException, match="Set it again"):
        keyvault.get_secret("token")


@pytest.mark.parametrize("name", ["", "a b", "a_b", "x" * 128, 5, None])
def test_a_name_against_the_rule_is_refused(workspace: Workspace, name: object) -> None:
    with pytest.raises(UserErrorException, match="Use 1 to 127") as caught:
        workspace.get_default_keyvault().set_secret(name, "geheim")  # type: ignore[arg-type]
    assert "geheim" not in str(caught.value)


def test_no_text_shows_a_secret(workspace: Workspace, no_ring: None) -> None:
    keyvault = workspace.get_default_keyvault()
    keyvault.set_secret("token", "geheim")
    with pytest.raises(UserErrorException) as caught:
        keyvault.set_secret("token", b"geheim")  # type: ignore[arg-type]
    assert "geheim" not in f"{keyvault!r}{keyvault.__dict__!r}{caught.value}{workspace.get_details()}"


def test_a_damaged_file_is_named(workspace: Workspace, no_ring: None) -> None:
    keyvault = workspace.get_default_keyvault()
    keyvault.set_secret("token", "geheim")
    file_of(workspace).write_text("{")
    with pytest.raises(UserErrorException, match=r"keyvault\.json is damaged"):
        keyvault.get_secret("token")


class TestAuthentication:
    def test_every_class_is_accepted_and_said_once(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        _say_once.cache_clear()
        given = [
            InteractiveLoginAuthentication(force=True, tenant_id="tenant"),
            ServicePrincipalAuthentication("tenant", "principal", service_principal_password="geheim"),
            MsiAuthentication(),
            ArmTokenAuthentication("geheim"),
            AzureCliAuthentication(),
            TokenAuthentication(lambda audience: "geheim"),
        ]
        assert capsys.readouterr().out.count("Authentication has no effect") == 1
        for auth in given:
            Workspace.create("churn-team", auth=auth, exist_ok=True)
            assert "geheim" not in f"{auth!r}{auth.__dict__!r}"
        assert Workspace.get("churn-team", auth=given[0]).name == "churn-team"

    def test_a_header_is_refused_with_the_way_to_a_service(self) -> None:
        with pytest.raises(AuthenticationException, match=r"service\.get_keys"):
            AzureCliAuthentication().get_authentication_header()
