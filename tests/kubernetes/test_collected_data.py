"""Collected data on a real cluster: replicas write to a claim, and users read it after the replicas are gone.

The volume is a directory of the node, since the cluster of the tests makes none by itself.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mljupyter.core import Workspace
from mljupyter.core.compute import ComputeTarget, KubernetesCompute, cluster
from mljupyter.core.webservice import AksEndpoint
from mljupyter.exceptions import ComputeTargetException, WebserviceException
from mljupyter.kubernetes.objects import names
from mljupyter.targets.kubernetes.attachment import ClusterSettings, replica_defaults
from mljupyter.targets.kubernetes.cluster import Cluster, access_to
from tests.cli.in_process import run_json
from tests.conformance import conftest as conformance
from tests.conformance.conftest import CLUSTER
from tests.shared_cluster import remove_installation
from tests.testbed import needed
from tests.waiting import wait_until

pytestmark = pytest.mark.system
CLAIM = "of-the-test"
SCRIPT = """
import json, os
from azureml.monitoring import ModelDataCollector

def init():
    global inputs, predictions
    inputs = ModelDataCollector("ridge", designation="inputs", feature_names=["a", "b"])
    predictions = ModelDataCollector("ridge", designation="predictions", feature_names=["sum"])
    storage = os.environ["AML_MODEL_DC_STORAGE"]
    print("in the storage:", os.listdir(storage))
    os.makedirs(f"{storage}/modeldata", exist_ok=True)
    link = f"{storage}/modeldata/link-{os.getpid()}.csv"
    if not os.path.lexists(link):
        os.symlink("/etc/mljupyter/access/internal", link)

def run(data):
    row = json.loads(data)
    correlations = inputs.collect(row)
    result = [sum(row)]
    predictions.collect(predictions.add_correlations(result, correlations))
    return result
"""


@dataclass
class Volume:
    """A claim in a namespace of its own, whose volume is a directory."""

    cluster: Cluster
    namespace: str
    directory: Path

    def create(self) -> None:
        """Create namespace, volume and claim."""
        self.cluster.create("/api/v1/namespaces", {"metadata": {"name": self.namespace}})
        common = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
        volume = common | {
            "capacity": {"storage": "1Mi"},
            "hostPath": {"path": str(self.directory), "type": "Directory"},
            "claimRef": {"namespace": self.namespace, "name": CLAIM},
        }
        claim = common | {"volumeName": self.namespace, "resources": {"requests": {"storage": "1Mi"}}}
        self.cluster.create("/api/v1/persistentvolumes", {"metadata": {"name": self.namespace}, "spec": volume})
        claims = names.persistent_volume_claims(self.namespace)
        self.cluster.create(claims, {"metadata": {"name": CLAIM}, "spec": claim})
        wait_until(lambda: self.cluster.get(f"{claims}/{CLAIM}")["status"]["phase"] == "Bound", "the claim is bound")

    def remove(self) -> None:
        """Remove them all."""
        self.cluster.delete(f"/api/v1/namespaces/{self.namespace}")
        self.cluster.delete(f"/api/v1/persistentvolumes/{self.namespace}")
        self.cluster.close()


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Volume]:
    directory = tmp_path_factory.mktemp("volume")
    directory.chmod(0o777)
    kubeconfig = needed("TESTBED_KUBECONFIG")
    found = Volume(Cluster(access_to(kubeconfig, None)), f"collected-{secrets.token_hex(4)}", directory)
    found.create()
    yield found
    found.remove()


@pytest.fixture(scope="module")
def site(volume: Volume, tmp_path_factory: pytest.TempPathFactory) -> Iterator[conformance.Site]:
    """A workspace with the cluster, which was attached with the claim."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLJUPYTER_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("MLJUPYTER_BASE_IMAGE", needed("TESTBED_BASE_IMAGE"))
        place = conformance.Site(CLUSTER, Workspace.create("collecting"))
        configuration = KubernetesCompute.attach_configuration(
            kubeconfig=needed("TESTBED_KUBECONFIG"),
            namespace=volume.namespace,
            cluster_purpose="DevTest",
            service_type="NodePort",
            collected_data_claim=CLAIM,
        )
        ComputeTarget.attach(place.workspace, CLUSTER, configuration).wait_for_completion()
        yield place
        remove_installation(place.client)


@pytest.fixture(scope="module")
def endpoint(site: conformance.Site) -> AksEndpoint:
    """An endpoint with two replicas that collect."""
    version = {**site.runs(SCRIPT), "collectModelData": True, "scaling": {"replicas": 2}}
    site.client.create(site.spec("sums", one={**version, "resources": {"cpu": 0.01, "memoryInGB": 0.2}}))
    found = site.workspace.webservices["sums"]
    assert isinstance(found, AksEndpoint)
    found.wait_for_deployment()
    return found


