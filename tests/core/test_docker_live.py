"""From the SDK to a container: environment, image, endpoint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from mljupyter.core import AciWebservice, AksWebservice, Environment, InferenceConfig, Model, Webservice, Workspace
from mljupyter.core.compute import AksCompute, ComputeTarget
from mljupyter.exceptions import WebserviceException
from mljupyter.targets.mapped import setting
from tests.testbed import needed

pytestmark = pytest.mark.system

SCRIPT = """
import os

import humanize


def init():
    global number
    with open(os.path.join(os.environ["AZUREML_MODEL_DIR"], "number.txt")) as file:
        number = int(file.read())


def run(data):
    return {"words": humanize.intcomma(number + int(data)), "user": os.getuid(), "root": os.getcwd()}
"""


@pytest.fixture
def containers(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    monkeypatch.setenv("MLJUPYTER_BASE_IMAGE", needed("MLJUPYTER_TEST_BASE_IMAGE"))
    yield workspace
    for service in Webservice.list(workspace):
        service.delete()
    workspace.controller.stop(force=True)


@pytest.fixture
def inference(project: Path) -> InferenceConfig:
    (project / "score.py").write_text(SCRIPT)
    (project / "requirements.txt").write_text("humanize==4.9.0\n")
    environment = Environment.from_pip_requirements("words", "requirements.txt")
    return InferenceConfig("score.py", environment=environment)


@pytest.fixture
def model(containers: Workspace, project: Path) -> Model:
    (project / "number.txt").write_text("1000000")
    return Model.register(containers, "number.txt", "number")


def test_a_container_serves_with_a_package_that_the_notebook_lacks(
    containers: Workspace, inference: InferenceConfig, model: Model, capsys: pytest.CaptureFixture[str]
) -> None:
    target = containers.compute_targets["docker"]
    assert target.get_status() == "Succeeded"
    config = AciWebservice.deploy_configuration(cpu_cores=1, memory_gb=0.5)
    service = Model.deploy(containers, "words", [model], inference, config, target)
    service.wait_for_deployment(show_output=True)
    assert service.state == "Healthy"
    answer = service.run("234")
    assert answer["words"] == "1,000,234"
    assert answer["user"] != 0
    assert answer["root"] == "/var/azureml-app"
    assert "humanize" in containers.registry.images.get("words").recipe.__repr__()

    host = [container.attrs["HostConfig"] for container in _running(containers)]
    assert [(one["NanoCpus"], one["Memory"], one["MemorySwap"]) for one in host] == [(10**9, 1 << 29, 1 << 29)]
    assert service.auth_enabled is False

    first = containers.endpoints.endpoint("words").spec.versions["words"].image
    again = Model.deploy(containers, "words", [model], inference, config, target, overwrite=True)
    again.wait_for_deployment()
    assert containers.endpoints.endpoint("words").spec.versions["words"].image == first, "nothing is built twice"

    Path("score.py").write_text(SCRIPT.replace("number + int(data)", "number * int(data)"))
    service.update(inference_config=inference)
    service.wait_for_deployment()
    assert service.run("3")["words"] == "3,000,000"
    assert "the scoring script is ready" in service.get_logs()


def _running(workspace: Workspace) -> list[Any]:
    """Return the containers of a workspace that run: of an ACI web service there is one, of its size."""
    import docker

    label = f"mljupyter/workspace={hashlib.sha256(str(workspace.directory.resolve()).encode()).hexdigest()[:16]}"
    client = docker.from_env()
    found = client.containers.list(filters={"label": label}, ignore_removed=True)
    client.close()
    return found


def test_an_aks_target_that_is_mapped_to_the_engine_runs_containers_with_keys(
    containers: Workspace,
    inference: InferenceConfig,
    model: Model,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(setting.VARIABLE, "docker")
    target = ComputeTarget.create(containers, "my-aks", AksCompute.provisioning_configuration(vm_size="Standard_D3_v2"))
    target.wait_for_completion(show_output=True)
    assert (target.type, target.provisioning_state) == ("AKS", "Succeeded")
    config = AksWebservice.deploy_configuration(cpu_cores=1, memory_gb=0.5, autoscale_enabled=False, num_replicas=1)
    service = Model.deploy(containers, "words", [model], inference, config, target)
    service.wait_for_deployment(show_output=True)
    said = capsys.readouterr().out
    assert "Compute target 'my-aks' is a mapping: the deployment runs on 'docker'." in said
    assert "Kept without effect: vm_size" in said
    assert service.run("234")["words"] == "1,000,234"
    assert len(_running(containers)) == 1
    assert containers.endpoints.endpoint("words").spec.compute_target == "docker"
    primary, _ = service.get_keys()
    bearers = ({}, {"Authorization": f"Bearer {primary}"})
    assert [httpx.post(service.scoring_uri, content="234", headers=one).status_code for one in bearers] == [401, 200]

    found = AksCompute(containers, "my-aks")
    assert found.stands_for == "docker"
    found.delete()
    assert Webservice(containers, "words").run("1")["words"] == "1,000,001", "the mapping is a name, no cluster"


def test_a_container_needs_an_environment_and_says_which(containers: Workspace, project: Path) -> None:
    (project / "score.py").write_text("def init(): pass\ndef run(data): return data")
    with pytest.raises(WebserviceException, match=r"needs an environment(.|\n)*from_current"):
        Model.deploy(
            containers,
            "words",
            [],
            InferenceConfig("score.py"),
            AksWebservice.deploy_configuration(),
            containers.compute_targets["docker"],
        )


def test_an_environment_that_cannot_be_built_fails_with_its_last_lines(
    containers: Workspace, project: Path, inference: InferenceConfig
) -> None:
    (project / "requirements.txt").write_text("no-such-package-at-all==1\n")
    broken = InferenceConfig("score.py", environment=Environment.from_pip_requirements("broken", "requirements.txt"))
    with pytest.raises(WebserviceException, match="no-such-package-at-all"):
        Model.deploy(containers, "words", [], broken, None, containers.compute_targets["docker"])
    assert json.dumps([service.name for service in Webservice.list(containers)]) == "[]"
