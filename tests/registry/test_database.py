from __future__ import annotations

import multiprocessing
import os
import stat
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import DateTime, Engine, literal_column, select, text

from mljupyter.registry.catalog.database import open_database, reading, writing
from mljupyter.registry.catalog.tables import MODELS
from mljupyter.registry.catalog.upgrade import newest_revision
from mljupyter.registry.errors import DatabaseError, StorageFullError
from mljupyter.registry.registry import MIGRATIONS
from tests.waiting import HANG_SECONDS

from .processes import finish, run_python, start_python

NEWEST = newest_revision(MIGRATIONS)
LATER = f"{int(NEWEST) + 1:04}"
OPEN = """
    import sys
    from pathlib import Path
    from mljupyter.registry.catalog.database import open_database
    from mljupyter.registry.registry import MIGRATIONS
    engine = open_database("sqlite:///" + sys.argv[1], MIGRATIONS)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "workspace.db"


@pytest.fixture
def engine(path: Path) -> Iterator[Engine]:
    engine = open_path(path)
    yield engine
    engine.dispose()


def open_path(path: Path, migrations: Path = MIGRATIONS) -> Engine:
    return open_database(f"sqlite:///{path}", migrations)


def tables(engine: Engine) -> set[str]:
    with reading(engine) as connection:
        return set(connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'table'")).scalars())


def test_a_new_database_has_the_tables_and_the_settings(engine: Engine) -> None:
    assert {"models", "model_counters", "model_references"} <= tables(engine)
    with reading(engine) as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "busy_timeout", "foreign_keys", "synchronous")
        }
    assert pragmas == {"journal_mode": "wal", "busy_timeout": 30000, "foreign_keys": 1, "synchronous": 1}


def test_the_tables_in_code_are_those_the_migrations_make(engine: Engine) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    from mljupyter.registry.catalog.tables import METADATA

    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []


@pytest.mark.parametrize("umask", [0o000, 0o777])
def test_files_are_private_whatever_the_umask(path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        engine = open_path(path)
        with writing(engine) as connection:
            connection.execute(text("INSERT INTO model_counters VALUES ('a', 1)"))
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
        engine.dispose()
    finally:
        os.umask(before)
    assert modes == dict.fromkeys(("workspace.db", "workspace.db-wal", "workspace.db-shm"), 384)


def test_access_of_others_to_an_existing_file_is_taken_away(engine: Engine, path: Path) -> None:
    path.chmod(0o664)
    open_path(path).dispose()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_log_and_an_index_that_go_at_that_moment_do_not_hinder_opening(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_path(path).dispose()
    parts = [path.with_name(f"{path.name}-{part}") for part in ("wal", "shm")]
    for part in parts:
        part.touch(mode=0o644)
    look = Path.stat

    def last_look(self: Path, **options: Any) -> os.stat_result:
        found = look(self, **options)
        if self in parts:
            self.unlink()  # as the last process does that closes the database
        return found

    monkeypatch.setattr(Path, "stat", last_look)
    open_path(path).dispose()
    assert not any(part.exists() for part in parts)


def test_opening_again_keeps_the_rows_and_does_not_import_alembic(path: Path) -> None:
    open_path(path).dispose()
    output = run_python(OPEN + "\n    print('alembic' in sys.modules, 'sqlalchemy.orm' in sys.modules)", path)
    assert output.split() == ["False", "False"]


def test_several_processes_may_create_it_at_once(path: Path) -> None:
    processes = [start_python(OPEN, path) for _ in range(4)]
    for process in processes:
        finish(process)
    assert [file.name for file in path.parent.iterdir()] == ["workspace.db"]
    assert "models" in tables(open_path(path))


def test_several_threads_may_create_databases_at_once(tmp_path: Path) -> None:
    # In a process of its own: a connection that two threads use ends the interpreter.
    run_python(
        """
        import sys, threading
        from concurrent.futures import ThreadPoolExecutor
        from pathlib import Path
        from mljupyter.registry.catalog.database import open_database
        from mljupyter.registry.registry import MIGRATIONS
        import alembic.runtime.environment
        sys.setswitchinterval(1e-6)
        together = threading.Barrier(4)

        def create(number):
            together.wait()
            open_database(f"sqlite:///{sys.argv[1]}/{number}/workspace.db", MIGRATIONS).dispose()

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(create, range(4)))
        """,
        tmp_path,
    )
    for number in range(4):
        engine = open_path(tmp_path / str(number) / "workspace.db")
        assert {"models", "model_counters", "model_references"} <= tables(engine)
        engine.dispose()


def test_an_older_database_is_upgraded_and_keeps_its_rows(path: Path, tmp_path: Path) -> None:
    engine = open_path(path)
    with writing(engine) as connection:
        connection.execute(text("INSERT INTO model_counters VALUES ('ridge', 7)"))
    engine.dispose()
    engine = open_path(path, with_later_revision(tmp_path, "op.create_table('later', sa.Column('id', sa.Integer))"))
    assert "later" in tables(engine)
    with reading(engine) as connection:
        assert connection.execute(text("SELECT last_version FROM model_counters")).scalar() == 7
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all() == [LATER]
    engine.dispose()


def test_an_upgrade_that_fails_changes_nothing(path: Path, tmp_path: Path) -> None:
    open_path(path).dispose()
    body = "op.create_table('later', sa.Column('id', sa.Integer)); raise RuntimeError('boom')"
    with pytest.raises(RuntimeError, match="boom"):
        open_path(path, with_later_revision(tmp_path, body))
    assert "later" not in tables(open_path(path))


def test_packages_can_share_a_database_with_a_version_table_each(engine: Engine, path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    write_revision(other, "0001", None, "op.create_table('jobs', sa.Column('id', sa.Integer))")
    open_database(f"sqlite:///{path}", other, version_table="other_version").dispose()
    assert {"models", "jobs", "alembic_version", "other_version"} <= tables(engine)


def test_a_database_of_a_newer_release_is_refused(engine: Engine, path: Path) -> None:
    with writing(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0999'"))
    with pytest.raises(DatabaseError, match=r"0999.*\n.*newer release.*pip install --upgrade mljupyter") as caught:
        open_path(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: b"this is no database " * 1000,
        lambda content: content[: len(content) // 2],
        lambda content: b"\0" * len(content),
        lambda content: content[:100] + os.urandom(8192) + content[8292:],
    ],
    ids=["empty", "other text", "cut in half", "zeros", "overwritten pages"],
)
def test_a_damaged_file_is_named_and_left_as_it_is(path: Path, damage) -> None:
    open_path(path).dispose()
    path.write_bytes(damage(path.read_bytes()))
    before = path.read_bytes()
    with pytest.raises(DatabaseError, match="damaged") as caught:
        open_path(path)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == before


def test_a_lost_file_whose_log_is_there_is_not_started_anew(path: Path) -> None:
    path.with_name("workspace.db-wal").write_bytes(b"x" * 100)
    with pytest.raises(DatabaseError, match="write-ahead log"):
        open_path(path)
    assert not path.exists()


def test_what_a_killed_creation_left_is_replaced(path: Path) -> None:
    path.with_name(".workspace.db.new").write_bytes(b"half a database")
    path.with_name(".workspace.db.new-wal").write_bytes(b"half a log")
    open_path(path).dispose()
    assert [file.name for file in path.parent.iterdir()] == ["workspace.db"]


def test_a_read_only_file_is_refused() -> None:
    # Not below `tmp_path`, which other users may not enter: root may write everything, so it must become another user.
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "workspace.db"
        open_path(path).dispose()
        path.chmod(0o444)
        path.parent.chmod(0o755)
        process = multiprocessing.get_context("fork").Process(target=expect_read_only, args=(path,))
        process.start()
        process.join(HANG_SECONDS)
        assert process.exitcode == 0


def expect_read_only(path: Path) -> None:
    if not os.geteuid():
        os.setuid(65534)
    with pytest.raises(DatabaseError, match="read-only") as caught:
        open_path(path)
    assert str(path) in str(caught.value)


def test_writing_to_what_became_read_only_says_so(engine: Engine, path: Path) -> None:
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA query_only = ON")
        with pytest.raises(DatabaseError, match="read-only"):
            connection.execute(text("INSERT INTO model_counters VALUES ('a', 1)"))


def test_a_full_database_is_a_storage_full_error_and_rolls_back(engine: Engine, path: Path) -> None:
    with engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StorageFullError, match="full") as caught:
            connection.execute(text("INSERT INTO model_counters VALUES (:name, 1)"), {"name": "x" * 200_000})
        connection.rollback()
        assert connection.execute(text("SELECT count(*) FROM model_counters")).scalar() == 0
    assert str(path) in str(caught.value)


def test_a_reader_does_not_block_a_writer_and_sees_one_state(engine: Engine) -> None:
    with reading(engine) as reader:
        assert reader.execute(text("SELECT count(*) FROM model_counters")).scalar() == 0
        with writing(engine) as writer:
            writer.execute(text("INSERT INTO model_counters VALUES ('a', 1)"))
        assert reader.execute(text("SELECT count(*) FROM model_counters")).scalar() == 0


def test_a_writer_that_reads_first_is_not_overtaken_by_another(engine: Engine) -> None:
    def count_and_insert() -> None:
        with writing(engine) as connection:
            count = connection.execute(text("SELECT count(*) FROM model_counters")).scalar()
            connection.execute(text("INSERT INTO model_counters VALUES (:name, 1)"), {"name": f"after {count}"})

    other = threading.Thread(target=count_and_insert)
    with writing(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM model_counters")).scalar() == 0
        other.start()
        other.join(0.3)
        connection.execute(text("INSERT INTO model_counters VALUES ('first', 1)"))
    other.join(HANG_SECONDS)
    with reading(engine) as connection:
        names = connection.execute(text("SELECT name FROM model_counters ORDER BY name")).scalars().all()
    assert names == ["after 1", "first"]


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mysql://user:secret@host/name", "not supported"),
        ("not a url: secret", "not have the form"),
        ("sqlite://", "in memory"),
        ("sqlite:////proc/none/workspace.db", "failed"),
    ],
)
def test_a_url_that_cannot_be_used_is_explained_without_its_secrets(url: str, says: str) -> None:
    with pytest.raises(DatabaseError, match=says) as caught:
        open_database(url, MIGRATIONS)
    assert "secret" not in str(caught.value)


def test_a_directory_in_place_of_the_file_is_refused(path: Path) -> None:
    path.mkdir()
    with pytest.raises(DatabaseError, match="not a file"):
        open_path(path)


def with_later_revision(tmp_path: Path, body: str) -> Path:
    migrations = tmp_path / "later"
    write_revision(migrations, LATER, NEWEST, body)
    for revision in (MIGRATIONS / "versions").glob("0*.py"):
        (migrations / "versions" / revision.name).write_text(revision.read_text())
    return migrations


def write_revision(migrations: Path, number: str, before: str | None, body: str) -> None:
    (migrations / "versions").mkdir(parents=True, exist_ok=True)
    (migrations / "versions" / f"{number}_words.py").write_text(
        "import sqlalchemy as sa\nfrom alembic import op\n"
        f"revision = {number!r}\ndown_revision = {before!r}\n\n\ndef upgrade():\n    {body}\n"
    )


def test_a_column_that_is_gone_is_told_as_damage(engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(text("ALTER TABLE models RENAME COLUMN description TO descriptiom"))
    with pytest.raises(DatabaseError, match="is damaged: no such column"), reading(engine) as connection:
        connection.execute(select(MODELS))


@pytest.mark.parametrize("transaction", [reading, writing])
def test_a_value_that_no_registry_writes_is_reported_as_damage(engine: Engine, transaction) -> None:
    with pytest.raises(DatabaseError, match="a value cannot be read"), transaction(engine) as connection:
        connection.execute(select(literal_column("'yesterday'", DateTime))).all()


@pytest.mark.parametrize("transaction", [reading, writing])
def test_a_value_that_is_not_utf_8_is_reported_as_damage_without_the_value(path: Path, transaction) -> None:
    engine = open_path(path)
    damage = pytest.raises(DatabaseError, match="is damaged: a value is not valid UTF-8")
    with damage as caught, transaction(engine) as connection:
        connection.execute(text("SELECT CAST(x'736563726574ff' AS TEXT)")).all()
    assert "secret" not in str(caught.value)


def test_a_damaged_schema_that_is_not_utf_8_is_reported_as_damage(path: Path) -> None:
    open_path(path).dispose()
    whole = path.read_bytes()
    damaged = whole.replace(b"CREATE TABLE model_counters (", b"CREATE TABLE model_counters \x80")
    assert damaged != whole
    path.write_bytes(damaged)
    with pytest.raises(DatabaseError, match="is damaged"):
        open_path(path)
    assert path.read_bytes() == damaged


def test_a_character_that_the_database_cannot_store_is_refused(engine: Engine) -> None:
    with pytest.raises(DatabaseError, match="cannot store"), writing(engine) as connection:
        connection.execute(text("INSERT INTO model_counters VALUES (:name, 1)"), {"name": "half \ud800"})
    with reading(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM model_counters")).scalar() == 0
