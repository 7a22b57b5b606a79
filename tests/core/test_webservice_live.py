"""The SDK with a real controller, router and replicas."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mljupyter.core.inference import InferenceConfig
from mljupyter.core.model import Model
from mljupyter.core.webservice import AciWebservice, AksWebservice, LocalWebservice, Webservice
from mljupyter.core.workspace import Workspace
from mljupyter.exceptions import WebserviceException, WorkspaceException
from tests.waiting import HANG_SECONDS, wait_until

pytestmark = pytest.mark.system

SUM = """
import json
import os


def init():
    print("the model is loaded")


def run(data):
    return {"sum": sum(json.loads(data)["data"]), "greeting": os.environ.get("GREETING")}
"""
QUESTION = json.dumps({"data": [1, 2, 3]})
ONE = AksWebservice.deploy_configuration(num_replicas=1)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A workspace whose controller serves all tests of this file; each test deletes what it deployed."""
    root = tmp_path_factory.mktemp("core")
    before = os.environ.get("MLJUPYTER_HOME")
    os.environ["MLJUPYTER_HOME"] = str(root / "home")
    workspace = Workspace.create("live")
    try:
        yield workspace
    finally:
        for service in workspace.webservices.values():
            service.delete()
        workspace.controller.stop(force=True)
        if before is None:
            del os.environ["MLJUPYTER_HOME"]
        else:
            os.environ["MLJUPYTER_HOME"] = before


@pytest.fixture
def project(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    directory = tmp_path / "project"
    directory.mkdir()
    monkeypatch.chdir(directory)
    yield directory
    for service in Webservice.list(workspace):
        service.delete()


@pytest.fixture
def sums(project: Path) -> InferenceConfig:
    (project / "score.py").write_text(SUM)
    return InferenceConfig("score.py")


def status_of(uri: str, key: str | None = None) -> int:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    request = urllib.request.Request(uri, QUESTION.encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=HANG_SECONDS) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


def deployed(workspace: Workspace, name: str, inference: InferenceConfig, configuration: object = ONE) -> Webservice:
    service = Model.deploy(workspace, name, [], inference, configuration)  # type: ignore[arg-type]
    service.wait_for_deployment(timeout_sec=HANG_SECONDS)
    return service


def test_an_aks_service_is_deployed_scored_with_keys_and_deleted(
    workspace: Workspace, sums: InferenceConfig, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "model.pkl").touch()
    model = Model.register(workspace, "model.pkl", "ridge")
    target = workspace.compute_targets["local"]
    service = Model.deploy(workspace, "diabetes", [model], sums, ONE, target)
    assert (service.state, repr(service)) == (
        "Transitioning",
        "AksWebservice(name=diabetes, compute_type=AKS, state=Transitioning)",
    )
    capsys.readouterr()
    service.wait_for_deployment(show_output=True)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].rstrip(".") == "Running"
    assert lines[1:] == ["Succeeded: AKS service 'diabetes' is Healthy"]

    assert service.state == "Healthy"
    assert service.error is None
    assert service.scoring_uri is not None and service.scoring_uri.endswith("/api/v1/service/diabetes/score")
    assert service.swagger_uri == service.scoring_uri.replace("/score", "/swagger.json")
    assert service.run(QUESTION) == service.run(QUESTION.encode()) == {"sum": 6, "greeting": None}
    assert [found.id for found in service.models] == [model.id]
    assert service.properties["mljupyter.source"] == str(project / "score.py")
    assert "the model is loaded" in service.get_logs()
    assert "the model is loaded" in service.get_logs(init=True)
    assert workspace.webservices["diabetes"].state == "Healthy"

    primary, secondary = service.get_keys()
    shown = json.dumps(service.serialize()) + repr(service)
    assert repr(Webservice.deserialize(workspace, service.serialize())) == repr(service)
    assert primary not in shown and secondary not in shown
    uri = service.scoring_uri
    assert [status_of(uri), status_of(uri, "wrong"), status_of(uri, primary), status_of(uri, secondary)] == [
        401,
        401,
        200,
        200,
    ]
    another = Webservice(workspace, "diabetes")
    assert another.run(QUESTION)["sum"] == 6
    service.regen_key("Primary", "my-own-key-1")
    assert [status_of(uri, primary), status_of(uri, "my-own-key-1")] == [401, 200]
    assert another.run(QUESTION)["sum"] == 6, "keys are read again after one 401"
    service.regen_key("Secondary")
    assert status_of(uri, secondary) == 401
    with pytest.raises(WebserviceException, match="'Primary' or 'Secondary'"):
        service.regen_key("first")

    with pytest.raises(WebserviceException, match="in use by web service diabetes"):
        model.delete()
    service.delete()
    assert service.state == "Deleting"
    model.delete()
    for use in (lambda: service.run(QUESTION), service.get_keys, service.get_logs, service.delete):
        with pytest.raises(WebserviceException, match="WebserviceNotFound"):
            use()
    with pytest.raises(WebserviceException, match="WebserviceNotFound") as caught:
        Webservice(workspace, "diabetes")
    assert caught.value.status_code == 404


