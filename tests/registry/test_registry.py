"""What holds for a workspace as a whole: private, shared by processes, killed, on a full disk."""

from __future__ import annotations

import multiprocessing
import os
import signal
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from mljupyter.errors import MLJupyterError
from mljupyter.registry import Registry
from tests.waiting import HANG_SECONDS

from .processes import on_small_disk, run_python, start_python
from .test_models import make_directory


def blobs(workspace: Path) -> list[Path]:
    return [path for path in (workspace / "artifacts").rglob("*") if not path.is_dir()]


def test_a_new_workspace_is_private(registry: Registry, tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    assert {path.name for path in workspace.iterdir()} >= {"workspace.db", "artifacts"}
    for path in [workspace, *workspace.iterdir()]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_deleted_models_leave_their_content_to_the_garbage_collector(registry: Registry, tmp_path: Path) -> None:
    directory = make_directory(tmp_path)
    registry.models.register("net", directory)
    kept = registry.models.register("one", directory / "a")
    snapshot = registry.artifacts.put(directory / "sub")
    registry.models.delete("net:1")
    assert registry.collect_garbage(lambda: {snapshot.digest}) == 1
    assert registry.artifacts.exists(kept.artifact.digest)
    assert registry.artifacts.exists(snapshot.digest)
    assert registry.collect_garbage() == 3
    assert registry.artifacts.exists(kept.artifact.digest)


def register_some(workspace: Path, model: Path, times: int, results: Any) -> None:
    with Registry.open(workspace) as registry:
        for _ in range(times):
            results.put(registry.models.register("ridge", model).version)


def test_eight_processes_get_every_version_once_without_gaps(tmp_path: Path, model: Path) -> None:
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    arguments = (tmp_path / "workspace", model, 5, results)
    processes = [context.Process(target=register_some, args=arguments) for _ in range(8)]
    for process in processes:
        process.start()
    versions = [results.get(timeout=HANG_SECONDS) for _ in range(40)]
    for process in processes:
        process.join(HANG_SECONDS)
    assert [process.exitcode for process in processes] == [0] * 8
    assert sorted(versions) == list(range(1, 41))
    with Registry.open(tmp_path / "workspace") as registry:
        assert [record.version for record in registry.models.list("ridge")] == list(range(40, 0, -1))


def test_killed_between_content_and_row_nothing_is_visible_and_the_content_is_collected(
    tmp_path: Path, model: Path
) -> None:
    code = """
        import os, signal, sys
        from pathlib import Path
        from sqlalchemy import event
        from sqlalchemy.engine import Engine
        from mljupyter.registry import Registry
        with Registry.open(Path(sys.argv[1])) as registry:
            @event.listens_for(Engine, "before_cursor_execute")
            def kill(connection, cursor, statement, *_):
                if statement.startswith("INSERT INTO models"):
                    os.kill(os.getpid(), signal.SIGKILL)
            registry.models.register("ridge", Path(sys.argv[2]))
    """
    process = start_python(code, tmp_path / "workspace", model)
    assert process.wait(HANG_SECONDS) == -signal.SIGKILL
    assert blobs(tmp_path / "workspace")
    with Registry.open(tmp_path / "workspace") as registry:
        assert registry.models.list() == []
        assert registry.collect_garbage() == 1
        assert not blobs(tmp_path / "workspace")
        assert registry.models.register("ridge", model).version == 1


def test_garbage_collection_between_content_and_row_spares_the_content(registry: Registry, model: Path) -> None:
    collected: list[int] = []
    collector = threading.Thread(target=lambda: collected.append(registry.collect_garbage()))

    def collect(_connection, _cursor, statement: str, *_: object) -> None:
        if statement.startswith("INSERT INTO models"):
            collector.start()
            collector.join(0.3)

    event.listen(Engine, "before_cursor_execute", collect)
    try:
        record = registry.models.register("ridge", model)
    finally:
        event.remove(Engine, "before_cursor_execute", collect)
    collector.join(HANG_SECONDS)
    assert collected == [0]
    assert registry.artifacts.exists(record.artifact.digest)


def test_a_full_disk_while_registering_leaves_no_model_and_the_workspace_usable(tmp_path: Path, model: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    (tmp_path / "big.pkl").write_bytes(os.urandom(6 << 20))
    code = """
        import sys
        from pathlib import Path
        from mljupyter.registry import Registry
        from mljupyter.registry.errors import StorageFullError
        disk, big, small = (Path(argument) for argument in sys.argv[1:])
        with Registry.open(disk / "workspace") as registry:
            try:
                registry.models.register("ridge", big)
            except StorageFullError as error:
                left = [path for path in (disk / "workspace" / "artifacts").rglob("*") if path.is_file()]
                print(error.needed, registry.models.list(), left)
            print(registry.models.register("ridge", small).id)
    """
    output = run_python(code, disk, tmp_path / "big.pkl", model, prefix=on_small_disk(disk, "5m"))
    assert output.splitlines() == [f"{6 << 20} [] []", "ridge:1"]


def test_a_damaged_database_leaves_the_directory_as_it_is(tmp_path: Path) -> None:
    Registry.open(tmp_path / "workspace").close()
    (tmp_path / "workspace" / "workspace.db").write_bytes(b"damaged")
    with pytest.raises(MLJupyterError, match=r"workspace\.db is damaged"):
        Registry.open(tmp_path / "workspace")
    assert (tmp_path / "workspace" / "workspace.db").read_bytes() == b"damaged"


def test_places_can_be_given_by_url(tmp_path: Path, model: Path) -> None:
    with Registry.open(
        tmp_path / "w?% ", database_url=f"sqlite:///{tmp_path}/team.db", artifacts_url=f"file://{tmp_path}/team"
    ) as registry:
        registry.models.register("ridge", model)
    assert (tmp_path / "team.db").exists()
    assert len([path for path in (tmp_path / "team" / "blobs").rglob("*") if path.is_file()]) == 1


def test_a_directory_may_have_any_name(tmp_path: Path, model: Path) -> None:
    directory = tmp_path / "w?x=%20 &ü#1"
    with Registry.open(directory) as registry:
        registry.models.register("ridge", model)
    assert (directory / "workspace.db").stat().st_size


def test_the_artifact_store_alone_does_not_import_sqlalchemy() -> None:
    imports = "import sys, mljupyter.registry.artifacts.store, mljupyter.build.project.snapshot"
    code = f"{imports}; print('sqlalchemy' in sys.modules)"
    assert run_python(code) == "False\n"
