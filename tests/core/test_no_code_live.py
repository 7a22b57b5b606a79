"""Models deployed without a scoring script, from the SDK to the answer."""

from __future__ import annotations

import base64
import json
import pickle
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mljupyter.core import AciWebservice, AksEndpoint, AksWebservice, LocalWebservice, Model, Webservice, Workspace
from mljupyter.core.resource_configuration import ResourceConfiguration
from mljupyter.exceptions import WebserviceException
from mljupyter.spec import VersionSpec
from tests.testbed import needed
from tests.waiting import HANG_SECONDS

pytestmark = pytest.mark.system
MLMODEL = """artifact_path: model
flavors:
  sklearn:
    pickled_model: model.pkl
    serialization_format: cloudpickle
"""


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLJUPYTER_HOME", str(tmp_path_factory.mktemp("core") / "home"))
        workspace = Workspace.create("live")
        yield workspace
        workspace.delete(delete_dependent_resources=True)


@pytest.fixture
def no_service_is_left(live: Workspace) -> Iterator[None]:
    yield
    for service in Webservice.list(live):
        service.delete()


pytestmark = [pytest.mark.system, pytest.mark.usefixtures("no_service_is_left")]


def classifier(turned: bool = False) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression().fit([[0.0], [1.0], [2.0], [3.0]], [1, 1, 0, 0] if turned else [0, 0, 1, 1])


def pickled(path: Path, *, turned: bool = False) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(classifier(turned)))
    return str(path)


def deployed(workspace: Workspace, model: Model | str, configuration: Any = None) -> Webservice:
    service = Model.deploy(workspace, "no-code", [model], deployment_config=configuration)
    service.wait_for_deployment(timeout_sec=HANG_SECONDS)
    return service


def version(service: Webservice) -> VersionSpec:
    return service.workspace.endpoints.endpoint(service.name).spec.versions[service.name]


ROWS = json.dumps({"data": [[0.0], [3.0]], "method": "predict"})


def test_a_scikit_learn_model_is_served_and_updated_with_models_alone(live: Workspace, tmp_path: Path) -> None:
    model = Model.register(
        live,
        pickled(tmp_path / "model.pkl"),
        "classifier",
        model_framework=Model.Framework.SCIKITLEARN,
        resource_configuration=ResourceConfiguration(cpu=1, memory_in_gb=0.7),
    )
    service = deployed(live, model)
    assert service.compute_type == "ACI"
    assert service.run(ROWS) == {"result": [0, 1]}
    assert len(service.run(json.dumps({"data": [[0.0]]}))["result"][0]) == 2
    assert (version(service).resources.cpu, version(service).resources.memory_in_gb) == (1, 0.7)
    assert version(service).no_code == "sklearn"

    other = Model.register(
        live, pickled(tmp_path / "model.pkl", turned=True), "classifier", model_framework=Model.Framework.SCIKITLEARN
    )
    service.update(models=[other])
    service.wait_for_deployment(timeout_sec=HANG_SECONDS)
    assert service.run(ROWS) == {"result": [1, 0]}
    assert [one.id for one in service.models] == ["classifier:2"]


def test_what_a_configuration_says_of_the_size_beats_what_the_model_says(live: Workspace, tmp_path: Path) -> None:
    model = Model.register(
        live,
        pickled(tmp_path / "model.pkl"),
        "sized",
        model_framework=Model.Framework.SCIKITLEARN,
        resource_configuration=ResourceConfiguration(cpu=4, memory_in_gb=8, gpu=1),
    )
    configuration = AksWebservice.deploy_configuration(cpu_cores=0.2, num_replicas=1)
    service = Model.deploy(live, "no-code", [model], deployment_config=configuration)
    resources = version(service).resources
    assert (resources.cpu, resources.memory_in_gb, resources.gpu) == (0.2, 8, 1)


