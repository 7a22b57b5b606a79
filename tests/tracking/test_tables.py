"""The tables of tracking are in the database of the registry, and do not disturb its own."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import update

from mljupyter.registry import Registry
from mljupyter.registry.catalog.transactions import writing
from mljupyter.registry.errors import DatabaseError
from mljupyter.tracking.tables import METADATA
from mljupyter.tracking.tracking import VERSION_TABLE, Tracking


def test_the_migrations_make_the_tables_that_the_code_uses(tmp_path: Path) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with Registry.open(tmp_path / "workspace") as registry:
        Tracking(registry)

        def ours(_object: object, name: str, kind: str, _reflected: bool, _other: object) -> bool:
            return kind != "table" or name in METADATA.tables

        with registry.engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"include_object": ours, "compare_type": True})
            assert compare_metadata(context, METADATA) == []


def test_a_second_opening_changes_nothing_and_the_registry_works(tmp_path: Path) -> None:
    with Registry.open(tmp_path / "workspace") as registry:
        experiment = Tracking(registry).experiments.open("diabetes")
    with Registry.open(tmp_path / "workspace") as registry:
        assert Tracking(registry).experiments.open("diabetes") == experiment
        assert registry.models.list() == []


def test_tables_of_a_newer_release_are_refused(tmp_path: Path) -> None:
    from sqlalchemy import column, table

    with Registry.open(tmp_path / "workspace") as registry:
        Tracking(registry)
        with writing(registry.engine) as connection:
            connection.execute(update(table(VERSION_TABLE, column("version_num"))).values(version_num="9999"))
        try:
            Tracking(registry)
        except DatabaseError as error:
            assert "newer release" in str(error)
        else:
            raise AssertionError("it was opened")


def test_numbers_of_runs_count_up_in_their_experiment(tmp_path: Path) -> None:
    with Registry.open(tmp_path / "workspace") as registry:
        tracking = Tracking(registry)
        first, second = (tracking.experiments.open(name) for name in ("first", "second"))
        numbers = [tracking.runs.create(one.id, str(at)).number for at, one in enumerate((first, second, first))]
        assert numbers == [1, 1, 2]
