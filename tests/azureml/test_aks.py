"""Old notebooks for AKS, where AKS targets are mapped to another compute target of the workspace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mljupyter.core import Experiment, ScriptRunConfig, Workspace
from mljupyter.core.compute import AksCompute, AksUpdateConfiguration, AmlCompute, ComputeTarget, KubernetesCompute
from mljupyter.core.compute.mapping import MappedAksCompute
from mljupyter.core.deployment import target_of
from mljupyter.exceptions import ComputeTargetException, ExperimentExecutionException
from mljupyter.targets.mapped import setting
from tests.azureml.conftest import Interpreter
from tests.cli.in_process import run
from tests.waiting import COMMAND_SECONDS

OLD_SCRIPT = """
import json
import urllib.request

from azureml.core import Environment, Workspace
from azureml.core.compute import AksCompute, ComputeTarget
from azureml.core.compute_target import ComputeTargetException
from azureml.core.model import InferenceConfig, Model
from azureml.core.webservice import AksEndpoint, Webservice
from azureml.exceptions import WebserviceException

ws = Workspace.from_config()
with open("weights.json", "w") as file:
    json.dump([1, 2], file)
model = Model.register(ws, model_path="weights.json", model_name="weights")

try:
    aks_target = ComputeTarget(workspace=ws, name="my-aks")
except ComputeTargetException:
    aks_target = ComputeTarget.create(
        workspace=ws,
        name="my-aks",
        provisioning_configuration=AksCompute.provisioning_configuration(vm_size="Standard_D3_v2", location="eastus"),
    )
    aks_target.wait_for_completion(show_output=True)
print(aks_target.provisioning_state, aks_target.provisioning_errors, aks_target.type)

inference_config = InferenceConfig(entry_script="score.py", environment=Environment("serving"))
endpoint = Model.deploy(
    ws,
    "endpoint",
    [model],
    inference_config,
    AksEndpoint.deploy_configuration(
        cpu_cores=0.1, memory_gb=0.2, version_name="version-a", traffic_percentile=80, num_replicas=1,
        autoscale_enabled=False, token_auth_enabled=True,
    ),
    aks_target,
)
endpoint.wait_for_deployment(show_output=True)
endpoint.update_version(version_name="version-a", description="first", traffic_percentile=60)
endpoint.wait_for_deployment()
print({name: version.traffic_percentile for name, version in endpoint.versions.items()})

token, refresh_by = endpoint.get_token()
headers = {"Authorization": "Bearer " + token, "Content-Type": "application/json"}
request = urllib.request.Request(endpoint.scoring_uri, b'{"data": [[1, 1]]}', headers)
print(urllib.request.urlopen(request).read())

endpoint.delete()
try:
    Webservice(ws, "endpoint")
except WebserviceException as error:
    print("WebserviceNotFound" in str(error))
aks_target.delete()
"""
SCORE = """
import json

from azureml.core.model import Model


def init():
    global weights
    with open(Model.get_model_path("weights")) as file:
        weights = json.load(file)