def test_an_onnx_model_made_by_skl2onnx(live: Workspace, tmp_path: Path) -> None:
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    content = to_onnx(
        classifier(), initial_types=[("x", FloatTensorType([None, 1]))], options={"zipmap": False}
    ).SerializeToString()
    (tmp_path / "model.onnx").write_bytes(content)
    model = Model.register(live, str(tmp_path / "model.onnx"), "onnx-classifier", model_framework=Model.Framework.ONNX)
    service = deployed(live, model)
    raw = base64.b64encode(struct.pack("<2f", 0.0, 3.0)).decode()
    body = {"inputs": {"x": {"dims": ["2", "1"], "dataType": 1, "rawData": raw}}, "outputFilter": ["label"]}
    label = service.run(json.dumps(body))["outputs"]["label"]
    assert struct.unpack("<2q", base64.b64decode(label["rawData"])) == (0, 1)


def test_an_mlflow_directory_needs_no_framework(live: Workspace, tmp_path: Path) -> None:
    pickled(tmp_path / "mlflow-model" / "model.pkl")
    (tmp_path / "mlflow-model" / "MLmodel").write_text(MLMODEL)
    model = Model.register(live, str(tmp_path / "mlflow-model"), "mlflow-classifier")
    service = deployed(live, model)
    assert service.run(json.dumps({"input_data": {"columns": ["x"], "data": [[0.0], [3.0]]}})) == [0, 1]
    assert version(service).no_code == "mlflow"


def test_a_local_service_takes_a_path_and_moves_on(live: Workspace, tmp_path: Path) -> None:
    pickled(tmp_path / "mlflow-model" / "model.pkl")
    (tmp_path / "mlflow-model" / "MLmodel").write_text(MLMODEL)
    service = deployed(live, str(tmp_path / "mlflow-model"), LocalWebservice.deploy_configuration())
    assert isinstance(service, LocalWebservice)
    assert service.run(json.dumps({"input_data": [[3.0]]})) == [1]
    moved = service.deploy_to_cloud("moved", AciWebservice.deploy_configuration())
    moved.wait_for_deployment(timeout_sec=HANG_SECONDS)
    assert moved.run(json.dumps({"input_data": [[3.0]]})) == [1]


def test_versions_of_an_endpoint_need_no_script_and_may_get_one(live: Workspace, tmp_path: Path) -> None:
    from mljupyter.core import InferenceConfig

    model = Model.register(
        live, pickled(tmp_path / "model.pkl"), "versioned", model_framework=Model.Framework.SCIKITLEARN
    )
    endpoint = deployed(live, model, AksEndpoint.deploy_configuration(version_name="first", num_replicas=1))
    assert isinstance(endpoint, AksEndpoint)
    endpoint.create_version("second", models=[model], num_replicas=1)
    endpoint.wait_for_deployment(timeout_sec=HANG_SECONDS)
    assert endpoint.versions["second"].run(ROWS) == {"result": [0, 1]}
    (tmp_path / "score.py").write_text("def init(): pass\ndef run(data): return 'script'\n")
    endpoint.update_version("second", inference_config=InferenceConfig(str(tmp_path / "score.py")))
    endpoint.wait_for_deployment(timeout_sec=HANG_SECONDS)
    assert endpoint.versions["second"].run(ROWS) == "script"
    assert endpoint.versions["first"].run(ROWS) == {"result": [0, 1]}
    with pytest.raises(WebserviceException, match="models are given without inference_config"):
        endpoint.update_version("second", models=[model])


def test_a_container_serves_a_model_without_a_script(
    live: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLJUPYTER_BASE_IMAGE", needed("MLJUPYTER_TEST_BASE_IMAGE"))
    import sklearn

    model = Model.register(
        live,
        pickled(tmp_path / "model.pkl"),
        "contained",
        model_framework=Model.Framework.SCIKITLEARN,
        model_framework_version=sklearn.__version__,
    )
    configuration = AciWebservice.deploy_configuration(cpu_cores=1, memory_gb=1)
    service = Model.deploy(live, "no-code", [model], None, configuration, live.compute_targets["docker"])
    service.wait_for_deployment(timeout_sec=120)
    assert service.run(ROWS) == {"result": [0, 1]}
