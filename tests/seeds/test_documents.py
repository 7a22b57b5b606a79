"""The documents of Azure ML v1 are followed from the first code block to the last, with `azureml` imports as they are.

AKS is mapped to the cluster of the tests, and for the Chinese document, whose blocks are those of the Japanese one, to
this machine.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from mljupyter.core import Image
from mljupyter.exceptions import WebserviceException
from tests.conformance.conftest import CLUSTER, Site, score
from tests.seeds.conftest import ANSWER, BODY, Project
from tests.seeds.extract import DOCUMENTS
from tests.seeds.guide import Guide
from tests.waiting import wait_until

pytestmark = [pytest.mark.system, pytest.mark.usefixtures("names")]
SMALL = {"cpu": 0.05, "memoryInGB": 0.25}


@pytest.fixture
def machine(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A workspace whose AKS targets are mapped to this machine; in the end nothing of it runs."""
    monkeypatch.setenv("MLJUPYTER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MLJUPYTER_AKS", "local")
    project.write_config("myworkspace", "myresourcegroup")
    from azureml.core import Workspace

    workspace = Workspace.from_config()
    assert (workspace.name, workspace.resource_group) == ("myworkspace", "myresourcegroup")
    yield workspace
    workspace.delete(delete_dependent_resources=True)


@pytest.fixture(scope="module")
def cleaned(attached: Site) -> Iterator[Site]:
    """The cluster of the tests; in the end the images that were built for it are removed from the engine."""
    before = {image.id for image in Image.list(attached.workspace)}
    yield attached
    attached.clear()
    wait_until(lambda: not attached.client.endpoints(), "the web services of the documents are gone")
    for image in Image.list(attached.workspace):
        if image.id not in before:
            wait_until(partial(_deleted, image), f"nothing uses {image.id}")


def _deleted(image: Image) -> bool:
    """Delete an image; return False while the node has not removed a container that is gone from the cluster."""
    try:
        image.delete()
    except WebserviceException as error:
        if "is in use by the container" not in str(error):
            raise
        return False
    return True


