"""A workspace that release 788ba90 wrote opens, serves, and changes. `make_workspace.py` says how it was made.

What is brought up to date when it is opened: the catalog (``workspace.db``, alembic) and the controller's database
(``control/controller.db``, ``PRAGMA user_version``) get the schema steps that came later; the controller writes the
router's files again; the stored documents are read as they are. At the commit that added this test no schema has
changed since 788ba90: the catalog is at 0003, the controller's database at 3, the time series at 1.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from mljupyter.core import Environment, InferenceConfig, Model, Webservice, Workspace
from mljupyter.core.exceptions import WebserviceException
from mljupyter.core.image import Image
from tests.waiting import wait_until

pytestmark = pytest.mark.system
ARCHIVE = Path(__file__).with_name("workspace-788ba90.tar.xz")
OLD_PYTHON = "/tmp/old-python/bin/python"
KEYS = ("first-key-of-the-test", "second-key-of-the-test")
NEW_SCRIPT = "def init(): pass\ndef run(data): return ['new', data]"


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """The workspace, in another directory than the one it was made in, and under an interpreter that is here."""
    home = tmp_path / "home"
    monkeypatch.setenv("MLJUPYTER_HOME", str(home))
    monkeypatch.chdir(tmp_path)
    directory = home / "workspaces" / "old"
    directory.mkdir(parents=True, mode=0o700)
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(directory, filter="tar")
    with closing(sqlite3.connect(directory / "control" / "controller.db")) as database, database:
        for table in ("endpoints", "history"):
            database.execute(f"UPDATE {table} SET spec = replace(spec, ?, ?)", (OLD_PYTHON, sys.executable))
    workspace = Workspace.get("old")
    yield workspace
    for service in workspace.webservices.values():
        service.delete()
    workspace.controller.stop(force=True)


def _answering(endpoint: Webservice) -> set[str]:
    """Return the version that answers a request, if one does."""
    endpoint.update_deployment_state()  # another router of this machine may have the port by now: the address changes
    with suppress(WebserviceException):
        return {endpoint.run("x")[1]}
    return set()


def test_the_catalog_of_an_old_workspace_is_complete(workspace: Workspace) -> None:
    model = Model(workspace, "greeting")
    assert (model.id, model.tags, model.created_by) == ("greeting:1", {"made": "before"}, "somebody")
    assert Path(model.download(target_dir="here")).read_text() == "hello"
    environment = Environment.get(workspace, "small")
    assert "numpy==2.1.0" in environment.python.conda_dependencies.pip_packages
    (image,) = Image.list(workspace)
    assert (image.id, image.creation_state, [item.id for item in image.models]) == (
        "greeter:1",
        "Succeeded",
        ["greeting:1"],
    )


def test_models_of_an_old_workspace_stay_in_use(workspace: Workspace) -> None:
    with pytest.raises(Exception, match="in use by") as caught:
        Model(workspace, "greeting").delete()
    assert "greeter" in str(caught.value)


def test_new_models_continue_the_numbers_of_an_old_workspace(workspace: Workspace, tmp_path: Path) -> None:
    file = tmp_path / "greeting.txt"
    file.write_text("good day")
    assert Model.register(workspace, str(file), "greeting").id == "greeting:2"


def test_an_endpoint_of_an_old_workspace_serves_changes_and_goes(workspace: Workspace, tmp_path: Path) -> None:
    (endpoint,) = Webservice.list(workspace)
    assert (endpoint.name, set(endpoint.versions)) == ("greeter", {"version-a", "version-b"})
    assert endpoint.get_keys() == KEYS
    seen: set[str] = set()  # its state is the stored one for a moment, and its versions are ready one after the other
    wait_until(lambda: seen.update(_answering(endpoint)) or seen == {"a", "b"}, what="both versions answer")
    answers = Counter(tuple(endpoint.run("x")) for _ in range(200))
    assert set(answers) == {("hello", "a", "x"), ("hello", "b", "x")}
    assert answers["hello", "a", "x"] > answers["hello", "b", "x"]
    assert [entry.action for entry in endpoint.history()] == ["created", "updated"]

    script = tmp_path / "score.py"
    script.write_text(NEW_SCRIPT)
    endpoint.update_version(
        "version-b", traffic_percentile=100, models=[], inference_config=InferenceConfig(entry_script=str(script))
    )
    endpoint.wait_for_deployment(timeout_sec=90)
    assert endpoint.run(json.dumps("x")) == ["new", '"x"']
    endpoint.rollback()
    endpoint.wait_for_deployment(timeout_sec=90)
    assert endpoint.run("x")[0] == "hello"
    assert endpoint.get_keys() == KEYS

    endpoint.delete()
    assert Webservice.list(workspace) == []
