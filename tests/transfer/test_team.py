"""A team with one PostgreSQL database and one object store: two users at once, migration, garbage, history."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mljupyter.core import AciWebservice, InferenceConfig, Model, Webservice, Workspace
from mljupyter.deploy.gc import collect_garbage
from mljupyter.errors import MLJupyterError
from mljupyter.exceptions import WebserviceException
from mljupyter.registry import storage
from mljupyter.registry.errors import ArtifactError, DatabaseError, ModelInUseError
from mljupyter.transfer.errors import MigrationError
from tests.object_stores import ObjectStore, in_use, s3_server
from tests.registry.processes import finish, start_python
from tests.registry.test_postgresql import url as database_url  # noqa: F401 - a fixture
from tests.waiting import HANG_SECONDS, wait_until

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    with s3_server(tmp_path_factory.mktemp("s3")) as running, in_use(running):
        yield running


@pytest.fixture
def artifacts_url(server: ObjectStore, tmp_path: Path) -> str:
    return f"{server.url}/{tmp_path.name}"


def in_home(monkeypatch: pytest.MonkeyPatch, home: Path, user: str) -> None:
    """Be another user with a home of their own."""
    monkeypatch.setenv("MLJUPYTER_HOME", str(home / user))


AS_USER = """
    import os, sys
    from pathlib import Path
    user, database, artifacts, folder = sys.argv[1:]
    os.environ["MLJUPYTER_HOME"], os.environ["LOGNAME"] = f"{folder}/{user}", user
    from mljupyter.core import Environment, InferenceConfig, Model, Workspace
    from mljupyter.core.webservice import LocalWebservice
    workspace = Workspace.create("team", database_url=database, artifacts_url=artifacts)
    model = Path(folder) / f"{user}.txt"
    script = Path(folder) / user / "code" / "score.py"
    script.parent.mkdir(parents=True)
    script.write_text(
        "import os\\n"
        "from azureml.core.model import Model\\n"
        f"def init():\\n    global text\\n    text = open(Model.get_model_path('{user}-own')).read()\\n"
        "def run(data):\\n    return text\\n"
    )
    model.write_text(user)
    own = workspace.registry.models.register(f"{user}-own", model)
"""
REGISTERING = """
    for number in range(5):
        model.write_text(f"{user} {number}")
        print(Model.register(workspace, str(model), "shared", tags={"by": user}).version)
        workspace.registry.models.update("shared:1", add_tags={f"{user}-{number}": "set"})
"""
DEPLOYING = """
    config = InferenceConfig(entry_script="score.py", source_directory=str(script.parent))
    service = Model.deploy(
        workspace, "same-name", [Model(workspace, f"{user}-own")], config, LocalWebservice.deploy_configuration()
    )
    service.wait_for_deployment()
    print(service.run("{}"))
