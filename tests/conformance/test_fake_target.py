"""A target of a third party behind everything people use, without a change of the product.

The target ``fake`` is registered by an entry point alone. SDK, magics, deploy wizard, monitor and command line must
work on it as on the targets of this project.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mljupyter.core import AksWebservice, InferenceConfig, Model, Webservice, Workspace
from mljupyter.exceptions import WebserviceException
from mljupyter.notebook.session import Session
from mljupyter.widgets.wizards.deploy_wizard import DeployWizard
from tests.conformance.fake_target import FakeControlPlanes
from tests.magics.conftest import Shell
from tests.waiting import wait_until
from tests.widgets.conftest import User, _Shell
from tests.widgets.test_deploy_pages import go_to
from tests.widgets.test_panels import Recorded

SCRIPT = """\
import json

def init():
    print("init of the script")

def run(data):
    print("asked")
    return [FACTOR * sum(row) for row in json.loads(data)["data"]]
"""


@pytest.fixture
def workspace(planes: FakeControlPlanes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """A workspace in a directory and a home of its own; its controller must never be started."""
    monkeypatch.setenv("MLJUPYTER_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    workspace = Workspace.create("team")
    monkeypatch.setenv("MLJUPYTER_WORKSPACE", str(workspace.directory))
    yield workspace
    assert workspace.controller.running() is None, "an endpoint on another target needs no controller here"


def config(factor: int) -> InferenceConfig:
    path = Path(f"score{factor}.py")
    path.write_text(SCRIPT.replace("FACTOR", str(factor)))
    return InferenceConfig(str(path))


def test_the_sdk_deploys_scores_updates_and_deletes(workspace: Workspace) -> None:
    target = workspace.compute_targets["fake"]
    service = Model.deploy(
        workspace,
        "sums",
        [],
        config(2),
        AksWebservice.deploy_configuration(auth_enabled=True),
        deployment_target=target,
    )
    service.wait_for_deployment()
    assert (service.state, service.compute_type) == ("Healthy", "AKS")
    assert service.run(json.dumps({"data": [[1, 2]]})) == [6]
    assert "asked" in service.get_logs()

    primary = service.get_keys()[0]
    service.regen_key("Primary")
    assert service.get_keys()[0] != primary
    service.update(inference_config=config(3), models=[])
    service.wait_for_deployment()
    assert Webservice(workspace, "sums").run(json.dumps({"data": [[1, 2]]})) == [9]
    assert list(workspace.webservices) == ["sums"]
    with pytest.raises(WebserviceException, match="exists"):
        Model.deploy(workspace, "sums", [], config(2), deployment_target=target)

    service.delete()
    assert not workspace.webservices


def test_a_name_is_unique_across_targets(workspace: Workspace) -> None:
    Model.deploy(workspace, "sums", [], config(2), deployment_target=workspace.compute_targets["fake"])
    with pytest.raises(WebserviceException, match="taken by an endpoint on another target"):
        Model.deploy(
            workspace, "sums", [], config(2), overwrite=True, deployment_target=workspace.compute_targets["local"]
        )


def test_the_magics_deploy_score_and_show_it(workspace: Workspace) -> None:
    shell = Shell()
    try:
        shell.run("%%score double\n" + SCRIPT.replace("FACTOR", "2"))
        assert "fake" in shell.run("%compute").text()
        shown = shell.run("%deploy sums --score double --to fake --dry-run").text()
        assert "sums → fake: create" in shown
        assert shell.run("%deploy sums --score double --to fake --auth none").state == "Healthy"
        assert shell.run('%invoke sums {"data": [[1, 2], [3, 4]]}') == [6, 14]
        assert "fake" in shell.run("%endpoints").text()
        assert "asked" in shell.run("%logs sums").text()
        assert "sums" in shell.run("%monitor sums --once").text()
        assert "replicas" in shell.run("%scale sums 2 --dry-run").text()
        shell.run("%undeploy sums")
        assert "sums" not in shell.run("%endpoints").text()
    finally:
        shell.close()


def test_an_unavailable_target_says_why(workspace: Workspace, planes: FakeControlPlanes) -> None:
    planes.unavailable = "The fake cluster is asleep: wake it with fakectl up."
    shell = Shell()
    try:
        assert "fakectl up" in shell.run("%compute").text()
    finally:
        planes.unavailable = None
        shell.close()


def test_the_deploy_wizard_offers_it_and_deploys_to_it(workspace: Workspace) -> None:
    session = Session(_Shell())
    session.use(workspace)
    wizard = DeployWizard(session, {"config": config(2)}, {"name": "sums", "score": "config"})
    try:
        user = User(wizard)
        go_to(user, "Where should it run?")
        assert user.choice("to", "fake")["label"] == "fake"
        user.type(to="fake")
        go_to(user, "Is this what you want?")
        user.press()
        wait_until(lambda: user.view["heading"] == "Endpoint is ready", "the end of the deployment")
        assert workspace.webservices["sums"].run(json.dumps({"data": [[1, 2]]})) == [6]
    finally:
        wizard.close()


def test_the_monitor_shows_its_replicas_and_requests(workspace: Workspace) -> None:
    service = Model.deploy(workspace, "sums", [], config(2), deployment_target=workspace.compute_targets["fake"])
    service.wait_for_deployment()
    panel = Recorded(workspace, "sums", 60)
    try:
        service.run(json.dumps({"data": [[1, 2]]}))
        shown = panel._repr_mimebundle_()[0]["text/plain"]
        assert "1/1" in shown, shown
        panel._received(panel, {"kind": "hello"}, [])
        first = wait_until(panel.ticks, "the first message to the view")[0]
        assert first["whole"]
        assert first["status"]["state"] == "Healthy", first
    finally:
        panel.close()


def test_the_command_line_finds_it_from_another_process(workspace: Workspace) -> None:
    service = Model.deploy(workspace, "sums", [], config(2), deployment_target=workspace.compute_targets["fake"])
    service.wait_for_deployment()

    def command(*words: str) -> str:
        run = subprocess.run(
            [sys.executable, "-m", "mljupyter.cli", *words], capture_output=True, text=True, check=False, env=os.environ
        )
        assert run.returncode == 0, run.stderr
        return run.stdout

    assert [item["spec"]["name"] for item in json.loads(command("endpoint", "list", "--json"))] == ["sums"]
    assert "init of the script" in command("endpoint", "logs", "sums")
    command("endpoint", "delete", "sums")
    assert json.loads(command("endpoint", "list", "--json")) == []
