"""The controller's memory: what is written is there again, and a damaged file is told, never replaced."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mljupyter.client.errors import EndpointNotFoundError, StorageError
from mljupyter.controller.storage.database import STEPS
from mljupyter.controller.storage.history import MOST_ENTRIES, Change
from mljupyter.controller.storage.keys import Keys
from mljupyter.controller.storage.store import Store
from mljupyter.engine.rollout.canary import begin
from mljupyter.spec import EndpointSpec, EndpointState, EndpointStatus, RolloutPlan, VersionSpec

SPEC = EndpointSpec.parse(
    {
        "name": "iris",
        "defaultVersion": "iris",
        "versions": {"iris": {"code": {"digest": "sha256:" + "a" * 64, "entryScript": "score.py"}}},
    }
)


def test_what_is_written_is_there_after_reopening(tmp_path: Path) -> None:
    store = Store(tmp_path / "controller.db")
    store.put(SPEC, EndpointStatus(), Keys("first-key", "second-key"))
    store.put_status("iris", EndpointStatus(state=EndpointState.HEALTHY))
    store.put_setting("routerPort", "8600")
    before = store.get("iris")
    store.close()
    again = Store(tmp_path / "controller.db")
    assert again.get("iris") == before
    assert again.keys("iris") == Keys("first-key", "second-key")
    assert again.setting("routerPort") == "8600"


def test_each_change_raises_the_resource_version_and_a_new_spec_the_generation(tmp_path: Path) -> None:
    store = Store(tmp_path / "controller.db")
    first = store.put(SPEC, EndpointStatus(), None)
    store.put_status("iris", EndpointStatus(state=EndpointState.HEALTHY))
    second = store.get("iris")
    third = store.put(SPEC, second.status, None)
    assert (first.generation, second.generation, third.generation) == (1, 1, 2)
    assert first.resource_version < second.resource_version < third.resource_version
    assert third.created_time == first.created_time


def test_a_removed_endpoint_is_gone_with_its_revisions(tmp_path: Path) -> None:
    store = Store(tmp_path / "controller.db")
    store.put(SPEC, EndpointStatus(), None)
    store.keep_revision("iris", "iris", "r1", "local", SPEC.versions["iris"])
    assert store.revision("iris", "iris", "r1") == ("local", SPEC.versions["iris"])
    store.remove("iris")
    assert store.find("iris") is None
    assert store.revision("iris", "iris", "r1") is None
    with pytest.raises(EndpointNotFoundError, match="WebserviceNotFound"):
        store.get("iris")


def test_of_a_version_the_newest_serving_revision_is_kept(tmp_path: Path) -> None:
    store = Store(tmp_path / "controller.db")
    store.keep_revision("iris", "iris", "r1", "local", SPEC.versions["iris"])
    store.keep_revision("iris", "iris", "r2", "docker", SPEC.versions["iris"])
    assert store.revision("iris", "iris", "r1") is None
    assert store.revision("iris", "iris", "r2") == ("docker", SPEC.versions["iris"])


def test_the_file_is_the_owners_alone(tmp_path: Path) -> None:
    Store(tmp_path / "controller.db").put(SPEC, EndpointStatus(), Keys.make())
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.iterdir())


def test_a_damaged_file_is_told_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "controller.db"
    path.write_bytes(b"this is no database" * 100)
    with pytest.raises(StorageError, match="controller.db"):
        Store(path)
    assert path.read_bytes().startswith(b"this is no database")


def test_a_file_of_a_newer_release_is_told(tmp_path: Path) -> None:
    path = tmp_path / "controller.db"
    Store(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(StorageError, match="newer release"):
        Store(path)


def test_a_full_database_is_told_and_keeps_what_it_has(tmp_path: Path) -> None:
    store = Store(tmp_path / "controller.db")
    store.put(SPEC, EndpointStatus(), None)
    pages = store._database.rows("PRAGMA page_count")[0][0]
    store._database.rows(f"PRAGMA max_page_count = {pages}")
    big = SPEC.model_copy(update={"description": "x" * 200_000})
    with pytest.raises(StorageError, match=r"full.*Endpoints keep serving"):
        store.put(big, EndpointStatus(), None)
    assert store.get("iris").spec == SPEC


def test_the_history_is_bounded_and_written_with_the_spec(tmp_path: Path) -> None:
    store = Store(tmp_path / "controller.db")
    for number in range(MOST_ENTRIES + 5):
        store.put(SPEC.model_copy(update={"tags": {"n": str(number)}}), EndpointStatus(), None, Change("ada"))
    store.put(store.get("iris").spec, EndpointStatus(), None, Change("ada"))  # the same again is no change
    entries = store.history("iris")
    assert [entry.number for entry in entries] == list(range(6, MOST_ENTRIES + 6))
    assert (entries[-1].user, entries[-1].action, entries[-1].changes) == ("ada", "updated", ["tags.n: 103 → 104"])
    assert entries[-1].spec == store.get("iris").spec


def test_a_rollout_is_there_after_reopening_and_goes_with_its_endpoint(tmp_path: Path) -> None:
    store = Store(tmp_path / "controller.db")
    store.put(SPEC, EndpointStatus(), None)
    rollout = begin(RolloutPlan(version="iris", steps=[5, 100], every_seconds=60), datetime.now(UTC), "ada")
    before = store.get("iris").resource_version
    store.put_rollout("iris", rollout, "what was seen")
    store.close()
    again = Store(tmp_path / "controller.db")
    assert (again.get("iris").rollout, again.seen("iris")) == (rollout, "what was seen")
    assert again.get("iris").resource_version > before
    again.remove("iris")
    again.put(SPEC, EndpointStatus(), None)
    assert again.get("iris").rollout is None
    assert len(again.history("iris")) == 1


def test_endpoints_of_an_earlier_release_begin_their_history_with_what_they_are(tmp_path: Path) -> None:
    path = tmp_path / "controller.db"
    connection = sqlite3.connect(path)
    connection.executescript(STEPS[0] + "; PRAGMA user_version = 1;")
    connection.execute(
        "INSERT INTO endpoints VALUES ('iris', ?, ?, 1, 1, ?, ?, 0, NULL, NULL)",
        (SPEC.json_text(), EndpointStatus().json_text(), "2026-01-01T00:00:00+00:00", "2026-01-02T00:00:00+00:00"),
    )
    connection.commit()
    connection.close()
    (entry,) = Store(path).history("iris")
    assert (entry.number, entry.action, entry.spec) == (1, "recorded", SPEC)


@pytest.mark.parametrize(("fields", "number"), [({}, 3), ({"placement": {"namespace": "team"}}, 4)])
def test_a_file_gets_the_number_of_the_format_that_its_documents_need(
    tmp_path: Path, fields: dict[str, object], number: int
) -> None:
    store = Store(tmp_path / "controller.db")
    version = VersionSpec.parse({**SPEC.versions["iris"].document(), **fields})
    store.put(SPEC.model_copy(update={"versions": {"iris": version}}), EndpointStatus(), None)
    store.put_setting("another", "{}")
    store.close()
    with closing(sqlite3.connect(tmp_path / "controller.db")) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (number,)
    Store(tmp_path / "controller.db").close()
