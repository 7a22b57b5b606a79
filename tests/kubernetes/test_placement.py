"""Accelerators and placement of replicas on a real cluster: its scheduler and its admission decide.

The accelerator is a resource that the test announces for the node, as a device plug-in does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mljupyter.core.webservice import AksEndpoint
from mljupyter.exceptions import WebserviceException
from mljupyter.kubernetes.api_server.connection import ApiError, ApiServer
from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.objects.replicas import ReplicaSettings
from mljupyter.kubernetes.operator.pod_logs import PodLogs
from mljupyter.kubernetes.operator.pod_supervisor import PodSupervisor
from mljupyter.kubernetes.operator.revisions import ReplicaOwners
from mljupyter.runtimes.base import ReplicaOrder
from mljupyter.spec import Problem, ReplicaDefaults, VersionSpec
from tests.conformance.conftest import attached_site, script
from tests.kubernetes.cluster import own_namespace
from tests.testbed import needed
from tests.waiting import HANG_SECONDS, promised

pytestmark = pytest.mark.system
FPGA = "example.com/fpga"
SMALL = {"cpu": 0.01, "memoryInGB": 0.02}
HOSTNAME = "kubernetes.io/hostname"


@dataclass
class Site:
    """A supervisor with pods that the cluster's scheduler places. Their image is small, and serves nothing."""

    api: ApiServer
    namespace: str
    node: str
    supervisor: PodSupervisor

    async def start(self, replica: str = "iris-1", **version: Any) -> None:
        """Start one more replica of a version."""
        spec = VersionSpec.parse({"image": "testbed/pause:3", "resources": SMALL, **version})
        await self.supervisor.start(ReplicaOrder(replica, "iris", "one", "0123456789ab", "team", "demo", spec))

    async def problem(self, code: str = "") -> Problem:
        """Wait for the reason why a replica cannot start, which is there within 10 seconds."""
        began = time.monotonic()
        async with asyncio.timeout(HANG_SECONDS):
            while True:
                found = [one.observed().obstacle for one in self.supervisor.of("iris")]
                for problem in [one for one in found if one is not None and code in ("", one.code)]:
                    assert time.monotonic() - began < promised(10)
                    return problem
                await asyncio.sleep(0.05)

    async def placed(self, count: int) -> list[dict[str, Any]]:
        """Wait until a number of pods have a node; return all pods."""
        async with asyncio.timeout(HANG_SECONDS):
            while True:
                pods, _ = await self.api.list(names.pods(self.namespace))
                if sum(bool(pod["spec"].get("nodeName")) for pod in pods) == count:
                    return pods
                await asyncio.sleep(0.05)

    async def no_problem(self) -> None:
        """Wait until no replica has a reason not to start."""
        async with asyncio.timeout(HANG_SECONDS):
            while any(one.observed().obstacle is not None for one in self.supervisor.of("iris")):
                await asyncio.sleep(0.05)

    async def announce(self, amount: int | None) -> None:
        """Let the node have a number of accelerators; None takes them away."""
        path = f"{names.nodes()}/{self.node}/status"
        if amount is None:
            taken = {"capacity": {FPGA: None}, "allocatable": {FPGA: None}}
            await self.api.patch(path, {"status": taken}, kind="merge")
            return
        for field in ("capacity", "allocatable"):
            patch = [{"op": "add", "path": f"/status/{field}/example.com~1fpga", "value": str(amount)}]
            await self.api.patch(path, patch, kind="json")

    async def rule(self, kind: str, spec: dict[str, Any]) -> None:
        """Create a ResourceQuota or a LimitRange in the namespace, and wait until it is in force.

        The API server takes a LimitRange at once. A quota is without effect until its controller has counted what is
        there, and the API server has heard of that: until then, it takes a pod that says nothing of its size.
        """
        path = f"/api/v1/namespaces/{self.namespace}/{kind.lower()}s"
        await self.api.create(path, {"metadata": {"name": "of-the-test"}, "spec": spec})
        async with asyncio.timeout(HANG_SECONDS):
            while kind == "ResourceQuota" and await self._takes_any_pod():
                await asyncio.sleep(0.05)

    async def _takes_any_pod(self) -> bool:
        spec = {"automountServiceAccountToken": False, "containers": [{"name": "any", "image": "testbed/pause:3"}]}
        pod = {"metadata": {"name": "any"}, "spec": spec}
        try:
            await self.api.create(names.pods(self.namespace), pod, dryRun="All")
        except ApiError as error:
            assert "must specify" in error.message
            return False
        return True