@pytest.fixture
def cluster(cleaned: Site, project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The workspace with the cluster of the tests, to which AKS targets are mapped."""
    monkeypatch.setenv("MLJUPYTER_AKS", CLUSTER)
    project.write_config(cleaned.workspace.name, cleaned.workspace.resource_group)
    from azureml.core import Workspace
    from azureml.core.compute import AksCompute

    workspace = Workspace.from_config()
    assert workspace.directory == cleaned.workspace.directory
    yield workspace
    cleaned.clear()
    for target in list(workspace.compute_targets.values()):
        if isinstance(target, AksCompute):
            target.detach()


def inference_config() -> Any:
    """Return the inference configuration that the documents take for granted."""
    from azureml.core import Environment
    from azureml.core.model import InferenceConfig

    environment = Environment.from_conda_specification("project-environment", "myenv.yml")
    return InferenceConfig(entry_script="score.py", environment=environment)


def wait_until_free(ws: Any, *names: str) -> None:
    """Wait until no web service has one of the names: other documents may have used them, and a node ends pods slowly.

    A document needs all names that it deploys: each is deleted by itself, in any order.
    """
    wait_until(lambda: not {*names} & {one.spec.name for one in ws.endpoints.endpoints()}, f"{names} are free")


def answer_to(service: Any, credential: str | None = None) -> tuple[int, Any]:
    """Return status and answer of a request as any HTTP client sends it."""
    found = score(service.scoring_uri, credential, BODY.encode())
    return found.status_code, found.json() if found.status_code == httpx.codes.OK else None


def follow_authentication(guide: Guide, none: int, keys: int, tokens: int) -> None:
    """Follow the blocks about authentication, which each document about AKS has.

    Parameters:
        guide: the document; its variable ``service`` is a web service with keys.
        none: the number of the block that turns authentication off.
        keys: that of the block which gets the keys.
        tokens: that of the block which asks for tokens; the next one gets a token.

    """
    service = guide["service"]
    guide.run(none)
    assert guide["deployment_config"].auth_enabled is False
    service.update(auth_enabled=guide["deployment_config"].auth_enabled)
    service.wait_for_deployment()
    assert answer_to(service) == (200, ANSWER)
    service.update(auth_enabled=True)
    service.wait_for_deployment()

    printed = guide.run(keys)
    primary, secondary = service.get_keys()
    assert printed == f"{primary}\n"
    assert primary != secondary
    assert [answer_to(service, key) for key in (primary, secondary)] == [(200, ANSWER)] * 2
    assert [answer_to(service, key) for key in (None, "other")] == [(401, None)] * 2

    guide.run(tokens)
    assert guide["deployment_config"].token_auth_enabled is True
    service.update(auth_enabled=False, token_auth_enabled=guide["deployment_config"].token_auth_enabled)
    service.wait_for_deployment()
    printed = guide.run(tokens + 1)
    assert printed == f"{guide['token']}\n"
    assert answer_to(service, guide["token"]) == (200, ANSWER)
    assert [answer_to(service, key) for key in (None, primary)] == [(401, None)] * 2


def follow_aks_of_2019(guide: Guide, project: Project, ws: Any) -> None:
    from azureml.core.compute import AksCompute
    from azureml.core.model import Model
    from azureml.core.webservice import AksWebservice, Webservice

    wait_until_free(ws, "myservice", "myservice-cli")
    project.write(model="mymodel", kind="aks", containerResourceRequirements=SMALL, numReplicas=1)
    model = Model.register(ws, "model.pkl", "mymodel")
    guide.variables.update(ws=ws, model=model, inference_config=inference_config())
    guide.variables.update(workspace=ws.name, group=ws.resource_group)

    def is_there() -> None:
        target = AksCompute(ws, "myaks")
        assert (target.name, target.provisioning_state, target.provisioning_errors) == ("myaks", "Succeeded", None)

    guide.run(1)
    assert isinstance(guide["aks_target"], AksCompute)
    is_there()
    guide["aks_target"].detach()
    guide.run(2)
    is_there()
    AksCompute(ws, "myaks").detach()
    guide.run(3)
    guide["aks_target"].wait_for_completion()
    is_there()
    guide.variables["resource_id"] = json.loads(guide.run(4))
    guide.shows(5, guide["resource_id"])
    guide["aks_target"].detach()
    guide.run(6)
    is_there()

    printed = guide.run(7)
    service = guide["service"]
    assert isinstance(service, AksWebservice)
    assert "\nHealthy\n" in printed
    assert "coefficients: 10" in printed, "the log of the script"
    assert service.run(BODY) == ANSWER
    assert service.container_resource_requirements.cpu == guide["deployment_config"].cpu_cores

    guide.run(8)
    other = Webservice(ws, "myservice-cli")
    assert (other.state, other.num_replicas, other.run(BODY)) == ("Healthy", 1, ANSWER)
    assert [model.id for model in other.models] == ["mymodel:1"]
    assert other.container_resource_requirements.cpu == SMALL["cpu"]
    follow_authentication(guide, none=9, keys=10, tokens=11)


def follow_aks_of_2021(guide: Guide, project: Project, ws: Any) -> None:
    from azureml.core.compute import AksCompute, ComputeTarget
    from azureml.core.model import Model
    from azureml.core.webservice import AksEndpoint, Webservice

    wait_until_free(ws, "myservice", "myservice-cli")
    project.write(model="mymodel", kind="aks", containerResourceRequirements=SMALL, numReplicas=1)
    model = Model.register(ws, "model.pkl", "mymodel")
    ComputeTarget.create(ws, "myaks", AksCompute.provisioning_configuration()).wait_for_completion()
    guide.variables.update(ws=ws, model=model, inference_config=inference_config())

    assert "\nHealthy\n" in guide.run(1)
    service = guide["service"]
    assert service.run(BODY) == ANSWER
    guide.run(2)
    other = Webservice(ws, "myservice-cli")
    assert (other.state, other.run(BODY)) == ("Healthy", ANSWER)

    guide.run(3)
    service.update(**guide["aks_config"].given())
    service.wait_for_deployment()
    rules = service.autoscaler
    assert (rules.autoscale_enabled, rules.target_utilization) == (True, 30)
    assert (rules.min_replicas, rules.max_replicas) == (1, 4)
    guide.run(4)
    assert guide["replicas"] == 286

    def shares() -> dict[str, tuple[int, int, bool, str]]:
        return {
            name: (version.traffic_percentile, version.weight, version.is_default, version.version_type)
            for name, version in endpoint.versions.items()
        }

    guide.run(5)
    endpoint = guide["endpoint"]
    assert isinstance(endpoint, AksEndpoint)
    assert shares() == {"versiona": (20, 100, True, "Control")}
    assert endpoint.run(BODY) == ANSWER
    guide.run(6)
    assert shares() == {"versiona": (20, 90, True, "Control"), "versionb": (10, 10, False, "Treatment")}
    assert endpoint.versions["versionb"].run(BODY) == ANSWER
    guide.run(7)
    endpoint.wait_for_deployment()
    assert shares() == {"versiona": (20, 100, True, "Control")}
    assert endpoint.run(BODY) == ANSWER
    follow_authentication(guide, none=8, keys=9, tokens=10)


def follow_images(guide: Guide, project: Project, ws: Any) -> None:
    from azureml.core.compute import AksCompute
    from azureml.core.image import ContainerImage
    from azureml.core.model import Model
    from azureml.core.webservice import AciWebservice, Webservice

    project.write(model="Mymodel", kind="aks")
    guide.variables.update(ws=ws)
    guide.run(1)
    assert (guide["model"].id, guide["model"].tags) == ("Mymodel:1", {"key": "0.1"})
    guide.run(2)
    guide.run(3)
    image = guide["image"]
    assert isinstance(image, ContainerImage)
    assert (image.id, image.tags) == ("myimage:1", {"data": "diabetes", "type": "regression"})

    assert guide.run(4).endswith("Succeeded\nNone\n")
    guide.run(5)
    assert AksCompute(ws, "mycompute").provisioning_state == "Succeeded"
    assert guide.run(6).endswith("Healthy\n")
    assert guide["service"].image_id == "myimage:1"

    printed = guide.run(9)
    assert printed == f"ContainerURL{image.image_location}\nServername: {ws.container_registry or ''}\n"
    assert guide.run(11) == f"{ANSWER}\n"

    small = AciWebservice.deploy_configuration(cpu_cores=0.05, memory_gb=0.25)
    other = Webservice.deploy_from_image(ws, "aci-mnist-3", image, small)
    other.wait_for_deployment()
    project.write_model(intercept=1.5)
    model = Model.register(ws, "model.pkl", "Mymodel")
    guide.variables["new_image"] = new = ContainerImage.create(ws, "myimage", [model], guide["image_config"])
    new.wait_for_creation()
    assert other.run(BODY) == ANSWER, "a new image does not change a web service by itself"
    guide.run(12)
    guide["service"].wait_for_deployment()
    assert guide["service"].run(BODY) == [value + 1 for value in ANSWER]

    # The last section says in its text how all of it is removed. Pods of the other web service end in the background.
    for made in (other, new, model):
        made.delete()
    own = {"aks-service-1", "aci-mnist-3"}  # web services of other documents may still end
    assert own & {service.name for service in Webservice.list(ws)} == {"aks-service-1"}
    assert [found.id for found in Image.list(ws, "myimage")] == ["myimage:1"]
    assert [found.id for found in Model.list(ws, "Mymodel")] == ["Mymodel:1"]


def follow_aci(guide: Guide, project: Project, ws: Any) -> None:
    from azureml.core.model import Model
    from azureml.core.webservice import AciWebservice, Webservice

    project.write(model="mymodel", kind="aci", containerResourceRequirements={"cpu": 0.5, "memoryInGB": 1.0})
    model = Model.register(ws, "model.pkl", "mymodel")
    guide.variables.update(ws=ws, model=model, inference_config=inference_config())

    assert guide.run(1).endswith("Healthy\n")
    assert isinstance(guide["service"], AciWebservice)
    assert guide["service"].run(BODY) == ANSWER
    guide.run(2)
    service = Webservice(ws, "myservice")
    assert (service.state, service.compute_type, service.run(BODY)) == ("Healthy", "ACI", ANSWER)


Follow = Callable[[Guide, Project, Any], None]
WAYS: dict[str, tuple[str, Follow]] = {
    "aci-2021-ja": ("machine", follow_aci),
    "aks-2019-ja": ("cluster", follow_aks_of_2019),
    "aks-2019-zh": ("machine", follow_aks_of_2019),
    "images-2018-ja": ("cluster", follow_images),
    "aks-2021-ja": ("cluster", follow_aks_of_2021),
}
"""The documents: the workspace of each, and how it is followed.

Two that use the same names are not next to each other: the pods of the first end meanwhile.
"""


def test_every_document_is_followed() -> None:
    assert sorted(WAYS) == sorted(path.stem for path in DOCUMENTS.glob("*.json"))


@pytest.mark.parametrize("name", [name for name, (place, _) in WAYS.items() if place == "machine"])
def test_every_block_runs_on_this_machine(name: str, project: Project, machine: Any) -> None:
    follow(name, project, machine)


# The ids tell `tests.parallel` that these tests share the cluster.
@pytest.mark.parametrize(
    "name", [pytest.param(name, id=f"{CLUSTER}-{name}") for name, (place, _) in WAYS.items() if place == "cluster"]
)
def test_every_block_runs_on_a_cluster(name: str, project: Project, cluster: Any) -> None:
    follow(name, project, cluster)


def follow(name: str, project: Project, ws: Any) -> None:
    guide = Guide(name)
    WAYS[name][1](guide, project, ws)
    guide.finish()
