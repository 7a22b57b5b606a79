from __future__ import annotations

import os
import socket
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
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def _stages() -> Iterator[None]:
    """Removes the stages that an engine keeps of builds, in the end: each test profits from those before."""
    from mljupyter.build.images.docker.engine import connect

    client = connect()

    def untagged() -> set[str]:
        labels = ("mljupyter/environment", "mljupyter/server")
        found = [client.images.list(filters={"label": label, "dangling": True}) for label in labels]
        return {str(image.id) for images in found for image in images}

    before = untagged()
    yield
    while made := untagged() - before:
        for image in made:
            client.images.remove(image, force=True)
    client.close()


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> Iterator[Any]:
    """The Docker engine; images and containers that a test leaves behind go with it."""
    needed("MLJUPYTER_TEST_DOCKER")
    request.getfixturevalue("_stages")
    from mljupyter.build.images.docker.engine import connect

    client = connect()
    yield client
    for container in client.containers.list(all=True, filters={"label": f"mljupyter/test={os.getpid()}"}):
        container.remove(force=True)
    for image in client.images.list():
        for tag in image.tags:
            if "mljupyter/test-" in tag:
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
    """The base image in the open registry, pushed there by the first test that wants it."""
    reference = f"{registry_host}/{base}"
    repository, _, tag = base.partition(":")
    if httpx.head(f"http://{registry_host}/v2/{repository}/manifests/{tag}").status_code != httpx.codes.OK:
        from mljupyter.build.images.docker.engine import connect, push
        from mljupyter.build.images.registry.references import Reference

        client = connect(timeout=300)
        client.images.get(base).tag(reference)
        push(client, Reference.parse(reference), ())
        client.images.remove(reference)
        client.close()
    return reference


def answer_of(engine: Any, image: str, body: str = '{"a": 1}') -> Any:
    """Run a container as a replica is run, and return what it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
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