@asynccontextmanager
async def running(directory: Path, **settings: Any) -> AsyncIterator[Site]:
    """Run a supervisor in a namespace of its own."""
    async with own_namespace(Path(needed("TESTBED_KUBECONFIG"))) as cluster:
        api, namespace = cluster.api, cluster.namespace
        await api.create(f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": names.REPLICA}})
        owners = ReplicaOwners(namespace, "demo", ReplicaSettings(**settings), b"key", lambda name: None)
        supervisor = PodSupervisor(api, owners, "team", PodLogs(api, namespace, directory), lambda endpoint: None)
        await supervisor.adopt("team", lambda replica: None)
        nodes, _ = await api.list(names.nodes())
        yield Site(api, namespace, nodes[0]["metadata"]["name"], supervisor)
        await supervisor.leave()


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    defaults = ReplicaDefaults.parse({"tolerations": [{"key": "a", "operator": "Exists"}]})
    async with running(tmp_path, defaults=defaults) as found:
        yield found


@pytest.fixture
async def fpga(site: Site) -> AsyncIterator[Site]:
    """The node has one accelerator."""
    await site.announce(1)
    yield site
    await site.announce(None)


async def test_the_scheduler_counts_accelerators_and_the_replica_without_one_is_explained(fpga: Site) -> None:
    asking = {"resources": {**SMALL, "gpu": 1, "gpuResource": FPGA}}
    await fpga.start("iris-1", **asking)
    await fpga.placed(1)
    await fpga.start("iris-2", **asking)
    problem = await fpga.problem()
    assert problem.code == "Unschedulable"
    assert f"1 Insufficient {FPGA}" in problem.message
    assert f"The node with most {FPGA}, {fpga.node}, has 0 of 1 free." in problem.message
    assert "Ask for less (gpu_cores)" in problem.message
    assert len(await fpga.placed(1)) == 2
    # A second accelerator is all that was missing.
    await fpga.announce(2)
    await fpga.placed(2)
    await fpga.no_problem()


@pytest.mark.parametrize(
    ("version", "parts"),
    [
        (
            {"resources": {**SMALL, "gpu": 1}},
            ("1 Insufficient nvidia.com/gpu", "No node has any nvidia.com/gpu: correct gpu_resource"),
        ),
        (
            {"resources": {**SMALL, "cpu": 900}},
            ("it asks for cpu 900", "1 Insufficient cpu", "The node with most cpu, NODE, has ", "(cpu_cores)"),
        ),
        (
            {"resources": {**SMALL, "memoryInGB": 9000}},
            ("1 Insufficient memory", "The node with most memory, NODE, has ", "(memory_gb)"),
        ),
        (
            {"placement": {"nodeSelector": {HOSTNAME: "nowhere"}}},
            (f"No node has the label {HOSTNAME}=nowhere: nodes have {HOSTNAME}=NODE.", "node_selector"),
        ),
    ],
)
async def test_a_replica_that_fits_nowhere_says_what_would_fit(
    site: Site, version: dict[str, Any], parts: tuple[str, ...]
) -> None:
    await site.start(**version)
    problem = await site.problem()
    assert problem.code == "Unschedulable"
    for part in parts:
        assert part.replace("NODE", site.node) in problem.message


@pytest.mark.parametrize(
    ("rule", "version", "parts"),
    [
        (
            ("ResourceQuota", {"hard": {"requests.cpu": "1"}}),
            {"resources": {**SMALL, "cpu": 2}},
            (
                "the quota of-the-test of its namespace has no room: requests.cpu=2 was asked for",
                "kubectl describe resourcequota of-the-test",
            ),
        ),
        (
            ("ResourceQuota", {"hard": {"limits.memory": "1Gi"}}),
            {},
            ("must specify limits.memory", "memory_gb_limit"),
        ),
        (
            ("LimitRange", {"limits": [{"type": "Container", "min": {"cpu": "50m"}}]}),
            {},
            ("a LimitRange of its namespace sets the minimum of cpu for a container to 50m", "Change cpu_cores"),
        ),
        (
            ("LimitRange", {"limits": [{"type": "Container", "max": {"memory": "10Mi"}}]}),
            {"resources": {**SMALL, "memoryInGBLimit": 0.5}},
            ("a LimitRange of its namespace sets the maximum of memory for a container to 10Mi", "Change memory_gb"),
        ),
        (
            ("LimitRange", {"limits": [{"type": "Container", "default": {"cpu": "100m"}}]}),
            {"resources": {**SMALL, "cpu": 1}},
            ("LimitRange of its namespace gives a limit below the request", "cpu_cores_limit"),
        ),
        (None, {"placement": {"runtimeClass": "no-such-class"}}, ("no-such-class", "kubectl get runtimeclasses")),
    ],
)
async def test_a_pod_that_the_cluster_refuses_names_the_rule_and_the_way_out(
    site: Site, rule: tuple[str, dict[str, Any]] | None, version: dict[str, Any], parts: tuple[str, ...]
) -> None:
    if rule is not None:
        await site.rule(*rule)
    await site.start(**version)
    problem = await site.problem()
    assert problem.code == "ReplicaNotCreated"
    for part in parts:
        assert part in problem.message


async def test_a_pod_has_the_placement_of_its_version_and_of_the_cluster(site: Site) -> None:
    own = {"key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoSchedule"}
    await site.start(placement={"tolerations": [own], "nodeSelector": {HOSTNAME: site.node}})
    spec = (await site.placed(1))[0]["spec"]
    assert spec["nodeSelector"] == {HOSTNAME: site.node}
    assert spec["tolerations"][:2] == [own, {"key": "a", "operator": "Exists"}]


async def test_a_claim_that_does_not_exist_is_told(tmp_path: Path) -> None:
    async with running(tmp_path, defaults=ReplicaDefaults(collected_data_claim="missing")) as site:
        await site.start(collectModelData=True)
        problem = await site.problem()
        assert problem.code == "Unschedulable"
        assert 'persistentvolumeclaim "missing" not found' in problem.message
        assert "kubectl get persistentvolumeclaims" in problem.message


async def test_a_volume_that_the_node_cannot_mount_is_told(tmp_path: Path) -> None:
    async with running(tmp_path, defaults=ReplicaDefaults(collected_data_claim="broken")) as site:
        # The scheduler places the pod, and the node finds no such directory.
        claim = {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "",
            "volumeName": site.namespace,
            "resources": {"requests": {"storage": "1Mi"}},
        }
        volume = {
            "accessModes": ["ReadWriteOnce"],
            "capacity": {"storage": "1Mi"},
            "hostPath": {"path": "/no/such/directory", "type": "Directory"},
            "claimRef": {"namespace": site.namespace, "name": "broken"},
        }
        volumes = "/api/v1/persistentvolumes"
        await site.api.create(volumes, {"metadata": {"name": site.namespace}, "spec": volume})
        try:
            claims = f"/api/v1/namespaces/{site.namespace}/persistentvolumeclaims"
            await site.api.create(claims, {"metadata": {"name": "broken"}, "spec": claim})
            await site.start(collectModelData=True)
            await site.placed(1)
            problem = await site.problem("FailedMount")
            assert f"a volume cannot be mounted on node {site.node}" in problem.message
            assert "/no/such/directory" in problem.message
        finally:
            await site.api.delete(f"{volumes}/{site.namespace}")


def test_a_deployment_to_an_attached_cluster_has_its_placement_and_says_what_would_fit(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with attached_site("placement", tmp_path_factory, tolerations=["spare"], gpu_resource=FPGA) as place:
        version = {**place.runs(script("one")), "resources": {**SMALL, "memoryInGB": 0.2, "gpu": 1}}
        placement = {"tolerations": [{"key": "own", "operator": "Exists"}]}
        place.client.create(place.spec("placed", one={**version, "placement": placement, "scaling": {"replicas": 1}}))
        began = time.monotonic()
        with pytest.raises(WebserviceException, match=f"No node has any {FPGA}: correct gpu_resource"):
            place.workspace.webservices["placed"].wait_for_deployment()
        assert time.monotonic() - began < promised(10)
        attached: Any = place.client
        pods = attached.cluster.items(names.pods(attached.attached.namespace), labels=f"{names.ENDPOINT_LABEL}=placed")
        assert [one["key"] for one in pods[0]["spec"]["tolerations"]][:2] == ["own", "spare"]
        endpoint = place.workspace.webservices["placed"]
        assert isinstance(endpoint, AksEndpoint)
        # The operator has no right to see pods of other namespaces.
        endpoint.update_version("one", gpu_cores=0, cpu_cores=900)
        with pytest.raises(WebserviceException, match="less what pods of other namespaces use"):
            endpoint.wait_for_deployment()
        endpoint.update_version("one", cpu_cores=0.01)
        endpoint.wait_for_deployment()
        assert endpoint.state == "Healthy"
