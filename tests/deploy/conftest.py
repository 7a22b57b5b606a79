"""A workspace whose endpoints run on the target in memory, so that a deployment takes milliseconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mljupyter.core import AksWebservice, InferenceConfig, Model, Workspace
from mljupyter.core.deployment import prepare_version
from mljupyter.deploy.plan import DeploymentPlan, find, plan_new
from tests.conformance.conftest import planes  # noqa: F401 - a fixture
from tests.conformance.fake_target import FakeControlPlanes

Planner = Callable[[], DeploymentPlan]
NAME = "sums"


def write_script(answer: str) -> None:
    """Write the scoring script of all plans."""
    Path("score.py").write_text(f"def init():\n    pass\n\ndef run(data):\n    return {answer!r}\n")


@pytest.fixture
def workspace(planes: FakeControlPlanes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:  # noqa: F811
    monkeypatch.setenv("MLJUPYTER_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return Workspace.create("team")


@pytest.fixture
def model(workspace: Workspace, tmp_path: Path) -> Model:
    (tmp_path / "model.txt").write_text("weights")
    return Model.register(workspace, str(tmp_path / "model.txt"), "weights")


@pytest.fixture
def plan(workspace: Workspace, model: Model) -> Planner:
    """Return a function that plans the deployment of the script and the model as they are now."""
    write_script("first")

    def make() -> DeploymentPlan:
        context = workspace.context
        configuration = AksWebservice.deploy_configuration()
        with workspace.artifacts.hold():
            prepared = prepare_version(
                workspace,
                [model],
                InferenceConfig("score.py"),
                kind=configuration.kind,
                service=NAME,
                target=context.target("fake"),
            )
            return plan_new(context, NAME, configuration, prepared, present=find(context, NAME))

    return make
