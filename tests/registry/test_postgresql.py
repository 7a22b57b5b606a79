from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from mljupyter.registry import Registry
from mljupyter.registry.errors import DatabaseError, ModelInUseError, ModelNotFoundError
from mljupyter.tracking.metrics import Metric
from mljupyter.tracking.tracking import Tracking
from tests.testbed import needed

from .processes import finish, start_python


@pytest.fixture
def url() -> Iterator[str]:
    """The URL of an empty schema of its own, so that any database can be used, by several tests at once."""
    from sqlalchemy import create_engine, make_url, text

    address = make_url(needed("MLJUPYTER_TEST_POSTGRESQL")).set(drivername="postgresql+psycopg")
    schema = f"mljupyter_test_{uuid.uuid4().hex}"
    engine = create_engine(address)
    try:
        with engine.begin() as connection:
            connection.execute(text(f"CREATE SCHEMA {schema}"))
        own = address.update_query_dict({"options": f"-csearch_path={schema}"})
        yield own.set(drivername="postgresql").render_as_string(hide_password=False)
        with engine.begin() as connection:
            connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
    finally:
        engine.dispose()


def test_processes_open_and_register_at_once(url: str, tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_text("weights")
    code = """
        import sys
        from pathlib import Path
        from mljupyter.registry import Registry
        directory = Path(sys.argv[2])
        with Registry.open(directory / "workspace", database_url=sys.argv[1]) as registry:
            for _ in range(3):
                print(registry.models.register("ridge", directory / "model.pkl").version)
    """
    processes = [start_python(code, url, tmp_path) for _ in range(8)]
    versions = sorted(int(line) for process in processes for line in finish(process).split())
    assert versions == list(range(1, 25))


def test_models_behave_as_on_sqlite(url: str, tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_text("weights")
    with Registry.open(tmp_path / "workspace", database_url=url) as registry:
        models = registry.models
        first = models.register(
            "ridge", tmp_path / "model.pkl", tags={"area": "demo"}, resource_configuration={"cpu": 1}
        )
        assert models.get("ridge") == first
        assert models.update("ridge:1", add_tags={"stage": 2}).tags == {"area": "demo", "stage": "2"}
        assert [record.id for record in models.list(tags=[["area", "demo"]], latest=True)] == ["ridge:1"]
        models.add_reference("endpoint a", ["ridge:1"])
        with pytest.raises(ModelInUseError, match="endpoint a"):
            models.delete("ridge:1")
        models.release("endpoint a")
        models.delete("ridge:1")
        with pytest.raises(ModelNotFoundError):
            models.get("ridge")
        assert models.register("ridge", tmp_path / "model.pkl").version == 2


def test_an_unreachable_server_is_explained_without_the_password(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match=r"connection|driver") as caught:
        Registry.open(tmp_path, database_url="postgresql://user:secret@127.0.0.1:1/name")
    assert "secret" not in str(caught.value)


def test_runs_datasets_and_datastores_behave_as_on_sqlite(url: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    with Registry.open(tmp_path / "workspace", database_url=url) as registry:
        tracking = Tracking(registry)
        experiment = tracking.experiments.open("diabetes")
        run = tracking.runs.create(experiment.id, "run-1", tags={"area": "demo"}, submission={"command": ["python"]})
        tracking.runs.log(run.id, [Metric("loss", "scalar", value) for value in (3, {"$float": "nan"})])
        assert [metric.value for metric in tracking.runs.metrics(run.id)] == [3, {"$float": "nan"}]
        tracking.runs.put_files(run.id, {"outputs/a.txt": tmp_path / "a.txt"})
        tracking.runs.put_files(run.id, {"outputs/a.txt": tmp_path / "a.txt"}, replace=True)
        assert [file.path for file in tracking.runs.files(run.id)] == ["outputs/a.txt"]
        ended = tracking.runs.set_status(run.id, "Completed")
        assert tracking.runs.list(experiment.id, tags=[["area", "demo"]]) == [ended]
        tracking.datastores.register("team_data", str(tmp_path))
        tracking.datastores.set_default("team_data")
        assert [store.name for store in tracking.datastores.list() if store.is_default] == ["team_data"]
        tracking.datastores.files("workspaceblobstore").put({"a.txt": tmp_path / "a.txt"})
        definition = {"kind": "file", "sources": [{"path": "/a"}], "options": {}, "steps": []}
        assert tracking.datasets.register("data", definition).version == 1
        assert tracking.datasets.register("data", {**definition, "steps": [1]}, create_new_version=True).version == 2
        assert len(tracking.digests()) == 1
