"""Files of the controller that are empty, cut off or garbage: what can be made again is, what is lost is said."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mljupyter.client.errors import CertificateError, ControllerError, StorageError, TokensNotAvailableError
from mljupyter.controller.layout import Layout
from mljupyter.controller.router.files import FileWriter, unreadable
from mljupyter.controller.router.local_http import LocalHttp
from mljupyter.controller.router.resource_files import RouterSettings, router_files
from mljupyter.controller.storage.backup import backup_of, damage, restore
from mljupyter.controller.storage.store import Store
from mljupyter.controller.tls.authority import Authority
from mljupyter.controller.tls.certificate_manager import CertificateManager, LeafCertificate
from mljupyter.controller.tls.tokens import TokenKeys
from mljupyter.telemetry.metrics.store import Samples, TimeSeries

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def other_json(path: Path) -> None:
    path.write_text('{"version_info": "", "resources": 3, "issuer": 1, "keys": [{"jwk": {}}]}')


DAMAGE: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "garbage": lambda path: path.write_bytes(b"\xff\x00{" * 100),
    "cut off": cut,
    "other JSON": other_json,
    "deep": lambda path: path.write_text("[" * 200_000),
}
how = pytest.mark.parametrize("how", DAMAGE)


@how
def test_a_router_file_that_cannot_be_read_counts_as_not_written(tmp_path: Path, how: str) -> None:
    files = router_files(RouterSettings(tmp_path, tmp_path / "admin.sock", 8600), ())
    FileWriter(tmp_path, LocalHttp("unix:none", 1)).write_all(files)
    name = "rds-router.json"
    DAMAGE[how](tmp_path / name)
    assert unreadable(tmp_path) == [tmp_path / name]
    writer = FileWriter(tmp_path, LocalHttp("unix:none", 1))
    assert set(writer.written.documents) == set(files.documents) - {name}
    writer.write_all(files)
    assert not unreadable(tmp_path)
    assert set(FileWriter(tmp_path, LocalHttp("unix:none", 1)).written.documents) == set(files.documents)


@how
def test_a_router_file_that_is_damaged_or_removed_later_is_repaired(tmp_path: Path, how: str) -> None:
    files = router_files(RouterSettings(tmp_path, tmp_path / "admin.sock", 8600), ())
    writer = FileWriter(tmp_path, LocalHttp("unix:none", 1))
    writer.write_all(files)
    DAMAGE[how](tmp_path / "lds.json")
    (tmp_path / "cds.json").unlink()
    writer.repair()
    assert not unreadable(tmp_path)
    assert (tmp_path / "cds.json").exists()


@how
def test_token_keys_that_cannot_be_read_sign_nothing_until_a_new_key_is_asked_for(tmp_path: Path, how: str) -> None:
    path = tmp_path / "token-keys.json"
    TokenKeys(path).ensure()
    DAMAGE[how](path)
    left = path.read_bytes()
    keys = TokenKeys(path)
    assert keys.problem is not None
    assert "rotate-token-key" in keys.problem.message
    assert not keys.verification.public_keys
    for use in (keys.ensure, lambda: keys.issue("a", "b", 0, 60)):
        with pytest.raises(TokensNotAvailableError, match="rotate-token-key"):
            use()
    assert path.read_bytes() == left, "nothing is replaced without a word"
    keys.rotate(100.0, 60, revoke=True)
    assert keys.problem is None
    assert (tmp_path / "token-keys.json.damaged-100").read_bytes() == left
    assert TokenKeys(path).names == keys.names


@how
def test_a_lost_key_of_the_authority_is_said_and_nothing_is_replaced(tmp_path: Path, how: str) -> None:
    authority = Authority(tmp_path, "w")
    before = authority.certificate()
    assert authority.damage() is None
    DAMAGE[how](tmp_path / "authority.key")
    with pytest.raises(CertificateError, match="creates another authority"):
        authority.issue(["localhost"], NOW)
    assert "authority.key" in str(authority.damage())
    keeper = CertificateManager(tmp_path, authority)
    keeper.look({"": LeafCertificate(("localhost",))}, NOW)
    problem = keeper.problem("", NOW)
    assert problem is not None
    assert "creates another authority" in problem.message
    assert (tmp_path / "authority.pem").read_text() == before


@how
def test_a_certificate_of_the_authority_is_made_again_from_its_key(tmp_path: Path, how: str) -> None:
    from cryptography import x509

    authority = Authority(tmp_path, "w")
    before = x509.load_pem_x509_certificate(authority.certificate().encode())
    DAMAGE[how](tmp_path / "authority.pem")
    leaf = x509.load_pem_x509_certificate(authority.issue(["localhost"], datetime.now(UTC)).certificate.encode())
    leaf.verify_directly_issued_by(before)


@how
def test_a_certificate_in_use_that_cannot_be_read_is_signed_again(tmp_path: Path, how: str) -> None:
    wanted = {"": LeafCertificate(("localhost",))}
    CertificateManager(tmp_path, Authority(tmp_path, "w")).look(wanted, datetime.now(UTC))
    DAMAGE[how](tmp_path / "router.json")
    keeper = CertificateManager(tmp_path, Authority(tmp_path, "w"))
    keeper.look(wanted, datetime.now(UTC))
    assert keeper.pairs[""].hosts == ("localhost",)


def lose(database: Path, how: str) -> None:
    for name in ("controller.db", "controller.db-wal"):
        path = database.with_name(name)
        if how == "gone":
            path.unlink()
        else:
            path.write_bytes(b"\xff" * 5000 if how == "garbage" else path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("how", ["garbage", "cut off", "gone"])
def test_a_database_damaged_in_use_is_replaced_by_its_copy_if_that_has_all(tmp_path: Path, how: str) -> None:
    path = tmp_path / "controller.db"
    store = Store(path)
    store.put_setting("one", "1")
    store.keep_backup()
    lose(path, how)
    found = damage(path)
    assert found is not None
    aside = store.mend(found)
    assert aside is not None
    assert damage(path) is None
    assert store.setting("one") == "1"
    store.put_setting("two", "2")
    store.close()
    assert Store(path).setting("two") == "2"


def test_a_change_that_is_not_in_the_copy_yet_is_not_thrown_away_by_mending(tmp_path: Path) -> None:
    path = tmp_path / "controller.db"
    store = Store(path)
    store.keep_backup()
    store.put_setting("one", "1")
    assert store.mend("it is gone") is None
    assert store.problem is not None
    assert "mljupyter controller restore" in store.problem.message


def test_a_damaged_database_never_takes_the_place_of_a_good_copy(tmp_path: Path) -> None:
    path = tmp_path / "controller.db"
    store = Store(path)
    store.put_setting("one", "1")
    store.keep_backup()
    store.put_setting("two", "2")
    lose(path, "garbage")
    with contextlib.suppress(StorageError):  # it may know its pages by heart
        store.keep_backup()
    assert damage(backup_of(path)) is None


def test_a_copy_that_is_damaged_as_well_is_not_put_in_place(tmp_path: Path) -> None:
    layout = Layout.of(tmp_path)
    layout.control.mkdir()
    store = Store(layout.database)
    store.put_setting("one", "1")
    store.keep_backup()
    store.close()
    before = layout.database.read_bytes()
    backup_of(layout.database).write_bytes(b"\xff" * 5000)
    with pytest.raises(ControllerError, match="damaged as well"):
        restore(layout)
    assert layout.database.read_bytes() == before


def test_metrics_that_cannot_be_read_are_put_aside_and_begin_again(tmp_path: Path) -> None:
    path = tmp_path / "metrics.db"
    TimeSeries(path).close()
    path.write_bytes(b"\xff" * 5000)
    series = TimeSeries(path)
    series.write(Samples({}, progress={"a": "1"}))
    series.begin_again(OSError("damaged"))
    series.write(Samples({}, progress={"b": "2"}))
    assert series.progress() == {"b": "2"}
    assert path.with_name("metrics.db.unreadable").exists()
