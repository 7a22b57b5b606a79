"""The attached cluster that all tests of a process share: it takes up to a minute to attach and detach one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.testbed import needed

if TYPE_CHECKING:
    from mljupyter.client.base import EndpointClient
    from tests.conformance.conftest import Site


def remove_installation(client: EndpointClient) -> None:
    """Remove the installation in a namespace of the tests, without waiting for the end.

    Detaching has tests of its own. It waits up to a minute until the node says that the pods have ended.

    Parameters:
        client: the client of the attached cluster.

    """
    from mljupyter.kubernetes.objects import names
    from mljupyter.kubernetes.objects.installation import cluster_wide
    from mljupyter.targets.kubernetes.client import ClusterClient
    from mljupyter.targets.kubernetes.cluster import MERGE, ClusterError

    assert isinstance(client, ClusterClient)
    namespace = client.attached.namespace
    for item in client.cluster.items(names.mlendpoints(namespace)):  # after a failure: no operator finishes them
        path = f"{names.mlendpoints(namespace)}/{item['metadata']['name']}"
        client.cluster.delete(path)  # an operator that still runs would add the finalizer again
        with contextlib.suppress(ClusterError):  # it was faster
            client.cluster.call("PATCH", path, {"metadata": {"finalizers": None}}, content_type=MERGE)
    for manifest in cluster_wide(namespace):
        client.cluster.delete(names.object_path(manifest))
    client.cluster.delete(f"/api/v1/namespaces/{namespace}")
    client.close()


class SharedCluster:
    """A workspace with an attached cluster. It is attached when it is first needed, and again after a detach.

    Parameters:
        home: the directory of workspaces.

    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._site: Site | None = None
        self._count = 0

    @contextmanager
    def lent(self) -> Iterator[Site]:
        """Lend the cluster to a test file. Its endpoints are deleted afterwards."""
        with self._environment():
            if not self._is_attached():
                self._site = self._attached()
            assert self._site is not None
            yield self._site
            if self._is_attached():
                self._site.clear()
            self._site.workspace.controller.stop(force=True)

    def remove(self) -> None:
        """Remove what is installed, if the cluster is attached."""
        if self._is_attached():
            assert self._site is not None
            with self._environment():
                remove_installation(self._site.client)

    def _is_attached(self) -> bool:
        return self._site is not None and self._site.name in self._site.workspace.compute_targets

    def _attached(self) -> Site:
        from mljupyter.core import Workspace
        from tests.conformance.conftest import CLUSTER, Site, attach

        self._count += 1
        site = Site(CLUSTER, Workspace.create(f"team-{self._count}"))
        attach(site.workspace)
        return site

    @contextmanager
    def _environment(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MLJUPYTER_HOME", str(self._home))
            patch.setenv("MLJUPYTER_BASE_IMAGE", needed("TESTBED_BASE_IMAGE"))
            yield


@pytest.fixture(scope="session")
def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedCluster]:
    """The cluster of this process. In the end nothing of it is left there."""
    found = SharedCluster(tmp_path_factory.mktemp("shared-cluster"))
    yield found
    found.remove()


@pytest.fixture(scope="module")
def attached(request: pytest.FixtureRequest) -> Iterator[Site]:
    """The shared cluster, for the tests of a file.

    A file that changes the installation (routers, TLS) puts it back. One that detaches the cluster says
    ``DETACHES_CLUSTER = True``, and runs after the others. One that leaves traces on the node, at the port of the
    routers, says ``LEAVES_TRACES = True``, and runs last.
    """
    needed("TESTBED_KUBECONFIG")
    shared: SharedCluster = request.getfixturevalue("shared_cluster")
    with shared.lent() as site:
        yield site
