"""A workspace, and a cluster that is attached to it with a small operator and router of the tests."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import mljupyter.kubernetes
from mljupyter.build.images.docker.engine import connect
from mljupyter.core import Workspace
from mljupyter.core.compute import cluster as clusters
from mljupyter.core.compute.cluster import ClusterCompute
from mljupyter.kubernetes.objects import names
from mljupyter.targets.kubernetes.attachment import ClusterSettings
from mljupyter.targets.kubernetes.client import ClusterClient
from mljupyter.targets.kubernetes.cluster import Cluster, access_to
from tests.shared_cluster import remove_installation
from tests.testbed import needed

IMAGE = "mljupyter-test/stand-in:1"
NAMESPACE = f"clients-{os.getpid()}"
ENDPOINT = {
    "apiVersion": f"{names.GROUP}/{names.API_VERSION}",
    "kind": names.KIND,
    "metadata": {"name": "iris"},
    "spec": {
        "defaultVersion": "iris",
        "versions": {"iris": {"code": {"digest": "sha256:" + "0" * 64, "entryScript": "score.py"}}},
    },
}
_DOCKERFILE = """\
FROM {base}
RUN command -v python || ln -s "$(command -v python3)" /usr/local/bin/python
COPY operator.py router_agent.py connectivity.py /opt/stand-in/mljupyter/kubernetes/
ENV PYTHONPATH=/opt/stand-in
USER 10001:10001
"""


@pytest.fixture(scope="session")
def kubeconfig() -> str:
    return needed("TESTBED_KUBECONFIG")


@pytest.fixture(scope="session")
def cluster(kubeconfig: str) -> Cluster:
    return Cluster(access_to(kubeconfig))


@pytest.fixture(scope="session")
def image() -> str:
    """The image of the small operator and router."""
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as archive:
        for path in (Path(__file__).parent / "stand_in").glob("*.py"):
            archive.add(path, path.name)
        archive.add(Path(mljupyter.kubernetes.__file__).with_name("connectivity.py"), "connectivity.py")  # the real one
        dockerfile = _DOCKERFILE.format(base=needed("TESTBED_BASE_IMAGE")).encode()
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(dockerfile)
        archive.addfile(entry, io.BytesIO(dockerfile))
    client = connect()
    client.images.build(fileobj=io.BytesIO(context.getvalue()), custom_context=True, tag=IMAGE, rm=True)
    client.close()
    return IMAGE


@pytest.fixture(scope="session")
def settings(kubeconfig: str, image: str) -> ClusterSettings:
    return ClusterSettings(kubeconfig, namespace=NAMESPACE, purpose="DevTest", image=image)


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace.create("clients", path=tmp_path_factory.mktemp("workspace"))


@pytest.fixture(scope="session")
def target(workspace: Workspace, settings: ClusterSettings) -> Iterator[ClusterCompute]:
    clusters.begin(workspace, "team", settings, force=True)
    target = ClusterCompute(workspace, "team")
    target.wait_for_completion()
    yield target
    if "team" in workspace.compute_targets:
        remove_installation(target._target.endpoints())


@pytest.fixture
def client(target: ClusterCompute) -> ClusterClient:
    return target._target.endpoints()
