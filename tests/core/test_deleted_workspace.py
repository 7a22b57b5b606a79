"""A workspace that was deleted stays deleted, whatever is asked of an object that still has it."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mljupyter.core import Dataset, Environment, Experiment, Image, Model, Webservice, Workspace
from mljupyter.errors import MLJupyterError
from mljupyter.labserver.views import session_for
from mljupyter.targets.kubernetes.created import kubeconfig_file
from mljupyter.widgets.wizards.deploy_wizard import DeployWizard

Use = Callable[[Workspace], Any]

READING: dict[str, Use] = {
    "models": Model.list,
    "images": Image.list,
    "environments": Environment.list,
    "endpoints": Webservice.list,
    "one endpoint": lambda ws: Webservice(ws, "line"),
    "metrics": lambda ws: ws.endpoints.metrics("line", since=60),
    "log": lambda ws: list(ws.endpoints.follow_logs("line")),
    "running endpoints": lambda ws: ws.endpoints.endpoints(start=False),
    "targets": lambda ws: [target.availability() for target in ws.context.targets.values()],
    "experiments": lambda ws: ws.experiments,
    "datastores": lambda ws: ws.datastores,
    "datasets": lambda ws: ws.datasets,
    "runs": lambda ws: list(Experiment(ws, "trial").get_runs()),
    "secret": lambda ws: ws.get_default_keyvault().get_secret("password"),
    "history": lambda ws: ws.history(),
    "controller": lambda ws: ws.controller.running(),
    "telemetry": lambda ws: ws.telemetry.status(),
    "kubeconfig": lambda ws: kubeconfig_file(ws.directory, "east"),
    "wizard": lambda ws: DeployWizard(session_for(ws), {}),
    "details": lambda ws: ws.get_details(),
}
WRITING: dict[str, Use] = {
    "model": lambda ws: Model.register(ws, "model.pkl", "line"),
    "environment": lambda ws: Environment("trial").register(ws),
    "deployment": lambda ws: Model.deploy(ws, "line", [Model.register(ws, "model.pkl", "line")]),
    "run": lambda ws: Experiment(ws, "trial").start_logging(),
    "secret": lambda ws: ws.get_default_keyvault().set_secret("password", "x"),
    "dataset": lambda ws: Dataset.Tabular.from_delimited_files("rows.csv").register(ws, "rows"),
    "wheel": lambda ws: Environment.add_private_pip_wheel(ws, "some-1-py3-none-any.whl", exist_ok=True),
    "telemetry": lambda ws: ws.telemetry.configure("http://localhost:4318"),
    "description": lambda ws: ws.update(description="later"),
    "controller": lambda ws: ws.controller.ensure(),
    "script": lambda ws: session_for(ws).scripts().save("ridge", "def init(): ..."),
}


@pytest.fixture
def files(project: Path) -> None:
    Path("model.pkl").write_bytes(pickle.dumps([1]))
    Path("some-1-py3-none-any.whl").write_bytes(b"x")
    Path("rows.csv").write_text("a\n1\n")


@pytest.mark.parametrize("is_elsewhere", [False, True], ids=["in the index", "elsewhere"])
@pytest.mark.parametrize("was_used", [False, True], ids=["unused", "used"])
def test_nothing_creates_a_deleted_workspace_again(
    files: None, tmp_path: Path, was_used: bool, is_elsewhere: bool
) -> None:
    place = tmp_path / "place" if is_elsewhere else None
    first = Workspace.create("gone-team", path=place)
    uses = [*READING.items(), *WRITING.items()]
    opened = [Workspace.get("gone-team") for _ in uses]
    for workspace in opened if was_used else ():
        assert Model.list(workspace) == []
        assert workspace.experiments == {}
    first.delete()
    for (name, use), workspace in zip(uses, opened, strict=True):
        try:
            use(workspace)
        except MLJupyterError as error:
            assert "deleted" in error.message, (name, error.message)
        else:
            assert use not in WRITING.values(), name
        assert not workspace.directory.exists(), name
    assert "gone-team" not in Workspace.list()
