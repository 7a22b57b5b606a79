"""Images from the SDK on a real Docker engine: built, run, deployed, updated, packaged, removed."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mljupyter.core import (
    AciWebservice,
    AksWebservice,
    ContainerImage,
    ContainerRegistry,
    Environment,
    Image,
    InferenceConfig,
    LocalWebservice,
    Model,
    Webservice,
    Workspace,
)
from mljupyter.core.image import ContainerImageConfig
from mljupyter.exceptions import UserErrorException, WebserviceException
from tests.base_image import in_registry
from tests.testbed import needed
from tests.waiting import HANG_SECONDS, wait_until

docker = pytest.importorskip("docker", reason="needs the Docker SDK: pip install 'mljupyter[docker]'")
pytestmark = pytest.mark.system

IN_PACKAGE = """
import multiprocessing
from main import KIND
POOL = multiprocessing.get_context("spawn").Pool
def square(x): return x * x
"""
SCRIPT = """
import json
import os
from pathlib import Path

import humanize


def init():
    global number
    number = int(Path(os.environ["AZUREML_MODEL_DIR"], "number.txt").read_text())


def run(data):
    return {"words": humanize.intcomma(number + sum(json.loads(data)["data"])), "beside": sorted(os.listdir())}
"""
CONDA = "dependencies:\n- python=3.11\n- pip:\n  - humanize==4.9.0\n"
BODY = b'{"data": [200, 34]}'


@pytest.fixture
def engine() -> Iterator[Any]:
    needed("MLJUPYTER_TEST_DOCKER")
    client = docker.from_env()
    yield client
    client.close()


@pytest.fixture
def containers(
    workspace: Workspace, engine: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Workspace]:
    """A workspace whose images are on the engine; what it deployed and built is removed."""
    monkeypatch.setenv("MLJUPYTER_BASE_IMAGE", needed("MLJUPYTER_TEST_BASE_IMAGE"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "no-docker-config"))
    monkeypatch.delenv("MLJUPYTER_CONTAINER_REGISTRY", raising=False)
    yield workspace
    for service in Webservice.list(workspace):
        service.delete()
    for image in Image.list(workspace):
        image.delete()
    workspace.controller.stop(force=True)


@pytest.fixture
def config(project: Path, containers: Workspace) -> ContainerImageConfig:
    (project / "score.py").write_text(SCRIPT)
    (project / "env.yml").write_text(CONDA)
    (project / "words.txt").write_text("one")
    return ContainerImage.image_configuration("score.py", "python", conda_file="env.yml", dependencies=["words.txt"])


@pytest.fixture
def model(containers: Workspace, project: Path) -> Model:
    (project / "number.txt").write_text("1000000")
    return Model.register(containers, "number.txt", "number")


@pytest.fixture
def name() -> str:
    return f"sdk-{uuid.uuid4().hex[:12]}"


def other_sum(project: Path) -> None:
    (project / "score.py").write_text(SCRIPT.replace("number + sum", "number - sum"))


def test_register_configure_build_deploy_run_update_and_clean_up(
    containers: Workspace,
    project: Path,
    config: ContainerImageConfig,
    model: Model,
    name: str,
    engine: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    image = ContainerImage.create(name=name, models=[model], image_config=config, workspace=containers)
    image.wait_for_creation(show_output=True)
    output = capsys.readouterr().out
    assert "requirements.txt" in output, "the log is shown line by line"
    assert output.endswith(f"Succeeded: image {name}:1 is {image.image_location}\n")
    assert "requirements.txt" in Path(image.image_build_log_uri.removeprefix("file://")).read_text()
    assert "FROM" in Path(str(image.generated_dockerfile_uri).removeprefix("file://")).read_text()
    assert "humanize" in {part["name"] for part in image.bill_of_materials["components"]}
    assert image.run(BODY)["words"] == "1,000,234"

    engine.images.remove(image.image_location)  # by somebody: it is built again of the same content
    aci = AciWebservice.deploy_configuration(cpu_cores=1, memory_gb=1)
    service = Webservice.deploy_from_image(containers, "words", image, aci)
    service.wait_for_deployment(show_output=True)
    assert service.state == "Healthy"
    answer = service.run(input_data=BODY)
    assert answer["words"] == "1,000,234"
    assert {"score.py", "words.txt"} <= set(answer["beside"])
    assert service.image_id == f"{name}:1"
    assert [model.id for model in service.models] == ["number:1"]

    other_sum(project)
    new = ContainerImage.create(containers, name, [model], config)
    new.wait_for_creation()
    service = Webservice(name="words", workspace=containers)
    assert service.run(BODY)["words"] == "1,000,234", "a new version of the image changes no web service by itself"
    service.update(image=new)
    service.wait_for_deployment()
    assert service.run(BODY)["words"] == "999,766"
    assert [found.name for found in Webservice.list(containers, image_name=name)] == ["words"]
    assert [found.name for found in Webservice.list(containers, image_id=new.id)] == ["words"]
    assert [found.name for found in Webservice.list(containers, image_digest=new.image_digest)] == ["words"]
    assert Webservice.list(containers, image_id=image.id) == []

    with pytest.raises(WebserviceException, match="in use by web service words"):
        new.delete()
    with pytest.raises(WebserviceException, match="cannot be combined"):
        service.update(image=new, inference_config=InferenceConfig("score.py"))
    image.delete()
    service.delete()
    new.delete()
    model.delete()
    assert engine.images.list(filters={"reference": f"mljupyter/{name}"}) == []


def test_one_call_registers_builds_and_deploys(
    containers: Workspace, project: Path, config: ContainerImageConfig
) -> None:
    (project / "number.txt").write_text("1000000")
    aks = AksWebservice.deploy_configuration(num_replicas=1, cpu_cores=0.2)
    service = Webservice.deploy(containers, "words", ["number.txt"], config, aks)
    service.wait_for_deployment()
    assert service.run(BODY)["words"] == "1,000,234"
    assert service.image_id == "words:1"
    assert Model(containers, "number.txt").version == 1
    with pytest.raises(WebserviceException, match=r"already.*overwrite=True"):
        Webservice.deploy_from_model(containers, "words", ["number.txt:1"], config)
    with pytest.raises(WebserviceException, match="already"):
        Webservice.check_for_existing_webservice(containers, "words")


def test_a_workspace_deleted_with_what_depends_on_it_leaves_no_image_on_the_engine(
    containers: Workspace, project: Path, config: ContainerImageConfig, engine: Any, name: str
) -> None:
    (project / "score.py").write_text(f"{SCRIPT}\n# {name}: no other test has an image of this\n")
    other = Workspace.create(name, path=project / "other")
    image = Image.create(other, "words", [], config)
    image.wait_for_creation()
    location = image.image_location
    assert engine.images.get(location)
    other.delete(delete_dependent_resources=True)
    assert location not in {tag for found in engine.images.list() for tag in found.tags}


def test_a_local_web_service_in_a_container_has_its_port_and_reads_the_script_again(
    containers: Workspace, project: Path, config: ContainerImageConfig, model: Model
) -> None:
    service = Webservice.deploy_local_from_model(containers, "words", [model], config, wait=True)
    assert isinstance(service, LocalWebservice)
    assert service.state == "running"
    assert service.scoring_uri == f"http://localhost:{service.port}/score"
    assert service.run(BODY)["words"] == "1,000,234"
    assert service._spec.compute_target == "docker"

    other_sum(project)
    service.reload(wait=True)
    assert service.run(BODY)["words"] == "999,766"
    (project / "score.py").write_text(SCRIPT)
    service.update(models=["number:1"], image_config=config, wait=True)
    assert service.run(BODY)["words"] == "1,000,234"
    assert service.environment is not None
    assert service.image_id is not None
    service.delete(delete_image=True)
    with pytest.raises(WebserviceException, match="ImageNotFound"):
        Image(containers, id=service.image_id)


def test_a_local_web_service_whose_environment_has_an_image_runs_in_a_container(
    containers: Workspace, project: Path, config: ContainerImageConfig, model: Model
) -> None:
    environment = Environment.from_conda_specification("words", "env.yml")
    environment.docker.base_image = needed("MLJUPYTER_TEST_BASE_IMAGE")
    inference = InferenceConfig("score.py", environment=environment)
    service = Model.deploy(containers, "words", [model], inference, LocalWebservice.deploy_configuration())
    service.wait_for_deployment()
    assert service.run(BODY)["beside"] == ["azureml-models", "score.py"]
    assert service._spec.compute_target == "docker"
    cloud = service.deploy_to_cloud("words-cloud", AksWebservice.deploy_configuration(num_replicas=1))
    cloud.wait_for_deployment()
    assert cloud.run(BODY)["words"] == "1,000,234"
    assert cloud.image_id == service.image_id


def test_an_image_of_the_users_own_is_taken_as_it_is(
    containers: Workspace, config: ContainerImageConfig, model: Model, name: str, engine: Any
) -> None:
    built = ContainerImage.create(containers, f"{name}-b", [model], config)
    built.wait_for_creation()
    engine.images.get(built.image_location).tag("mljupyter-test/own", tag=name)
    reference = f"mljupyter-test/own:{name}"
    own = Image.register(containers, name, reference, tags={"from": "elsewhere"})
    own.wait_for_creation()
    assert (own.image_location, own.tags) == (reference, {"from": "elsewhere"})
    service = Webservice.deploy_from_image(containers, "words", own)
    service.wait_for_deployment()
    assert service.run(BODY)["words"] == "1,000,234"
    service.delete()
    own.delete()
    assert engine.images.get(reference), "what was not built here stays where it is"
    engine.images.remove(reference)
    missing = Image.register(containers, name, f"{needed('MLJUPYTER_TEST_REGISTRY')}/no/such:image")
    with pytest.raises(WebserviceException, match=r"(?s)Failed.*not found"):
        missing.wait_for_creation()


def test_a_private_base_image_needs_the_right_password_which_is_shown_nowhere(
    containers: Workspace, project: Path, config: ContainerImageConfig, model: Model, name: str, engine: Any
) -> None:
    host, base = needed("MLJUPYTER_TEST_PRIVATE_REGISTRY"), needed("MLJUPYTER_TEST_BASE_IMAGE")
    repository = f"{host}/test/{name}"
    engine.images.get(base).tag(repository, tag="3.11")
    login = {"username": "edge", "password": "edge-secret"}
    assert "error" not in engine.images.push(repository, tag="3.11", auth_config=login)
    engine.images.remove(f"{repository}:3.11")

    def configured(password: str) -> ContainerImageConfig:
        return ContainerImage.image_configuration(
            "score.py",
            "python",
            conda_file="env.yml",
            base_image=f"test/{name}:3.11",
            base_image_registry=ContainerRegistry(address=host, username="edge", password=password),
        )

    failed = ContainerImage.create(containers, name, [model], configured("wr0ng-password"))
    with pytest.raises(WebserviceException, match=r"(?s)step|Step 'base image'.*credentials") as caught:
        failed.wait_for_creation(show_output=True)
    log = Path(failed.image_build_log_uri.removeprefix("file://")).read_text()
    assert "wr0ng-password" not in f"{caught.value}{log}{failed.serialize()}{failed.record}"

    image = ContainerImage.create(containers, name, [model], configured("edge-secret"))
    image.wait_for_creation()
    assert image.run(BODY)["words"] == "1,000,234"
    assert f"FROM {repository}:3.11" in Path(str(image.generated_dockerfile_uri).removeprefix("file://")).read_text()
    assert b"edge-secret" not in b"".join(
        path.read_bytes() for path in containers.directory.rglob("*") if path.is_file()
    ), "no file of the workspace holds the password"
    image.delete()
    engine.images.remove(f"{repository}:3.11")


def test_a_package_is_an_image_or_the_directory_it_is_built_of(
    containers: Workspace, project: Path, config: ContainerImageConfig, model: Model, name: str, engine: Any
) -> None:
    environment = Environment.from_dockerfile(
        "words", f"FROM {needed('MLJUPYTER_TEST_BASE_IMAGE')}\nRUN echo made > /made\n", conda_specification="env.yml"
    )
    (project / "source").mkdir()
    more = '"made": open("/made").read(), "package": KIND, "square": POOL(1).map(square, [3]), "beside"'
    (project / "source" / "main.py").write_text(IN_PACKAGE + SCRIPT.replace('"beside"', more))
    (project / "source" / "main").mkdir()  # the package is what `import main` finds, not the script
    (project / "source" / "main" / "__init__.py").write_text("KIND = 'package'\n")
    inference = InferenceConfig("main.py", source_directory="source", environment=environment)
    package = Model.package(containers, [model], inference, image_name=f"mljupyter/{name}", image_label="v1")
    package.wait_for_creation(show_output=True)
    assert (package.state, package.location) == ("Succeeded", f"mljupyter/{name}:v1")
    package.pull()
    assert "requirements.txt" in package.package_creation_logs
    assert package.get_container_registry().address is None
    with pytest.raises(WebserviceException, match="pull"):
        package.save("nowhere")

    directory = Model.package(containers, [model], inference, generate_dockerfile=True)
    directory.wait_for_creation(show_output=True)
    directory.save(project / "context")
    assert (project / "context" / "azureml-app" / "source" / "main.py").is_file()
    assert (project / "context" / "azureml-models" / "number" / "1" / "number.txt").read_text() == "1000000"
    assert json.loads((project / "context" / "model_config_map.json").read_text())["models"]["number:1"]
    built, _ = engine.images.build(path=str(project / "context"), tag=f"mljupyter/{name}:own", rm=True)
    with pytest.raises(WebserviceException, match="save"):
        directory.pull()

    from mljupyter.deploy.images import smoke_test

    answer = smoke_test.run(f"mljupyter/{name}:own", BODY)
    assert (answer["words"], answer["made"]) == ("1,000,234", "made\n")
    assert (answer["package"], answer["square"]) == ("package", [9])
    assert engine.images.get(package.location).attrs["Config"]["Env"] == built.attrs["Config"]["Env"]
    engine.images.remove(package.location)
    engine.images.remove(f"mljupyter/{name}:own", force=True)


def test_an_environment_is_built_as_an_image(containers: Workspace, config: ContainerImageConfig) -> None:
    environment = Environment.from_conda_specification("words", "env.yml")
    before = environment.get_image_details(containers)
    assert not before.image_exist
    assert "FROM" in before.dockerfile
    details = environment.build(containers)
    assert details.wait_for_completion(show_output=False).status == "Succeeded"
    assert "requirements.txt" in details.get_log()
    after = environment.get_image_details(containers)
    assert after.image_exist
    assert after["dockerImage"]["image"] == after.image == details.image_location
    assert after.repository in str(after.image)
    assert Image.list(containers) == [], "it is no image to deploy"
    again = environment.build_local(containers, useDocker=True).wait_for_completion()
    assert again.get_log() == details.get_log(), "what is there is not built again"
    environment.docker.extra_dockerfile_steps = "RUN echo out of luck; exit 7"
    with pytest.raises(UserErrorException, match="exit 7"):
        environment.build(containers).wait_for_completion(show_output=False)
    containers_engine = docker.from_env()
    containers_engine.images.remove(details.image_location)
    containers_engine.close()


def test_a_build_that_fails_names_step_lines_and_hint_and_a_silent_one_is_cancelled(
    containers: Workspace, project: Path, model: Model, config: ContainerImageConfig, name: str
) -> None:
    (project / "env.yml").write_text(CONDA.replace("humanize", "no-such-package-mljupyter-test"))
    with pytest.raises(WebserviceException, match=r"(?s)Step 'environment'.*no-such-package.*Hint:"):
        Webservice.deploy_from_model(containers, name[:32], [model], config)
    failed = Image(containers, name)
    assert failed.creation_state == "Failed"
    assert "no-such-package" in Path(failed.image_build_log_uri.removeprefix("file://")).read_text()

    (project / "steps").write_text("RUN sleep 600")
    slow = ContainerImage.image_configuration("score.py", "python", docker_file="steps")
    image = ContainerImage.create(containers, name, [model], slow)
    log = Path(image.image_build_log_uri.removeprefix("file://"))
    wait_until(lambda: "sleep 600" in log.read_text(), "the silent step")
    program = (
        "from mljupyter.core import Image, Workspace\n"
        f"image = Image(Workspace.get('{containers.name}'), {name!r})\n"
        "try: image.cancel()\nexcept Exception as error: print(error)\nprint(image.creation_state)"
    )
    command = [os.sys.executable, "-c", program]
    other = subprocess.run(command, capture_output=True, text=True, timeout=HANG_SECONDS, check=True).stdout
    assert "built by another process" in other
    image.cancel()
    with pytest.raises(WebserviceException, match="is Canceled"):
        image.wait_for_creation()


def test_images_of_a_workspace_with_a_registry_are_pushed_there_without_an_engine_and_pulled_to_serve(
    containers: Workspace,
    config: ContainerImageConfig,
    model: Model,
    name: str,
    engine: Any,
    monkeypatch,
    project: Path,
) -> None:
    host, base = needed("MLJUPYTER_TEST_REGISTRY"), needed("MLJUPYTER_TEST_BASE_IMAGE")
    monkeypatch.setenv("MLJUPYTER_BASE_IMAGE", in_registry(base, host))
    team = Workspace.create("registry-team", container_registry=host)
    assert team.get_details()["containerRegistry"] == host
    number = Model.register(team, "number.txt", "number")
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    image = ContainerImage.create(team, name, [number], config)
    image.wait_for_creation()
    assert str(image.image_location).startswith(f"{host}/mljupyter/{name}:1-")
    environment = Environment.from_conda_specification("words", "env.yml")
    package = Model.package(
        team,
        [number],
        InferenceConfig("score.py", environment=environment),
        image_name=f"test/{name}",
        image_label="v1",
    )
    package.wait_for_creation()
    assert package.location == f"{host}/test/{name}:v1"
    assert package.get_container_registry().address == host

    monkeypatch.delenv("DOCKER_HOST")
    service = Webservice.deploy_from_image(team, "words", image)
    service.wait_for_deployment()
    assert service.run(BODY)["words"] == "1,000,234"
    package.pull()
    assert engine.images.get(package.location)
    service.delete()
    engine.images.remove(package.location)
    engine.images.remove(image.image_location)
    team.delete()