def test_a_local_service_has_a_port_of_its_own_and_reloads(workspace: Workspace, project: Path) -> None:
    (project / "source").mkdir()
    (project / "source" / "factor.txt").write_text("1")
    (project / "source" / "score.py").write_text(
        "import os\n"
        "def init(): ...\n"
        "def run(data):\n"
        "    entry = os.listdir(os.environ['AZUREML_MODEL_DIR'])\n"
        "    return [open('./source/factor.txt').read(), entry]\n"
    )
    (project / "model.bin").touch()
    inference = InferenceConfig("score.py", source_directory="source")
    service = Model.deploy(workspace, "mine", ["model.bin"], inference, LocalWebservice.deploy_configuration())
    assert isinstance(service, LocalWebservice)
    assert service.state == "deploying"
    service.wait_for_deployment()
    assert service.state == "running"
    assert service.scoring_uri == f"http://localhost:{service.port}/score"
    assert service.run(b"") == ["1", ["model.bin"]]
    assert [model.id for model in service.models] == ["model.bin:0"]

    (project / "source" / "factor.txt").write_text("2")
    assert service.run(b"")[0] == "1", "a change waits for reload"
    port = service.port
    service.reload(wait=True)
    assert (service.run(b"")[0], service.port) == ("2", port)
    service.reload(wait=True)
    assert service.run(b"")[0] == "2", "also when nothing has changed"
    for number in range(3, 8):
        (project / "source" / "factor.txt").write_text(str(number))
        service.reload()
        assert service.run(b"")[0] == str(number), "a request waits for the change before it"
    (project / "source" / "score.py").write_text("def run(")
    with pytest.raises(WebserviceException, match=r"score\.py, line 1"):
        service.reload()
    assert service.run(b"")[0] == "7", "a broken script changes nothing"

    for call in (service.get_keys, service.get_token, lambda: service.regen_key("Primary")):
        with pytest.raises(NotImplementedError):
            call()
    assert [found.name for found in LocalWebservice.list(workspace)] == ["mine"]
    service.delete()
    assert service.state == "deleted"
    with pytest.raises(WebserviceException, match="WebserviceNotFound"):
        service.run(b"")
    assert LocalWebservice(workspace, "mine", must_exist=False).state == "unknown"
    with pytest.raises(WebserviceException, match="WebserviceNotFound"):
        LocalWebservice(workspace, "mine")


def test_an_aci_service_is_open_and_is_updated_in_place(
    workspace: Workspace, sums: InferenceConfig, project: Path
) -> None:
    configuration = AciWebservice.deploy_configuration(1, 1, tags={"a": "1"}, properties={"p": "1"})
    service = deployed(workspace, "aciservice", sums, configuration)
    assert isinstance(service, AciWebservice)
    assert service.scoring_uri is not None
    assert status_of(service.scoring_uri) == 200
    assert service.container_resource_requirements.cpu == 1
    with pytest.raises(WebserviceException, match="key authentication is off"):
        service.get_keys()
    with pytest.raises(NotImplementedError):
        service.get_token()

    with pytest.raises(WebserviceException, match="without arguments"):
        service.update()
    with pytest.raises(WebserviceException, match="cannot serve an image: it runs processes"):
        service.update(image="myimage:1")
    with pytest.raises(WebserviceException, match="without inference_config"):
        service.update(models=[])
    service.update(tags={"b": "2"}, properties={"q": "2"}, description="new", auth_enabled=True)
    service.wait_for_deployment(timeout_sec=HANG_SECONDS)
    assert (service.tags, service.description, service.auth_enabled) == ({"b": "2"}, "new", True)
    assert (service.properties["p"], service.properties["q"]) == ("1", "2")
    assert status_of(service.scoring_uri) == 401
    assert service.run(QUESTION)["sum"] == 6
    service.add_tags({"c": "3"})
    service.remove_tags(["b"])
    service.add_properties({"r": "3"})
    assert Webservice(workspace, "aciservice").tags == {"c": "3"}
    with pytest.raises(WebserviceException, match="r exist"):
        service.add_properties({"r": "4"})


