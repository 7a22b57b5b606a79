"""Models that a replica on a real cluster fetches from a container registry with a login, or has in its image."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import os
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

from mljupyter.build.images.docker.engine import connect, push
from mljupyter.build.images.registry.credentials import RegistryCredentials
from mljupyter.build.images.registry.references import Reference
from mljupyter.core import Environment, InferenceConfig, Model, Workspace
from mljupyter.core.compute import ComputeTarget
from mljupyter.core.webservice import AksWebservice
from mljupyter.kubernetes.objects import names
from mljupyter.spec import EndpointState
from mljupyter.targets.kubernetes import control_plane_image
from tests.conformance import conftest as conformance
from tests.conformance.conftest import CLUSTER, changed
from tests.shared_cluster import remove_installation
from tests.testbed import needed
from tests.waiting import HANG_SECONDS, promised, wait_until

pytestmark = pytest.mark.system
LOGIN = RegistryCredentials("registry", "edge", "edge-secret")
SIZE = 30_000_000
MANY = 1000
SMALL = {"cpu_cores": 0.02, "memory_gb": 0.1, "num_replicas": 1, "auth_enabled": False}
SCRIPT = """
import hashlib
import os
from azureml.core.model import Model

def init():
    global answer
    path = Model.get_model_path("large")
    with open(path, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    answer = ["{text}", digest, os.environ["AZUREML_MODEL_DIR"], os.access(path, os.W_OK)]

def run(data):
    return answer
"""
SCRIPT_OF_MANY = """
from azureml.core.model import Model

def init():
    global total
    total = sum(int(open(Model.get_model_path(f"small-{{number}}")).read()) for number in range({count}))

def run(data):
    return total
"""


class HesitantRegistry(http.server.ThreadingHTTPServer):
    """A way to a registry that stops in the middle of the first large answer, and breaks it off when it may go on."""

    def __init__(self, behind: str) -> None:
        super().__init__(("", 0), _Forwarding)
        self.behind = behind
        self.go_on = threading.Event()
        self.starts: list[int] = []

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _Forwarding(http.server.BaseHTTPRequestHandler):
    server: HesitantRegistry
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        registry = self.server
        headers = {name: self.headers[name] for name in ("Accept", "Range") if self.headers[name]}
        login = (LOGIN.username, LOGIN.password)
        answer = httpx.get(f"http://{registry.behind}{self.path}", headers=headers, auth=login)
        self.send_response(answer.status_code)
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        if len(answer.content) < SIZE // 2:
            self.wfile.write(answer.content)
            return
        first = not registry.starts
        registry.starts.append(int((self.headers["Range"] or "bytes=0-").removeprefix("bytes=").rstrip("-")))
        if not first:
            self.wfile.write(answer.content)
            return
        self.wfile.write(answer.content[: SIZE // 3])
        registry.go_on.wait(HANG_SECONDS)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[conformance.Site]:
    """A workspace with a container registry that needs a login, and the cluster attached to it."""
    host, base = needed("TESTBED_PRIVATE_REGISTRY"), needed("TESTBED_BASE_IMAGE")
    needed("TESTBED_KUBECONFIG")
    home = tmp_path_factory.mktemp("home")
    auth = base64.b64encode(f"{LOGIN.username}:{LOGIN.password}".encode()).decode()
    (home / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth}}}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLJUPYTER_HOME", str(home / "mljupyter"))
        patch.setenv("DOCKER_CONFIG", str(home))
        patch.setenv("MLJUPYTER_BASE_IMAGE", base)
        control_plane = control_plane_image.ensure(None, print)
        engine = connect(timeout=300)
        reference = f"{host}/{base}"
        engine.images.get(base).tag(reference)
        push(engine, Reference.parse(reference), (RegistryCredentials(host, LOGIN.username, LOGIN.password),))
        engine.images.remove(reference)
        engine.close()
        patch.setenv("MLJUPYTER_BASE_IMAGE", reference)
        patch.setenv("MLJUPYTER_CONTAINER_REGISTRY", host)
        site = conformance.Site(CLUSTER, Workspace.create("models"))
        conformance.attach(site.workspace, image=control_plane)
        yield site
        remove_installation(site.client)


@pytest.fixture(scope="module")
def large(place: conformance.Site, tmp_path_factory: pytest.TempPathFactory) -> Model:
    path = tmp_path_factory.mktemp("large") / "large.bin"
    path.write_bytes(os.urandom(SIZE))
    return Model.register(place.workspace, str(path), "large")


@pytest.fixture(scope="module")
def many(place: conformance.Site, tmp_path_factory: pytest.TempPathFactory) -> list[Model]:
    directory = tmp_path_factory.mktemp("many")
    models = []
    for number in range(MANY):
        path = directory / f"{number}.txt"
        path.write_text(str(number))
        models.append(Model.register(place.workspace, str(path), f"small-{number}"))
    return models


def config(directory: Path, text: str) -> InferenceConfig:
    """Return an inference config with a script; its environment has no packages."""
    directory.mkdir(exist_ok=True)
    (directory / "score.py").write_text(text)
    return InferenceConfig("score.py", source_directory=str(directory), environment=Environment("bare"))


def pod_of(place: conformance.Site, endpoint: str) -> dict[str, Any]:
    attached: Any = place.client
    labels = f"{names.ENDPOINT_LABEL}={endpoint}"
    pods: list[dict[str, Any]] = attached.cluster.items(names.pods(attached.attached.namespace), labels=labels)
    return max(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))


def deploy(place: conformance.Site, name: str, models: list[Model], inference: InferenceConfig, **others: Any) -> Any:
    return Model.deploy(
        place.workspace,
        name,
        models,
        inference,
        AksWebservice.deploy_configuration(**SMALL, **others),
        deployment_target=ComputeTarget(place.workspace, CLUSTER),
        overwrite=True,
        show_output=True,
    )


def test_a_mounted_model_scores_and_another_script_uploads_no_model_again(
    place: conformance.Site, large: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = hashlib.sha256(Path(large.download(str(tmp_path / "copy"))).read_bytes()).hexdigest()
    service = deploy(
        place, "mounted", [large], config(tmp_path / "one", SCRIPT.format(text="one")), model_delivery="mount"
    )
    assert f"{SIZE:,} bytes were uploaded" in capsys.readouterr().out
    service.wait_for_deployment()
    directory = f"/var/azureml-app/azureml-models/large/{large.version}"
    assert service.run("x") == ["one", digest, directory, False]
    service = deploy(
        place, "mounted", [large], config(tmp_path / "two", SCRIPT.format(text="two")), model_delivery="mount"
    )
    said = capsys.readouterr().out
    assert "; 0 bytes were uploaded" in said
    assert "the models" not in said, "no layer of the image has them"
    service.wait_for_deployment()
    assert service.run("x")[0] == "two"

    pod = pod_of(place, "mounted")
    (fetcher,), (server,) = pod["spec"]["initContainers"], pod["spec"]["containers"]
    assert fetcher["image"] != server["image"], "an image of a user must not see the login of the registry"
    mounted = {mount["name"] for mount in server["volumeMounts"]}
    login = {volume["name"] for volume in pod["spec"]["volumes"] if "secret" in volume}
    assert login & {mount["name"] for mount in fetcher["volumeMounts"]}
    assert not login & mounted, "user code must not see the login of the registry"
    assert "edge-secret" not in json.dumps(pod)
    assert pod["spec"]["volumes"][1]["emptyDir"]["sizeLimit"]


def test_a_profile_measures_a_replica_in_a_pod_and_leaves_nothing(
    place: conformance.Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    script = "def init(): pass\ndef run(data): return sum(range(100_000))\n"
    target = ComputeTarget(place.workspace, CLUSTER)
    inference = config(tmp_path / "busy", script)
    profile = Model.profile(
        place.workspace, "busy", [], inference, input_data="[1]", cpu=1, seconds=3, deployment_target=target
    )
    profile.wait_for_completion()
    found = profile.get_details()
    assert (found["state"], found["successRate"]) == ("Succeeded", 100)
    assert 0.05 < found["maxUtilizedCpu"] < 1.5, "its container may use one core"
    assert 0.01 < found["maxUtilizedMemoryInGB"] < 1
    assert not [one.name for one in place.workspace.webservices.values() if one.name.startswith("profile-")]


def test_a_model_that_is_not_in_the_registry_is_told_with_the_way_out(place: conformance.Site) -> None:
    spec = place.client.endpoint("mounted").spec
    ((name, version),) = spec.versions.items()
    missing = {**version.models[0].document(), "digest": f"sha256:{'1' * 64}"}
    wanted = changed(spec, name, models=[missing]).model_copy(update={"name": "missing"})
    began = time.monotonic()
    record = place.settle(place.client.create(wanted))
    assert time.monotonic() - began < promised(10)
    assert record.status.state is EndpointState.FAILED
    assert record.status.problem is not None
    assert f"model large:{version.models[0].version} is not in the registry" in record.status.problem.message
    assert "Deploy again from the workspace that has the model" in record.status.problem.message
    place.client.delete("missing")


def test_the_progress_is_shown_and_an_interrupted_download_goes_on(
    place: conformance.Site, large: Model, capsys: pytest.CaptureFixture[str]
) -> None:
    present = place.client.endpoint("mounted").spec
    ((name, version),) = present.versions.items()
    with HesitantRegistry(needed("TESTBED_PRIVATE_REGISTRY")) as registry, ThreadPoolExecutor() as pool:
        image = str(version.image).replace(needed("TESTBED_PRIVATE_REGISTRY"), registry.host)
        engine = connect()
        engine.images.get(str(version.image)).tag(image)  # nodes have the image; they have no login for this registry
        try:
            wanted = changed(present, name, image=image, imageId=None).model_copy(update={"name": "slow"})
            began = time.monotonic()
            place.client.create(wanted)
            service = place.workspace.webservices["slow"]
            waiting = pool.submit(service.wait_for_deployment, show_output=True)
            attached: Any = place.client
            path = f"{names.mlendpoints(attached.attached.namespace)}/slow"
            progress = rf"fetching model large:{large.version}, [\d.]+ of {SIZE // 1_000_000} MB"
            said: list[str] = []

            def is_told() -> bool:
                said.append(capsys.readouterr().out)
                assert not waiting.done(), ("".join(said), waiting.exception())
                return re.search(progress, "".join(said)) is not None

            try:
                wait_until(is_told, "the progress")
            except AssertionError as error:
                raise AssertionError("".join(said), attached.cluster.find(path)) from error
            assert time.monotonic() - began < promised(10)
            assert re.search(progress, json.dumps(attached.cluster.find(path)["status"]))
            assert place.client.endpoint("slow").status.state is EndpointState.TRANSITIONING
            registry.go_on.set()
            waiting.result(HANG_SECONDS)
            assert service.run("x")[0] == "two"
            assert registry.starts[0] == 0 < registry.starts[1], "the second request asks for the rest only"
        finally:
            registry.go_on.set()
            place.client.delete("slow")
            engine.images.remove(image)
            engine.close()


@pytest.mark.parametrize(("delivery", "count"), [("bake", MANY), ("mount", 40)])
def test_many_models_work_in_one_container(
    place: conformance.Site, many: list[Model], tmp_path: Path, delivery: str, count: int
) -> None:
    inference = config(tmp_path / "many", SCRIPT_OF_MANY.format(count=count))
    service = deploy(place, f"many-{delivery}", many[:count], inference, model_delivery=delivery)
    service.wait_for_deployment()
    assert service.run("x") == sum(range(count))
