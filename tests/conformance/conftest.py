"""The targets that are held to the contract, each with a workspace of its own."""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import sys
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from mljupyter.client.base import EndpointClient
from mljupyter.core import Workspace
from mljupyter.core.compute import ComputeTarget, KubernetesCompute
from mljupyter.spec import CodeReference, EndpointRecord, EndpointSpec, EndpointState
from mljupyter.targets import catalog
from tests.conformance.fake_target import ADDRESS, FakeControlPlanes
from tests.shared_cluster import remove_installation
from tests.system.targets import DOCKERFILE, build
from tests.testbed import needed
from tests.waiting import HANG_SECONDS, wait_until

# One client, as making one takes longer than a request; no connection is kept, as endpoints come and go.
_requests = httpx.Client(timeout=HANG_SECONDS, limits=httpx.Limits(max_keepalive_connections=0))
_deleting = ThreadPoolExecutor(8, "deleting")
CLUSTER = "kubernetes"
_ROOT = Path(__file__).parents[2]
_SETTLED = (EndpointState.HEALTHY, EndpointState.FAILED)
ENTRY_POINT = "[mljupyter.targets]\nfake = tests.conformance.fake_target:targets\n"


def script(answer: str, *, init: str = "pass", run: str = "pass") -> str:
    """Return a scoring script that answers with a text, and to rows with rows; a row "bad" fails.

    `init` and `run` are statements of its functions.
    """
    return textwrap.dedent(f"""
        import json
        import time

        def init():
            print("init of {answer}")
            {init}

        def run(data):
            {run}
            if data.startswith('{{"data"'):
                rows = json.loads(data)["data"]
                if "bad" in rows:
                    raise ValueError("the row is bad")
                return rows
            print("{answer} got", data)
            return "{answer}"
        """)


@dataclass
class Site:
    """A workspace and a target in it. `client` is the target's own, `workspace.endpoints` that of all targets."""

    name: str
    workspace: Workspace
    numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def client(self) -> EndpointClient:
        return self.workspace.context.target(self.name).endpoints()

    def runs(self, text: str, dockerfile: str = DOCKERFILE) -> dict[str, Any]:
        """Return the fields of a version that runs a scoring script, in an image if the target needs one."""
        if self.name == "docker":
            return {"image": build(text, dockerfile)}
        if self.name == CLUSTER:
            return {
                "image": build(text, dockerfile),
                "code": {"digest": f"sha256:{'0' * 64}", "entryScript": "score.py"},
                "resources": {"cpu": 0.05},  # a small node has room for the pods of several tests
            }
        path = self.workspace.directory / "scripts" / str(next(self.numbers)) / "score.py"
        path.parent.mkdir(parents=True)
        path.write_text(text)
        digest = self.workspace.context.artifacts.put(path).digest
        return {
            "code": CodeReference(digest=digest, entry_script="score.py").document(),
            "interpreter": sys.executable,
        }

    def discard(self, name: str) -> None:
        """Delete an endpoint that no test needs any more, if it is there.

        On a cluster, the node may take a minute to say that pods have ended; the next tests do not wait for that.
        """
        if self.name == CLUSTER:
            _deleting.submit(self._delete, name)
        else:
            self._delete(name)

    def clear(self) -> None:
        """Discard all endpoints."""
        for record in self.client.endpoints():
            self.discard(record.spec.name)

    def _delete(self, name: str) -> None:
        if any(record.spec.name == name for record in self.client.endpoints()):
            self.client.delete(name)

    def spec(self, name: str, **versions: dict[str, Any]) -> EndpointSpec:
        """Describe an endpoint; the first version is the default. Without versions it has one that says ``one``."""
        versions = versions or {"one": self.runs(script("one"))}
        return EndpointSpec.parse(
            {
                "name": name,
                "kind": "AKSENDPOINT",
                "computeTarget": self.name,
                "defaultVersion": next(iter(versions)),
                "versions": versions,
            }
        )

    def settle(self, record: EndpointRecord) -> EndpointRecord:
        """Wait until the state of an endpoint tells of its newest spec, and is final."""
        name = record.spec.name
        deadline = time.monotonic() + HANG_SECONDS
        while not (record.status.state in _SETTLED and record.status.observed_generation >= record.generation):
            assert time.monotonic() < deadline, record
            record = self.client.watch(name, record.resource_version, 5)
        return record

    def healthy(self, spec: EndpointSpec, **keys: str) -> EndpointRecord:
        """Create an endpoint and wait until it is healthy."""
        record = self.settle(self.client.create(spec, **keys))
        assert record.status.state is EndpointState.HEALTHY, record.status.problem
        return record


