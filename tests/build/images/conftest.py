from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from mljupyter.build.environments.definition import EnvironmentDefinition
from mljupyter.build.images import ImagePlan, RegistryCredentials, plan_image
from mljupyter.registry.artifacts.store import ArtifactStore
from mljupyter.spec import CodeReference, ModelReference
from tests.base_image import in_registry
from tests.build.package_index import PackageIndex
from tests.docker_stages import note_present
from tests.ports import free_port
from tests.testbed import needed
from tests.waiting import wait_until

SCORE = """
import os
from pathlib import Path

import roman

def init():
    global weights
    weights = next(Path(os.environ["AZUREML_MODEL_DIR"]).iterdir()).read_text()

def run(data):
    return {"got": data, "weights": weights, "seven": roman.toRoman(7), "user": os.getuid()}
"""
Planner = Callable[..., ImagePlan]
_OWN = f"test-{os.getpid()}-"


@pytest.fixture(autouse=True)
def _no_stored_logins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "no-docker-config"))


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "artifacts")


@pytest.fixture
def planned(store: ArtifactStore, tmp_path: Path) -> Planner:
    """Makes plans of one script, one model and the packages named."""

    def make(
        base: str | None = "python:3.11-slim", pip: tuple[str, ...] = ("roman==4.2",), **changes: Any
    ) -> ImagePlan:
        script, model = tmp_path / "score.py", tmp_path / "model.txt"
        script.write_text(changes.pop("script", SCORE))
        model.write_text("heavy")
        docker: dict[str, Any] = {"baseImage": base} if base else {}
        docker |= changes.pop("docker", {})
        python = changes.pop("python", {"condaDependencies": {"dependencies": ["python=3.11", {"pip": list(pip)}]}})
        definition = EnvironmentDefinition.parse(
            {"python": python, "docker": docker, "environmentVariables": changes.pop("variables", {})}
        )
        code = CodeReference(digest=store.put(script).digest, entry_script="score.py")
        models = [ModelReference(name="scale", version=3, digest=store.put(model).digest, entry="model.txt")]
        return plan_image(definition, **{"code": code, "models": models, **changes})

    return make


@pytest.fixture
def name() -> str:
    return f"{_OWN}{uuid.uuid4().hex[:12]}"


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> Iterator[Any]:
    """The Docker engine; images and containers that a test leaves behind go with it."""
    needed("MLJUPYTER_TEST_DOCKER")
    note_present(request.config)
    from mljupyter.build.images.docker.engine import connect

    client = connect()
    yield client
    label = {"label": f"mljupyter/test={os.getpid()}"}
    for container in client.containers.list(all=True, filters=label, ignore_removed=True):
        container.remove(force=True)
    for image in client.api.images():
        for tag in image["RepoTags"] or ():
            if f"mljupyter/{_OWN}" in tag:  # other processes test at the same time
                client.images.remove(tag, force=True)
    client.close()


@pytest.fixture
def base() -> str:
    needed("MLJUPYTER_TEST_DOCKER")
    return needed("MLJUPYTER_TEST_BASE_IMAGE")


@pytest.fixture
def registry_host() -> str:
    return needed("MLJUPYTER_TEST_REGISTRY")


@pytest.fixture
def private_host() -> str:
    return needed("MLJUPYTER_TEST_PRIVATE_REGISTRY")


@pytest.fixture
def edge(private_host: str) -> RegistryCredentials:
    return RegistryCredentials(private_host, "edge", "edge-secret")


@pytest.fixture
def pushed_base(base: str, registry_host: str) -> str:
    """The base image in the open registry."""
    return in_registry(base, registry_host)


@contextlib.contextmanager
def index_with_sources(host: str) -> Iterator[tuple[str, ...]]:
    """Serve a package whose old version cannot be built, and one whose old version can; yield the lines for pip.

    The newer versions of both have wheels.
    """
    with PackageIndex(host) as index:
        for package in ("native", "portable"):
            index.add_source(package, "1.0", builds=package == "portable")
            index.add(package, "2.0")
        yield (index.option, f"--trusted-host {host}", "native==1.0", "portable==1.0")


def answer_of(engine: Any, image: str, body: str = '{"a": 1}') -> Any:
    """Run a container as a replica is run, and return what it answers."""
    port = free_port()
    container = engine.containers.run(
        image,
        detach=True,
        read_only=True,
        tmpfs={"/tmp": ""},
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        ports={"5001/tcp": ("127.0.0.1", port)},
        labels={"mljupyter/test": str(os.getpid())},
    )
    try:

        def answered() -> httpx.Response | None:
            container.reload()
            assert container.status != "exited", container.logs().decode()
            try:
                response = httpx.post(f"http://127.0.0.1:{port}/score", content=body)
            except httpx.HTTPError:
                time.sleep(0.05)
                return None
            return response if response.status_code != httpx.codes.SERVICE_UNAVAILABLE else None

        response = wait_until(answered, "the container's answer")
        assert response.status_code == httpx.codes.OK, container.logs().decode()
        return response.json()
    finally:
        container.remove(force=True)