def test_an_update_serves_new_code_and_models(workspace: Workspace, sums: InferenceConfig, project: Path) -> None:
    for name in ("old", "new"):
        (project / name).touch()
        Model.register(workspace, name, f"model-{name}")
    service = Model.deploy(workspace, "updated", ["model-old:1"], sums, ONE)
    service.wait_for_deployment(timeout_sec=HANG_SECONDS)
    (project / "score.py").write_text(SUM.replace('"sum": sum', '"largest": max'))
    service.update(models=[Model(workspace, "model-new")], inference_config=InferenceConfig("score.py"))
    assert service.run(QUESTION)["largest"] == 3, "a request waits for the change before it"
    assert [model.id for model in service.models] == ["model-new:1"]
    Model(workspace, "model-old").delete()
    with pytest.raises(WebserviceException, match="in use"):
        Model(workspace, "model-new").delete()
    service.update(num_replicas=2)
    service.wait_for_deployment(timeout_sec=HANG_SECONDS)
    assert isinstance(service, AksWebservice)
    assert service.num_replicas == 2
    (project / "score.py").write_text("def init(): raise ValueError('no such weights')\ndef run(data): ...\n")
    service.update(inference_config=InferenceConfig("score.py"))
    with pytest.raises(WebserviceException, match=r"is Failed since its last change(.|\n)*no such weights"):
        service.run(QUESTION)
    assert service.run(QUESTION)["largest"] == 3, "the failure is told once; the former version serves"
    (project / "score.py").write_text(SUM)
    service = Model.deploy(workspace, "updated", ["model-new:1"], InferenceConfig("score.py"), ONE, overwrite=True)
    assert service.run(QUESTION)["sum"] == 6
    service.delete()
    Model(workspace, "model-new").delete()


def test_a_failing_start_is_told_with_its_last_lines_and_can_be_repaired(
    workspace: Workspace, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "score.py").write_text("def init():\n    raise ValueError('no such weights')\ndef run(data): ...\n")
    service = Model.deploy(workspace, "failing", [], InferenceConfig("score.py"), ONE)
    with pytest.raises(WebserviceException, match=r"AKS service 'failing' is Failed(.|\n)*no such weights"):
        service.wait_for_deployment(show_output=True, timeout_sec=HANG_SECONDS)
    assert capsys.readouterr().out.endswith("\nFailed\n")
    assert service.state == "Failed"
    assert service.error is not None and "no such weights" in service.error
    with pytest.raises(WebserviceException, match="Failed"):
        service.wait_for_deployment(timeout_sec=HANG_SECONDS)

    (project / "score.py").write_text(SUM)
    with pytest.raises(WebserviceException, match="overwrite=True"):
        Model.deploy(workspace, "failing", [], InferenceConfig("score.py"), ONE)
    service = Model.deploy(workspace, "failing", [], InferenceConfig("score.py"), ONE, overwrite=True)
    service.wait_for_deployment(timeout_sec=HANG_SECONDS)
    assert service.run(QUESTION)["sum"] == 6


def test_a_failed_deployment_is_retried_by_an_update_with_the_same_settings(
    workspace: Workspace, project: Path
) -> None:
    file = project / "weights"
    (project / "score.py").write_text(f"def init(): open({str(file)!r})\ndef run(data): return 1\n")
    service = Model.deploy(workspace, "again", [], InferenceConfig("score.py"), ONE)
    with pytest.raises(WebserviceException, match="FileNotFoundError"):
        service.wait_for_deployment(timeout_sec=HANG_SECONDS)
    file.touch()
    service.update(inference_config=InferenceConfig("score.py"))
    service.wait_for_deployment(timeout_sec=HANG_SECONDS)
    assert service.run(b"") == 1


def test_an_answer_other_than_200_is_an_error_with_status_and_text(workspace: Workspace, sums: InferenceConfig) -> None:
    service = deployed(workspace, "picky", sums)
    with pytest.raises(WebserviceException, match=r"status 500: .*JSONDecodeError") as caught:
        service.run("no JSON")
    assert caught.value.status_code == 500
    with pytest.raises(WebserviceException, match="is a dict: it must be a string or bytes"):
        service.run({"data": []})  # type: ignore[arg-type]


