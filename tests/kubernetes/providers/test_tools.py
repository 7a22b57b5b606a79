"""Clusters of kind, k3d and minikube. Small commands in their places record the calls: the tools are not in CI."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
import sys
import threading
import traceback
from dataclasses import replace
from pathlib import Path

import pytest

from mljupyter.core import ComputeTarget, Environment, Model, Workspace
from mljupyter.core.compute import KubernetesCompute
from mljupyter.core.compute.cluster import ClusterCompute
from mljupyter.core.model import InferenceConfig
from mljupyter.core.webservice import AksWebservice
from mljupyter.exceptions import AzureMLException, ComputeTargetException, WorkspaceException
from mljupyter.targets.kubernetes.created import CreationState, created_cluster, remember_created
from mljupyter.targets.kubernetes.providers import provider_of
from tests.cli.in_process import failed, run, run_json
from tests.kubernetes.providers.conftest import Tools
from tests.waiting import wait_until

_KEEPS_THE_USERS_FILE = "--kubeconfig-update-default=false --kubeconfig-switch-context=false"


def created(workspace: Workspace, provider: str = "kind", **given: object) -> ComputeTarget:
    """A cluster whose attachment has failed, because its server refuses."""
    target = ComputeTarget.create(workspace, "trial", KubernetesCompute.provisioning_configuration(provider, **given))
    with pytest.raises(ComputeTargetException):
        target.wait_for_completion()
    return target


@pytest.mark.parametrize(
    ("provider", "create", "delete"),
    [
        (
            "kind",
            ["kind create cluster --name trial --kubeconfig {kubeconfig} --wait 300s --image x"],
            "kind delete cluster --name trial --kubeconfig {kubeconfig}",
        ),
        (
            "k3d",
            [
                f"k3d cluster create trial {_KEEPS_THE_USERS_FILE} --wait --timeout 300s --image x",
                "k3d kubeconfig get trial",
            ],
            "k3d cluster delete trial",
        ),
        (
            "minikube",
            ["minikube start --profile trial --embed-certs --interactive=false --image x"],
            "minikube delete --profile trial",
        ),
    ],
)
def test_a_tool_creates_and_deletes_with_a_kubeconfig_of_its_own(
    workspace: Workspace, tools: Tools, stub_kubeconfig: Path, provider: str, create: list[str], delete: str
) -> None:
    kubeconfig = workspace.directory / "clusters" / "trial.kubeconfig"
    target = created(workspace, provider, options=["--image", "x"])
    assert tools.calls == [line.format(kubeconfig=kubeconfig) for line in create]
    assert tools.kubeconfigs == {str(kubeconfig)}
    assert kubeconfig.read_bytes() == stub_kubeconfig.read_bytes()
    assert stat.S_IMODE(kubeconfig.stat().st_mode) == 0o600
    target.delete()
    target.wait_for_completion(is_delete_operation=True)
    assert tools.calls[-1] == delete.format(kubeconfig=kubeconfig)
    assert target.provisioning_state == "Deleted"
    assert "trial" not in workspace.compute_targets
    assert not kubeconfig.exists()
    assert created_cluster(workspace.directory, "trial") is None


def test_a_tool_that_is_not_installed_is_named_with_the_way_out(
    workspace: Workspace, tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tools.directory / "kind").unlink()
    with pytest.raises(ComputeTargetException, match=r"'kind', which is not on the PATH.\n.*kind.sigs.*'k3d', which"):
        ComputeTarget.create(workspace, "trial", KubernetesCompute.provisioning_configuration("kind"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    with pytest.raises(ComputeTargetException, match="attach an existing cluster"):
        ComputeTarget.create(workspace, "trial", KubernetesCompute.provisioning_configuration("k3d"))
    assert list(workspace.compute_targets) == ["local", "docker"]


def test_a_failed_creation_shows_the_last_lines_and_can_be_deleted(
    workspace: Workspace, tools: Tools, capsys: pytest.CaptureFixture[str]
) -> None:
    tools.set("fail")
    target = ComputeTarget.create(workspace, "trial", KubernetesCompute.provisioning_configuration("kind"))
    with pytest.raises(ComputeTargetException, match=r"exit status 3:\n(.*\n)*  no space left on device\nDelete what"):
        target.wait_for_completion(show_output=True)
    assert capsys.readouterr().out.splitlines()[:3] == [
        "creating the kind cluster 'trial'",
        "working on kind",
        "no space left on device",
    ]
    assert target.provisioning_state == "Failed"
    assert "no space left on device" in (ComputeTarget(workspace, "trial").provisioning_errors or "")
    tools.set("fail", on=False)
    target.delete()
    target.wait_for_completion()
    assert tools.calls[-1].startswith("kind delete cluster")


def test_a_created_cluster_that_cannot_be_attached_stays_and_says_how_to_go_on(
    workspace: Workspace, tools: Tools
) -> None:
    target = created(workspace)
    errors = target.provisioning_errors or ""
    assert "the kind cluster 'trial' exists, and is not attached" in errors
    assert "this server is not a cluster" in errors
    assert "mljupyter computetarget attach trial --purpose DevTest --service-type ClusterIP\n" in errors
    assert "mljupyter computetarget delete trial" in errors
    with pytest.raises(ComputeTargetException, match="this server is not a cluster"):  # the same cluster, by its name
        ComputeTarget.attach(workspace, "trial", KubernetesCompute.attach_configuration())
    with pytest.raises(ComputeTargetException, match="was created as compute target 'trial': choose another name"):
        ComputeTarget.attach(workspace, "trial", KubernetesCompute.attach_configuration(kubeconfig="/etc/hostname"))
    assert workspace.webservices == {}  # it does not hide the endpoints of others
    with pytest.raises(
        AzureMLException, match="compute target 'trial' cannot be used: the kind cluster 'trial' exists"
    ):
        deploy(workspace, target)


def deploy(workspace: Workspace, target: ComputeTarget) -> None:
    """Deploy a script without a model."""
    score = workspace.directory.parent / "score.py"
    score.write_text("def init(): pass\ndef run(data): return data\n")
    environment = Environment("empty")
    inference = InferenceConfig(entry_script=str(score), environment=environment)
    Model.deploy(workspace, "iris", [], inference, AksWebservice.deploy_configuration(), deployment_target=target)


def test_a_failed_deletion_can_be_repeated(workspace: Workspace, tools: Tools) -> None:
    target = created(workspace)
    tools.set("fail")
    target.delete()
    with pytest.raises(ComputeTargetException, match="no space left on device"):
        target.wait_for_completion()
    assert target.provisioning_state == "Failed"
    tools.set("fail", on=False)
    target.delete()
    target.wait_for_completion()
    assert "trial" not in workspace.compute_targets


def test_a_name_in_use_is_refused_before_anything_is_created(workspace: Workspace, tools: Tools) -> None:
    configuration = KubernetesCompute.provisioning_configuration("kind")
    created(workspace)
    before = tools.calls
    for name, text in (("trial", "exists already"), ("docker", "of every workspace"), ("-x", "letters, digits")):
        with pytest.raises(ComputeTargetException, match=text):
            ComputeTarget.create(workspace, name, configuration)
    assert tools.calls == before


def test_detach_leaves_the_cluster_which_is_deleted_by_its_name_later(workspace: Workspace, tools: Tools) -> None:
    lines: list[str] = []
    created(workspace).detach(lines.append)
    assert lines == ["the kind cluster 'trial' stays: mljupyter computetarget delete trial"]
    assert list(workspace.compute_targets) == ["local", "docker"]
    with pytest.raises(ComputeTargetException, match=r"created as 'trial' and detached.\nAttach it: "):
        ComputeTarget.create(workspace, "trial", KubernetesCompute.provisioning_configuration("kind"))
    with pytest.raises(WorkspaceException, match="has created the kind cluster 'trial'"):
        workspace.delete()
    run("computetarget", "delete", "trial", "--yes", "--workspace", workspace.name)
    assert tools.calls[-1].startswith("kind delete cluster --name trial")


def test_an_interrupt_ends_the_waiting_and_delete_ends_the_creation(
    workspace: Workspace, tools: Tools, capsys: pytest.CaptureFixture[str]
) -> None:
    tools.set("hang")
    target = ComputeTarget.create(workspace, "trial", KubernetesCompute.provisioning_configuration("kind"))
    wait_until(lambda: tools.calls, "the command")
    assert (target.provisioning_state, target.provisioning_errors) == ("Creating", None)
    main = threading.main_thread().ident or 0

    def is_waiting() -> bool:
        waits = ClusterCompute._wait.__code__
        return any(frame.f_code is waits for frame, _ in traceback.walk_stack(sys._current_frames()[main]))

    def interrupt() -> None:
        wait_until(is_waiting, "the wait has begun")
        signal.pthread_kill(main, signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        interrupting = threading.Thread(target=interrupt)
        interrupting.start()
        target.wait_for_completion()
    interrupting.join()
    assert "Stopped waiting. Compute target 'trial' is still being worked on (Creating)" in capsys.readouterr().out
    assert target.provisioning_state == "Creating"
    tools.set("hang", on=False)
    target.delete()
    target.wait_for_completion()
    assert [line.split()[1] for line in tools.calls] == ["create", "delete"]


def test_the_work_of_another_process_is_waited_for_and_one_that_has_ended_is_said(
    workspace: Workspace, tools: Tools
) -> None:
    created(workspace)
    record = created_cluster(workspace.directory, "trial")
    assert record is not None
    other = replace(record, name="other")
    remember_created(workspace.directory, other.by_this_process(CreationState.CREATING))
    target = ComputeTarget(workspace, "other")
    assert (target.provisioning_state, target.provisioning_errors) == ("Creating", None)
    for action in (target.delete, target.detach):
        with pytest.raises(ComputeTargetException, match="is being created by process"):
            action()
    child = subprocess.Popen(["true"])
    child.wait()
    ended = replace(other.by_this_process(CreationState.CREATING), process=child.pid)
    remember_created(workspace.directory, ended)
    assert target.provisioning_state == "Failed"
    assert "has ended before it was done" in (target.provisioning_errors or "")
    target.delete()
    target.wait_for_completion()
    assert "other" not in workspace.compute_targets


def test_the_record_is_private_and_lists_show_the_provider(workspace: Workspace, tools: Tools) -> None:
    created(workspace)
    path = workspace.directory / "clusters" / "created" / "trial.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "stub-token" not in path.read_text()
    at = ("--workspace", workspace.name)
    rows = {row["name"]: row for row in run_json("computetarget", "list", *at)}
    assert (rows["trial"]["provider"], rows["trial"]["cluster"]) == ("kind", "kind cluster 'trial'")
    table = run("computetarget", "list", *at).stdout
    assert "PROVIDER" in table
    assert "kind" in table
    path.write_text(json.dumps({"name": "trial"}))  # a damaged record hides nothing
    assert list(workspace.compute_targets) == ["local", "docker"]


def test_an_image_is_copied_to_the_nodes_of_a_cluster_on_this_machine(workspace: Workspace, tools: Tools) -> None:
    created(workspace, "k3d")
    record = created_cluster(workspace.directory, "trial")
    assert record is not None
    assert provider_of(record.provider).load_image("mine:1", tools.directory / "kubeconfig", lambda line: None)
    assert tools.calls[-1] == "k3d image import mine:1 --cluster trial"


def test_the_command_line_creates_and_says_which_option_a_provider_does_not_have(
    workspace: Workspace, tools: Tools
) -> None:
    at = ("--workspace", workspace.name)
    text = failed("computetarget", "create", "trial", "--provider", "kind", "--cluster-name", "mine", *at)
    assert "the kind cluster 'mine' exists, and is not attached" in text
    assert tools.calls[0].startswith("kind create cluster --name mine")
    text = failed("computetarget", "create", "next", "--provider", "kind", "--vm-size", "large", *at)
    assert text == "--vm-size is not for provider 'kind'."
    text = failed("computetarget", "delete", "docker", *at)
    assert "cannot be deleted" in text


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"provider": "aks"}, "one of kind, k3d, minikube, command; for Azure, use"),
        ({"provider": "kind", "cluster_name": "--help"}, "cluster_name is '--help'"),
        ({"provider": "kind", "options": "--image x"}, "options must be a list of texts"),
        ({"provider": "kind", "delete_command": ["x"]}, "delete_command is for provider 'command'"),
        ({"provider": "kind", "cluster_purpose": "Fast"}, "cluster_purpose is 'Fast'"),
        ({"provider": "command"}, "create_command must be a list of texts"),
        ({"provider": "command", "create_command": ["x"], "delete_command": []}, "delete_command is empty"),
        ({"provider": "command", "options": ["x"]}, "are for kind, k3d and minikube"),
    ],
)
def test_arguments_are_checked_before_anything_runs(given: dict[str, object], text: str) -> None:
    with pytest.raises(ComputeTargetException, match=text):
        KubernetesCompute.provisioning_configuration(**given)