def run(data):
    return [sum(a * b for a, b in zip(weights, row)) for row in json.loads(data)["data"]]
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory, and a home of workspaces that is empty, too."""
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.setenv("MLJUPYTER_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLJUPYTER_WORKSPACE", raising=False)
    monkeypatch.delenv("AZURE_SUBSCRIPTION_ID", raising=False)
    monkeypatch.delenv(setting.VARIABLE, raising=False)
    return tmp_path / "project"


@pytest.fixture
def workspace(project: Path) -> Workspace:
    return Workspace.create("team")


@pytest.fixture
def mapped(monkeypatch: pytest.MonkeyPatch, workspace: Workspace) -> Iterator[Workspace]:
    """A workspace in a process that maps AKS targets to this machine."""
    monkeypatch.setenv(setting.VARIABLE, "local")
    yield workspace


def test_an_old_script_deploys_to_aks_on_this_machine(project: Path) -> None:
    (project / "old.py").write_text(OLD_SCRIPT)
    (project / "score.py").write_text(SCORE)
    done = subprocess.run(
        [sys.executable, "-m", "mljupyter.azureml", "--aks", "local", "old.py"],
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        env={**os.environ},
        check=False,
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    lines = done.stdout.splitlines()
    assert (
        "Compute target 'my-aks' is a mapping: no cluster of Azure is used, and what is deployed to it runs on 'local' "
        "(MLJUPYTER_AKS=local)." in lines
    )
    assert "Kept without effect: vm_size, location" in lines
    assert "Succeeded: compute target 'my-aks' is mapped to 'local'" in lines
    assert "Succeeded None AKS" in lines
    assert "Compute target 'my-aks' is a mapping: the deployment runs on 'local'." in lines
    assert "{'version-a': 60}" in lines
    assert "b'[3]'" in lines
    assert "True" in lines
    assert lines[-1].startswith("Compute target 'my-aks' was a mapping to 'local', and is removed.")


def test_a_script_with_a_wrong_target_ends_with_one_sentence(project: Path) -> None:
    command = [sys.executable, "-m", "mljupyter.azureml"]
    for arguments in (["--aks"], ["--aks", "local"], ["--aks=", "x.py"], ["--aks", "my cluster", "x.py"]):
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=COMMAND_SECONDS)
        assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "mljupyter: --aks is 'my cluster': it must be the name of a compute target: 'local', 'docker', or an attached "
        "cluster of the workspace.\n"
    )


def test_an_error_of_the_sdk_is_shown_with_the_frames_of_the_script(project: Path) -> None:
    (project / "old.py").write_text(
        "from azureml.core import Workspace\nfrom azureml.core.compute import AksCompute\n"
        "AksCompute(Workspace.from_config(), 'my-aks')\n"
    )
    command = [sys.executable, "-m", "mljupyter.azureml", "old.py"]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS).stderr
    assert shown.count('  File "') == 1
    assert shown.endswith(f"{setting.HOW}\n")
    assert "ComputeTargetNotFound" in shown


def test_the_mapping_is_kept_for_the_python_environment_until_it_is_disabled(interpreter: Interpreter) -> None:
    shown = interpreter.azureml("enable", "--aks", "local")
    assert "AKS targets are mapped to 'local', by" in shown
    shown = interpreter.azureml("status")
    assert "mapped to 'local' (mljupyter azureml enable --aks local): no cluster of Azure is used" in " ".join(
        shown.split()
    )
    code = "from mljupyter.targets.mapped.setting import aks_place; print(aks_place())"
    assert interpreter.prints(code) == "local"
    assert "AKS targets are no longer mapped" in interpreter.azureml("disable")
    assert interpreter.prints(code) == "None"
    assert not (interpreter.packages / setting.FILE_NAME).exists()


class TestWithoutAMapping:
    def test_a_configuration_of_another_kind_is_refused(self, workspace: Workspace) -> None:
        for call in (ComputeTarget.create, ComputeTarget.attach):
            with pytest.raises(ComputeTargetException, match="_configuration is of type NoneType: it must be"):
                call(workspace, "my-aks", None)  # type: ignore[arg-type]

    def test_a_cluster_of_azure_arc_is_attached_by_its_kubeconfig(self) -> None:
        place = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Kubernetes/connectedClusters/c"
        with pytest.raises(ComputeTargetException, match="Azure Arc is attached by its kubeconfig"):
            KubernetesCompute.attach_configuration(resource_id=place)
        assert KubernetesCompute.attach_configuration(resource_id=place, kubeconfig="file").settings.kubeconfig

    def test_a_serialized_target_is_found_again(self, workspace: Workspace) -> None:
        target = ComputeTarget(workspace, "local")
        assert ComputeTarget.deserialize(workspace, target.serialize()).name == "local"
        with pytest.raises(ComputeTargetException, match="has no 'name'"):
            ComputeTarget.deserialize(workspace, {})

    def test_an_unknown_cluster_says_how_to_map_it(self, workspace: Workspace) -> None:
        with pytest.raises(ComputeTargetException, match="ComputeTargetNotFound") as raised:
            AksCompute(workspace, "my-aks")
        assert raised.value.message.splitlines()[-1] == setting.HOW

    def test_creating_and_attaching_say_how_to_map_it(self, workspace: Workspace) -> None:
        with pytest.raises(ComputeTargetException, match="resource group") as created:
            ComputeTarget.create(workspace, "my-aks", AksCompute.provisioning_configuration())
        with pytest.raises(ComputeTargetException, match="subscription") as attached:
            ComputeTarget.attach(workspace, "my-aks", AksCompute.attach_configuration("group", "cluster"))
        assert [error.value.message.splitlines()[-1] for error in (created, attached)] == [setting.HOW] * 2
        assert set(workspace.compute_targets) == {"local", "docker"}


class TestMapping:
    def test_a_created_target_keeps_and_shows_what_has_no_effect(
        self, mapped: Workspace, capsys: pytest.CaptureFixture[str]
    ) -> None:
        configuration = AksCompute.provisioning_configuration(
            agent_count=2, cluster_purpose=AksCompute.ClusterPurpose.DEV_TEST, location="eastus"
        )
        target = ComputeTarget.create(mapped, "my-aks", configuration)
        assert "Kept without effect: agent_count, location, cluster_purpose" in capsys.readouterr().out
        assert isinstance(target, MappedAksCompute)
        assert (target.type, target.stands_for, target.provisioning_state) == ("AKS", "local", "Succeeded")
        assert (target.agent_count, target.agent_vm_size, target.location) == (2, "Standard_D3_v2", "eastus")
        assert (target.cluster_purpose, target.load_balancer_type) == ("DevTest", "PublicIp")
        shown = json.loads(json.dumps(target.serialize()))
        assert shown["mappedTo"] == "local"
        assert shown["withoutEffect"] == {"agent_count": 2, "location": "eastus", "cluster_purpose": "DevTest"}
        assert repr(target) == "AksCompute(name=my-aks, mapped to local)"

    @pytest.mark.parametrize(
        "given",
        [
            {"resource_group": "group", "cluster_name": "cluster"},
            {"resource_id": "/subscriptions/<your subscription>/resourcegroups/g/providers/p/managedClusters/c"},
        ],
    )
    def test_a_cluster_is_attached_by_its_place_in_azure(self, mapped: Workspace, given: dict[str, str]) -> None:
        target = ComputeTarget.attach(mapped, "my-aks", AksCompute.attach_configuration(**given))
        assert (target.stands_for, target.serialize()["withoutEffect"]) == ("local", given)

    def test_the_rules_for_arguments_hold(self, mapped: Workspace) -> None:
        with pytest.raises(ComputeTargetException, match="12 vCPU|vCPU"):
            AksCompute.provisioning_configuration(agent_count=1)
        with pytest.raises(ComputeTargetException, match="cluster_name is missing"):
            AksCompute.attach_configuration(resource_group="group")
        with pytest.raises(ComputeTargetException, match="resource_id is given with"):
            AksCompute.attach_configuration(resource_group="group", cluster_name="c", resource_id="x")
        with pytest.raises(ComputeTargetException, match="2 to 16 letters"):
            ComputeTarget.create(mapped, "my_aks", AksCompute.provisioning_configuration())

    def test_a_cluster_that_is_gone_is_mapped_when_it_is_named(
        self, mapped: Workspace, capsys: pytest.CaptureFixture[str]
    ) -> None:
        target = AksCompute(mapped, "my-aks")
        assert "'my-aks' is a mapping" in capsys.readouterr().out
        assert isinstance(target, MappedAksCompute)
        assert isinstance(mapped.compute_targets["my-aks"], AksCompute)
        assert isinstance(ComputeTarget(mapped, "my-aks"), AksCompute)
        assert capsys.readouterr().out == ""

    def test_an_unknown_target_of_no_kind_is_not_found(self, mapped: Workspace) -> None:
        with pytest.raises(ComputeTargetException, match="ComputeTargetNotFound"):
            ComputeTarget(mapped, "my-aks")

    def test_a_deployment_goes_to_the_target_that_stands_in(
        self, mapped: Workspace, capsys: pytest.CaptureFixture[str]
    ) -> None:
        target = AksCompute(mapped, "my-aks")
        capsys.readouterr()
        assert target_of(mapped, target).name == "local"
        assert target_of(mapped, "my-aks").name == "local"
        assert "Compute target 'my-aks' is a mapping: the deployment runs on 'local'." in capsys.readouterr().out

    def test_it_stays_where_it_was_mapped_to(self, mapped: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
        AksCompute(mapped, "my-aks")
        monkeypatch.setenv(setting.VARIABLE, "docker")
        assert AksCompute(mapped, "my-aks").stands_for == "local"
        monkeypatch.delenv(setting.VARIABLE)
        assert AksCompute(mapped, "my-aks").stands_for == "local"
        with pytest.raises(ComputeTargetException, match="'my-aks' is a mapping .* to 'local'"):
            KubernetesCompute.attach_configuration(kubeconfig="none").attach(mapped, "my-aks")

    def test_the_chosen_target_must_be_there(self, mapped: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(setting.VARIABLE, "team-cluster")
        with pytest.raises(ComputeTargetException, match="mapped to 'team-cluster', which is no compute target"):
            AksCompute(mapped, "my-aks")
        monkeypatch.setenv(setting.VARIABLE, "not a name")
        with pytest.raises(ComputeTargetException, match="MLJUPYTER_AKS is 'not a name'"):
            AksCompute(mapped, "my-aks")

    def test_settings_of_a_cluster_are_said_to_have_no_effect(
        self, mapped: Workspace, capsys: pytest.CaptureFixture[str]
    ) -> None:
        target = AksCompute(mapped, "my-aks")
        target.update(AksUpdateConfiguration(load_balancer_type="InternalLoadBalancer", load_balancer_subnet="subnet"))
        said = "Without effect, since compute target 'my-aks' is mapped to 'local': load_balancer_type, load_balancer_s"
        assert said in capsys.readouterr().out
        for call in (target.get_credentials, lambda: target.scoring_base):
            with pytest.raises(ComputeTargetException, match="a mapping to 'local', which is no cluster"):
                call()

    def test_lists_of_targets_say_that_it_is_a_mapping(self, mapped: Workspace) -> None:
        AksCompute(mapped, "my-aks")
        shown = run("computetarget", "list", "--workspace", "team").output
        assert "runs on 'local'" in " ".join(shown.split())
        done = run("computetarget", "detach", "my-aks", "--workspace", "team")
        assert "'my-aks' was a mapping to 'local', and is removed" in done.output
        assert "my-aks" not in mapped.compute_targets

    def test_it_can_be_deleted_and_created_again(self, mapped: Workspace) -> None:
        target = AksCompute(mapped, "my-aks")
        target.delete()
        target.wait_for_completion(is_delete_operation=True)
        assert target.provisioning_state == "Deleted"
        assert "my-aks" not in mapped.compute_targets
        AksCompute(mapped, "my-aks")


class TestTrainingCluster:
    def test_it_stands_for_this_machine(self, workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(ComputeTargetException, match="ComputeTargetNotFound"):
            AmlCompute(workspace, "cpu-cluster")
        configuration = AmlCompute.provisioning_configuration(
            vm_size="STANDARD_D2_V2", max_nodes=4, admin_username="me", admin_user_password="secret"
        )
        target = ComputeTarget.create(workspace, "cpu-cluster", configuration)
        target.wait_for_completion(show_output=True, min_node_count=None, timeout_in_minutes=20)
        said = capsys.readouterr().out
        assert "'cpu-cluster' stands for this machine: there are no training clusters here" in said
        assert "Kept without effect: vm_size, max_nodes, admin_username" in said
        assert type(workspace.compute_targets["cpu-cluster"]) is AmlCompute
        assert (target.type, target.vm_size, target.provisioning_state) == ("AmlCompute", "STANDARD_D2_V2", "Succeeded")
        assert target.get_status().serialize()["currentNodeCount"] == 1
        assert "secret" not in json.dumps(target.serialize())

    def test_it_serves_nothing(self, workspace: Workspace) -> None:
        target = ComputeTarget.create(workspace, "cpu-cluster", AmlCompute.provisioning_configuration())
        with pytest.raises(ComputeTargetException, match="'cpu-cluster' is for training: no web service runs there"):
            target_of(workspace, target)

    @pytest.mark.parametrize("given", [{"min_nodes": 3, "max_nodes": 2}, {"max_nodes": "four"}, {"min_nodes": -1}])
    def test_wrong_numbers_of_nodes_are_refused(self, given: dict[str, object]) -> None:
        with pytest.raises(ComputeTargetException, match="_nodes is"):
            AmlCompute.provisioning_configuration(**given)  # type: ignore[arg-type]

    def test_a_script_that_is_submitted_to_it_runs_here(
        self, workspace: Workspace, project: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (project / "train.py").write_text("print('trained')\n")
        target = ComputeTarget.create(workspace, "cpu-cluster", AmlCompute.provisioning_configuration())
        submitted = Experiment(workspace, "churn").submit(ScriptRunConfig(".", "train.py", compute_target=target))
        submitted.wait_for_completion()
        assert submitted.get_status() == "Completed"
        assert "'cpu-cluster' stands for this machine: the script runs here as a process." in capsys.readouterr().out
        other = ScriptRunConfig(".", "train.py", compute_target="gpu-cluster")
        with pytest.raises(ExperimentExecutionException, match=r"ComputeTarget.create\(ws, 'gpu-cluster', AmlCompute"):
            Experiment(workspace, "churn").submit(other)

    def test_a_deleted_name_is_free_again(self, workspace: Workspace) -> None:
        target = ComputeTarget.create(workspace, "cpu-cluster", AmlCompute.provisioning_configuration())
        target.delete()
        assert "cpu-cluster" not in workspace.compute_targets