"""


def test_two_users_register_and_deploy_at_once(
    database_url: str,  # noqa: F811
    artifacts_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    users = ("anna", "ben")
    code = AS_USER + REGISTERING + DEPLOYING
    processes = [start_python(code, user, database_url, artifacts_url, tmp_path) for user in users]
    lines = [finish(process).split("\n") for process in processes]
    for user, found in zip(users, lines, strict=True):
        assert user in found  # each answer is that of their own endpoint, though the names are the same
    versions = [int(line) for found in lines for line in found if line.isdigit()]
    assert sorted(versions) == list(range(1, 11))

    in_home(monkeypatch, tmp_path, "anna")
    anna = Workspace.get("team")
    in_home(monkeypatch, tmp_path, "ben")
    ben = Workspace.get("team")
    try:
        tags = anna.registry.models.get("shared", 1).tags
        assert {f"{user}-{number}" for user in users for number in range(5)} <= tags.keys()  # no update is lost
        changes = anna.history(item="shared")
        assert {change.user for change in changes} == set(users)
        assert len([change for change in changes if change.action == "registered"]) == 10
        assert [change.user for change in ben.history(kind="endpoint", item="same-name")] == ["ben"]

        with pytest.raises(ModelInUseError, match="workspace team of ben"):
            anna.registry.models.delete("ben-own:1")
        code_of_ben = ben.endpoint_records()[0].spec.versions["same-name"].code
        assert code_of_ben is not None
        anna.artifacts._blobs._grace = 0  # as if all of it were old
        collect_garbage(anna.context)
        assert ben.artifacts.exists(code_of_ben.digest)
    finally:
        for workspace in (anna, ben):
            workspace.delete(delete_dependent_resources=True)
    in_home(monkeypatch, tmp_path, "carl")
    carl = Workspace.create("team", database_url=database_url, artifacts_url=artifacts_url)
    assert carl.registry.contents.digests() == set()
    carl.registry.models.delete("ben-own:1")
    carl.context.close()


def test_a_workspace_moves_and_the_old_one_refuses_changes(
    workspace: Workspace,
    database_url: str,  # noqa: F811
    artifacts_url: str,
    tmp_path: Path,
) -> None:
    stale = Workspace.at(workspace.directory)
    before = {record.id: record for record in stale.registry.models.list()}
    stale.registry.models.add_reference("web service old", ["ridge:1"])
    done = workspace.migrate(database_url=database_url, artifacts_url=artifacts_url)
    assert done.rows
    assert done.blobs == 6  # two weights, two files of the directory and their list, the data
    assert {record.id: record for record in workspace.registry.models.list()} == before
    assert workspace.registry.models.references("ridge:1")[0].startswith("web service old (")
    target = workspace.artifacts.fetch(before["net:1"].artifact.digest, tmp_path / "fetched")
    assert (target / "a.bin").read_bytes() == b"a" * 100_000
    (tmp_path / "model.pkl").write_bytes(b"after")
    with pytest.raises(MLJupyterError, match="moved"):
        stale.registry.models.register("ridge", tmp_path / "model.pkl")
    with pytest.raises(DatabaseError, match="moved to a shared database"):
        stale.registry.models.update("ridge:1", add_tags={"lost": "yes"})
    stale.context.close()
    assert workspace.registry.models.register("ridge", tmp_path / "model.pkl").version == 3
    assert workspace.history(item="ridge")[-1].item == "ridge:3"

    assert [path.name for path in done.old] == ["workspace.db", "artifacts.old"]
    with pytest.raises(MigrationError, match="moved before"):
        workspace.migrate(database_url=database_url)
    assert workspace.migrate(delete_old=True).old == ()
    assert not (workspace.directory / "workspace.db").exists()
    assert len(workspace.registry.models.list()) == 4

    restored = Workspace.restore(workspace.backup(tmp_path / "backup.zip").path, name="again")
    assert storage.read(restored.directory) == storage.Storage()
    assert {record.id for record in restored.registry.models.list()} == {*before, "ridge:3"}
    restored.context.close()


def test_endpoints_serve_while_their_workspace_moves_and_from_its_new_places(
    database_url: str,  # noqa: F811
    artifacts_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    in_home(monkeypatch, tmp_path, "anna")
    workspace = Workspace.create("team")
    script = tmp_path / "code" / "score.py"
    script.parent.mkdir()
    script.write_text("def init(): pass\ndef run(data): return [data, __import__('os').getpid()]")
    config = InferenceConfig("score.py", source_directory=str(script.parent))
    deployment = AciWebservice.deploy_configuration(cpu_cores=0.1, memory_gb=0.1, auth_enabled=True)
    try:
        service = Model.deploy(workspace, "live", [], config, deployment)
        service.wait_for_deployment()
        keys, (_, before) = service.get_keys(), service.run("1")
        served = threading.Event()
        moved = threading.Event()
        answers: list[Any] = []

        def ask() -> None:
            while not moved.is_set():
                answers.append(service.run("2"))
                served.set()

        with ThreadPoolExecutor(1) as asking:
            asked = asking.submit(ask)
            assert served.wait(HANG_SECONDS)
            try:
                done = workspace.migrate(database_url=database_url, artifacts_url=artifacts_url, delete_old=True)
            finally:
                moved.set()
            asked.result(HANG_SECONDS)
        assert done.old == ()
        assert {tuple(answer) for answer in answers} == {("2", before)}, "the replica goes on"

        workspace = Workspace.get("team")
        service = Webservice(workspace, "live")
        assert (service.run("3"), service.get_keys()) == (["3", before], keys)
        os.kill(before, signal.SIGKILL)

        def another() -> bool:
            try:
                return bool(service.run("4")[1] != before)
            except WebserviceException:
                return False  # the request of the worker that was killed

        wait_until(another, "a new worker, with the code of the object store")
        script.write_text("def init(): pass\ndef run(data): return 'new'")
        service.update(inference_config=config)
        assert service.run("5") == "new"
        assert workspace.history(kind="endpoint", item="live")[-1].action == "updated"
    finally:
        Workspace.get("team").delete(delete_dependent_resources=True)


def test_an_interrupted_migration_goes_on(
    workspace: Workspace,
    database_url: str,  # noqa: F811
    artifacts_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(storage, "write", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):  # after the copies, before the new places are used
            workspace.migrate(database_url=database_url, artifacts_url=artifacts_url)
    assert workspace.registry.models.get("ridge").version == 2
    assert storage.read(workspace.directory) == storage.Storage()
    done = workspace.migrate(database_url=database_url, artifacts_url=artifacts_url)
    assert (done.rows, done.blobs) == (0, 0)
    assert workspace.registry.models.get("ridge").version == 2


def test_a_database_or_store_of_others_is_refused(
    workspace: Workspace,
    database_url: str,  # noqa: F811
    artifacts_url: str,
    tmp_path: Path,
) -> None:
    team = Workspace.create("team", database_url=database_url, artifacts_url=artifacts_url)
    team.registry.models.register("theirs", tmp_path / "model.pkl")
    with pytest.raises(MigrationError, match="has content already"):
        workspace.migrate(database_url=database_url, artifacts_url=artifacts_url)
    with pytest.raises(ArtifactError, match="belongs to another database"):
        Workspace.create("alone", artifacts_url=artifacts_url)
    assert "alone" not in Workspace.list()
    assert workspace.registry.models.get("ridge").version == 2
    team.context.close()


@pytest.mark.parametrize(
    ("database", "artifacts", "reason"),
    [
        ("postgresql://anna:secret@db/team", "s3://b/t", "holds a password"),
        ("postgresql://anna@db/team?password=secret", "s3://b/t", "holds a password"),
        ("postgresql://anna@db/team", None, "needs a shared artifact store"),
        ("mysql://anna@db/team", "s3://b/t", "not shared"),
        ("postgresql://anna@127.0.0.1:1/team", "s3://b/t", "No connection"),
    ],
)
def test_urls_that_cannot_be_used_create_nothing(home: Path, database: str, artifacts: str | None, reason: str) -> None:
    with pytest.raises(DatabaseError, match=reason) as caught:
        Workspace.create("team", database_url=database, artifacts_url=artifacts)
    assert "secret" not in str(caught.value)
    assert Workspace.list() == {}