def attach(workspace: Workspace, **others: Any) -> None:
    """Attach the cluster of the tests, with a namespace of its own and the routers on a port of its node.

    `others` are further arguments of `attach_configuration`.
    """
    configuration = KubernetesCompute.attach_configuration(
        kubeconfig=needed("TESTBED_KUBECONFIG"),
        namespace=f"conformance-{secrets.token_hex(4)}",
        cluster_purpose="DevTest",
        service_type="NodePort",
        **others,
    )
    ComputeTarget.attach(workspace, CLUSTER, configuration).wait_for_completion()


@contextlib.contextmanager
def attached_site(workspace: str, directories: pytest.TempPathFactory, **settings: Any) -> Iterator[Site]:
    """Attach the cluster to a new workspace, for tests that other ones cannot share it with (see `SharedCluster`).

    Parameters:
        workspace: the name of the workspace.
        directories: for its home.
        settings: further arguments of `attach_configuration`.

    """
    needed("TESTBED_KUBECONFIG")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLJUPYTER_HOME", str(directories.mktemp("home")))
        patch.setenv("MLJUPYTER_BASE_IMAGE", needed("TESTBED_BASE_IMAGE"))
        site = Site(CLUSTER, Workspace.create(workspace))
        attach(site.workspace, **settings)
        try:
            yield site
        finally:
            remove_installation(site.client)


def changed(spec: EndpointSpec, version: str, **fields: object) -> EndpointSpec:
    """Return a spec with other fields of a version."""
    document = spec.document()
    document["versions"].setdefault(version, {}).update(fields)
    return EndpointSpec.parse(document)


def score(uri: str | None, credential: str | None = None, body: bytes = b"x", version: str = "") -> httpx.Response:
    """Send one request."""
    headers = {"azureml-model-deployment": version} if version else {}
    if credential is not None:
        headers["authorization"] = f"Bearer {credential}"
    assert uri is not None
    return _requests.post(uri, content=body, headers=headers)


@pytest.fixture(scope="module")
def planes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeControlPlanes]:
    """The target ``fake``, registered by an entry point as a package of a third party registers one."""
    packages = tmp_path_factory.mktemp("packages")
    metadata = packages / "mljupyter_fake-1.0.dist-info"
    metadata.mkdir()
    metadata.joinpath("METADATA").write_text("Metadata-Version: 2.1\nName: mljupyter-fake\nVersion: 1.0\n")
    metadata.joinpath("entry_points.txt").write_text(ENTRY_POINT)
    with FakeControlPlanes() as planes, pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(packages)
        patch.setenv("PYTHONPATH", f"{packages}{os.pathsep}{_ROOT}")
        patch.setenv(ADDRESS, planes.address)
        catalog._providers.cache_clear()
        yield planes
    catalog._providers.cache_clear()


@pytest.fixture(scope="module", params=["fake", "local", "docker", CLUSTER])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Each target in turn, in a workspace of its own; nothing of it runs afterwards. The cluster is the shared one."""
    if request.param == CLUSTER:
        yield request.getfixturevalue("attached")
        return
    if request.param == "docker":
        needed("TESTBED_DOCKER")
        pytest.importorskip("docker", reason="needs the Docker SDK: pip install 'mljupyter[docker]'")
    if request.param == "fake":
        request.getfixturevalue("planes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLJUPYTER_HOME", str(tmp_path_factory.mktemp("home")))
        site = Site(request.param, Workspace.create("team"))
        yield site
        site.clear()
        site.workspace.controller.stop(force=True)


@pytest.fixture
def name(request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of an endpoint for one test, which is deleted when the test ends."""
    site = request.getfixturevalue("site")
    name = f"e{next(site.numbers)}-endpoint"
    yield name
    site.discard(name)


def until(predicate: Any, what: str) -> Any:
    """Wait for a condition."""
    return wait_until(predicate, what)