def test_environment_variables_reach_the_script(workspace: Workspace, project: Path) -> None:
    from mljupyter.core import Environment

    (project / "score.py").write_text(SUM)
    environment = Environment("serving")
    environment.python.user_managed_dependencies = True
    environment.environment_variables = {"GREETING": "hello"}
    service = deployed(workspace, "greeting", InferenceConfig("score.py", environment=environment))
    assert service.run(QUESTION)["greeting"] == "hello"


def test_another_process_finds_the_endpoint(workspace: Workspace, sums: InferenceConfig) -> None:
    deployed(workspace, "shared", sums)
    program = (
        "from mljupyter.core import Workspace, Webservice\n"
        "service = Webservice(Workspace.get('live'), 'shared')\n"
        f"print(type(service).__name__, service.run({QUESTION!r})['sum'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=HANG_SECONDS, check=True
    )
    assert done.stdout == "AksWebservice 6\n"


def test_services_are_listed_by_every_filter(workspace: Workspace, sums: InferenceConfig, project: Path) -> None:
    (project / "model.pkl").touch()
    model = Model.register(workspace, "model.pkl", "listed")
    tagged = AksWebservice.deploy_configuration(num_replicas=1, tags={"stage": "test"}, properties={"p": "1"})
    Model.deploy(workspace, "with-model", [model], sums, tagged)
    Model.deploy(workspace, "without", [], sums)

    def names(list_services: Callable[..., object] = Webservice.list, **filters: object) -> list[str]:
        return [service.name for service in list_services(workspace, **filters)]  # type: ignore[attr-defined]

    assert names() == ["with-model", "without"]
    assert names(compute_type="aks") == names(model_name="listed") == names(model_id=model.id) == ["with-model"]
    assert names(tags=[["stage", "test"]]) == names(properties=["p"]) == ["with-model"]
    assert names(compute_type="ACI") == ["without"]
    assert names(model_id="listed:9") == names(tags=["absent"]) == names(image_name="x") == []
    with pytest.raises(WebserviceException, match="is of the class AksWebservice, not LocalWebservice"):
        LocalWebservice(workspace, "with-model")


def test_models_of_a_service_deleted_by_another_client_are_free(
    workspace: Workspace, sums: InferenceConfig, project: Path
) -> None:
    (project / "model.pkl").touch()
    model = Model.register(workspace, "model.pkl", "freed")
    Model.deploy(workspace, "elsewhere", [model], sums, ONE)
    workspace.endpoints.delete("elsewhere")
    model.delete()


def test_a_refused_deployment_holds_no_model(workspace: Workspace, sums: InferenceConfig, project: Path) -> None:
    (project / "model.pkl").touch()
    model = Model.register(workspace, "model.pkl", "held")
    Model.deploy(workspace, "taken", [], sums, ONE)
    with pytest.raises(WebserviceException, match="exists"):
        Model.deploy(workspace, "taken", [model], sums, ONE)
    model.delete()


def test_a_local_service_goes_to_the_cloud_as_it_is(workspace: Workspace, sums: InferenceConfig) -> None:
    local = deployed(workspace, "mine", sums, LocalWebservice.deploy_configuration())
    assert isinstance(local, LocalWebservice)
    service = local.deploy_to_cloud("theirs", ONE)
    service.wait_for_deployment(timeout_sec=HANG_SECONDS)
    assert isinstance(service, AksWebservice)
    assert service.run(QUESTION) == local.run(QUESTION)


def test_a_workspace_with_services_is_deleted_only_on_demand(
    workspace: Workspace, sums: InferenceConfig, project: Path
) -> None:
    other = Workspace.create("other", path=project / "other")
    service = Model.deploy(other, "diabetes", [], sums, ONE)
    service.wait_for_deployment(timeout_sec=HANG_SECONDS)
    uri = service.scoring_uri
    assert uri is not None
    with pytest.raises(WorkspaceException, match=r"web services diabetes.*delete_dependent_resources=True"):
        other.delete()
    assert status_of(uri, service.get_keys()[0]) == 200
    other.delete(delete_dependent_resources=True)
    assert not (project / "other").exists()
    assert "other" not in Workspace.list()

    def refused() -> bool:
        try:
            urllib.request.urlopen(uri, timeout=1)
        except urllib.error.HTTPError:
            return False
        except OSError:
            return True
        return False

    wait_until(refused, "the router's end")