def writers(endpoint: AksEndpoint) -> set[str]:
    """Return the names of the pods that have written inputs."""
    return {file.path.rpartition("/data.")[2].removesuffix(".csv") for file in endpoint.collected_files("inputs")}


def scored(endpoint: AksEndpoint, number: int) -> int:
    """Score numbers until so many pods have written; return the number of requests."""
    count = 0

    def asked() -> bool:
        nonlocal count
        count += 1
        assert endpoint.run(f"[{count}, 1]") == [count + 1]
        return len(writers(endpoint)) >= number

    wait_until(asked, f"{number} pods have written")
    return count


def test_the_data_of_all_replicas_is_read_also_after_a_pod_is_gone(
    endpoint: AksEndpoint, volume: Volume, tmp_path: Path
) -> None:
    count = scored(endpoint, 2)
    first = writers(endpoint)
    pods = names.pods(volume.namespace)
    gone = min(first)
    volume.cluster.delete(f"{pods}/{gone}", grace=1)
    wait_until(lambda: volume.cluster.find(f"{pods}/{gone}") is None, "the pod is gone")
    count += scored(endpoint, 3)
    assert gone in writers(endpoint) > first
    inputs, predictions = endpoint.collected_data(), endpoint.collected_data("predictions", since="1d")
    assert len(inputs) == len(predictions) == count
    assert (inputs["a"] + inputs["b"]).tolist() == predictions["sum"].tolist()
    assert set(inputs["$aml_dc_correlation_id"]) == set(predictions["$aml_dc_correlation_id"])
    assert inputs["$aml_dc_scoring_timestamp"].is_monotonic_increasing
    # The layout of Azure ML below a directory for the endpoint; a file of each pod, so none writes over another's.
    (file, *_) = files = endpoint.collected_files("inputs")
    assert len(files) == 3
    assert file.path.startswith(
        f"modeldata/default/default/collecting/sums/ridge/default/inputs/{file.day:%Y/%m/%d}/data."
    )
    assert {path.name for path in volume.directory.iterdir()} == {"sums"}
    paths = endpoint.download_collected_data(tmp_path, "inputs")
    assert [path.read_bytes() for path in paths] == [
        (volume.directory / "sums" / one.path).read_bytes() for one in files
    ]
    assert len(run_json("endpoint", "collected", "sums", "--workspace", "collecting", "--designation", "inputs")) == 3


def test_a_replica_sees_the_data_of_its_endpoint_alone_and_a_link_leads_nowhere(
    endpoint: AksEndpoint, site: conformance.Site, volume: Volume
) -> None:
    log = endpoint.get_logs()
    assert "in the storage: []" in log
    assert "in the storage: ['sums']" not in log
    link = next((volume.directory / "sums/modeldata").glob("link-*.csv"))
    assert link.is_symlink()
    listed = endpoint.collected_files()
    assert link.name not in {file.path.rpartition("/")[2] for file in listed}
    leading = listed[0].model_copy(update={"path": f"modeldata/{link.name}"})
    with pytest.raises(Exception, match="cannot be read"):
        list(site.client.read_collected("sums", leading))


def test_the_claim_is_checked_and_without_one_the_error_says_how_to_keep_data(
    endpoint: AksEndpoint, site: conformance.Site, volume: Volume
) -> None:
    target: Any = ComputeTarget(site.workspace, CLUSTER)
    found = {one.name: one for one in site.workspace.context.target(CLUSTER).findings()}
    assert (found["collected data"].state, found["collected data"].text) == (
        "ok",
        f"claim {CLAIM!r} is bound (ReadWriteMany)",
    )
    replicas = replica_defaults(collected_data_claim="missing")
    settings = ClusterSettings(needed("TESTBED_KUBECONFIG"), namespace=volume.namespace, purpose="DevTest")
    wanted = ClusterSettings(**{**vars(settings), "replicas": replicas})
    missing = next(one for one in cluster.findings(site.workspace, "other", wanted) if one.name == "collected data")
    assert missing.text == f"claim 'missing' does not exist in namespace {volume.namespace!r}"
    assert "\n" not in missing.text + missing.fix
    with pytest.raises(ComputeTargetException, match="claim 'missing' does not exist"):
        target.update(collected_data_claim="missing")
    target.update(collected_data_claim="")
    target.wait_for_completion()
    with pytest.raises(WebserviceException, match="ends with its pod") as error:
        endpoint.collected_data()
    assert "update(collected_data_claim=NAME)" in str(error.value)
    assert volume.cluster.find(f"{names.deployments(volume.namespace)}/{names.READER}") is None
    site.client.delete("sums")
    assert (volume.directory / "sums/modeldata").is_dir(), "data outlives its endpoint"
