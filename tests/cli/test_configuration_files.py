"""``inferenceconfig.json`` and ``deploymentconfig.json``: all forms, and what is said about wrong ones."""

from __future__ import annotations

import json
from inspect import signature
from pathlib import Path
from typing import Any

import pytest

from mljupyter.core import (
    AciWebservice,
    AksEndpoint,
    AksWebservice,
    Environment,
    InferenceConfig,
    LocalWebservice,
    Workspace,
)
from mljupyter.core.configuration_files import (
    DEPLOYMENT_KEYS,
    INFERENCE_KEYS,
    deployment_arguments,
    deployment_configuration,
    inference_arguments,
    inference_configuration,
    read_document,
)
from mljupyter.exceptions import UserErrorException, WebserviceException

CLASSES: dict[str, Any] = {
    "LOCAL": LocalWebservice,
    "ACI": AciWebservice,
    "AKS": AksWebservice,
    "AKSENDPOINT": AksEndpoint,
}
DOCUMENTED = {
    "computeType": "aks",
    "autoScaler": {"autoscaleEnabled": True, "minReplicas": 1, "maxReplicas": 3, "refreshPeriodInSeconds": 1,
                   "targetUtilization": 70},
    "dataCollection": {"storageEnabled": True},
    "authEnabled": True,
    "containerResourceRequirements": {"cpu": 0.5, "memoryInGB": 1.0},
}  # fmt: skip


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("MLJUPYTER_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "score.py").write_text("def init(): pass\ndef run(data): return data\n")
    return Workspace.create("files")


@pytest.mark.parametrize("kind", sorted(DEPLOYMENT_KEYS))
def test_each_key_of_a_file_is_an_argument_of_its_kind_of_web_service(kind: str) -> None:
    assert set(DEPLOYMENT_KEYS[kind].values()) <= set(signature(CLASSES[kind].deploy_configuration).parameters)


def test_each_key_of_an_inference_file_is_an_argument_of_inference_config() -> None:
    assert set(INFERENCE_KEYS.values()) == set(signature(InferenceConfig).parameters)


def test_the_documented_deployment_file_gives_its_configuration() -> None:
    kind, arguments = deployment_arguments(DOCUMENTED, "deploymentconfig.json")
    assert kind == "AKS"
    made = deployment_configuration(kind, arguments, "{}")
    assert made.given() == {
        "autoscale_enabled": True,
        "autoscale_min_replicas": 1,
        "autoscale_max_replicas": 3,
        "autoscale_refresh_seconds": 1,
        "autoscale_target_utilization": 70,
        "collect_model_data": True,
        "auth_enabled": True,
        "cpu_cores": 0.5,
        "memory_gb": 1.0,
    }


def test_null_in_a_file_is_not_given() -> None:
    document = {"computeType": "ACI", "location": None, "containerResourceRequirements": {"cpu": None}, "keys": None}
    assert deployment_arguments(document, "file") == ("ACI", {})


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"computeType": "ACI", "numReplicas": 2}, "has the key 'numReplicas', which is unknown"),
        ({"computeType": "AKS", "autoscaler": {}}, "Did you mean 'autoScaler"),
        ({"computeType": "AKS", "autoScaler": {"minReplica": 1}}, "Did you mean 'autoScaler.minReplicas'?"),
        ({"computeType": "AKS", "keys": "secret"}, "it must be an object"),
        ({"computeType": "VM"}, "must be one of ACI, AKS, AKSENDPOINT, LOCAL"),
    ],
)
def test_a_wrong_deployment_file_is_told_with_key_and_rule(document: dict[str, Any], told: str) -> None:
    with pytest.raises(UserErrorException) as raised:
        deployment_arguments(document, "deploymentconfig.json")
    assert told in raised.value.message
    assert raised.value.message.startswith("deploymentconfig.json")


def test_an_argument_of_another_kind_is_refused_by_its_flag() -> None:
    with pytest.raises(UserErrorException, match=r"^--port: not for a web service of kind ACI"):
        deployment_configuration("ACI", {"port": 8000}, "--{}")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[]", "it must hold an object"),
        ('{"a": 1,}x', "neither JSON nor YAML"),
        ("a: [", "neither JSON nor YAML"),
    ],
)
def test_a_file_that_holds_no_object_is_told(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text(text)
    with pytest.raises(UserErrorException, match=told):
        read_document(tmp_path / "file", "inference config file")


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserErrorException, match="cannot be read: No such file"):
        read_document(tmp_path / "nowhere.json", "inference config file")


def test_yaml_is_read_as_json_is(tmp_path: Path) -> None:
    (tmp_path / "dc.yml").write_text("computeType: aci\ncontainerResourceRequirements:\n  cpu: 0.5\n")
    document = read_document(tmp_path / "dc.yml", "deployment config file")
    assert deployment_arguments(document, "file") == ("ACI", {"cpu_cores": 0.5})


def configured(workspace: Workspace, document: dict[str, Any]) -> InferenceConfig:
    arguments = inference_arguments(document, "inferenceconfig.json")
    return inference_configuration(workspace, arguments, "inferenceconfig.json")


def test_an_inference_file_may_hold_a_whole_environment(workspace: Workspace) -> None:
    environment = {
        "name": "mine",
        "version": None,
        "environmentVariables": {"A": "1"},
        "docker": {"arguments": [], "baseDockerfile": None, "baseImage": "debian", "enabled": False,
                   "sharedVolumes": True, "shmSize": None,
                   "baseImageRegistry": {"address": "registry.example.org", "username": "u", "password": "p"}},
        "python": {"baseCondaEnvironment": None, "interpreterPath": "python", "userManagedDependencies": False,
                   "condaDependencies": {"channels": ["conda-forge"],
                                         "dependencies": ["python=3.11", {"pip": ["numpy"]}]},
                   "condaDependenciesFile": None},
        "spark": {"packages": [], "repositories": [], "precachePackages": True},
        "databricks": {"mavenLibraries": []},
        "inferencingStackVersion": None,
    }  # fmt: skip
    made = configured(workspace, {"entryScript": "score.py", "environment": environment})
    assert made.environment is not None
    assert made.environment.environment_variables == {"A": "1"}
    assert made.environment.docker.base_image == "debian"
    assert made.environment.docker.base_image_registry.password == "p"
    assert list(made.environment.python.conda_dependencies.pip_packages) == ["numpy"]


def test_an_environment_of_a_name_alone_is_the_registered_one(workspace: Workspace) -> None:
    Environment("team").register(workspace)
    for given in ("team", "team:1", {"name": "team"}, {"name": "team", "version": "1"}):
        made = configured(workspace, {"entryScript": "score.py", "environment": given})
        assert made.environment is not None
        assert (made.environment.name, made.environment.version) == ("team", "1")


def test_conda_and_docker_files_of_an_environment_are_read(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "env.yml").write_text("dependencies:\n- python=3.11\n- pip:\n  - requests\n")
    (tmp_path / "Dockerfile").write_text("FROM debian\nRUN true\n")
    environment = {
        "name": "e",
        "python": {"condaDependenciesFile": "env.yml"},
        "docker": {"baseDockerfile": "Dockerfile"},
    }
    made = configured(workspace, {"entryScript": "score.py", "environment": environment}).environment
    assert made is not None
    assert list(made.python.conda_dependencies.pip_packages) == ["requests"]
    assert made.docker.base_dockerfile == "FROM debian\nRUN true\n"


def test_the_older_form_has_runtime_and_conda_file(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "env.yml").write_text("dependencies:\n- python=3.11\n")
    older = {"entryScript": "score.py", "runtime": "python", "condaFile": "env.yml", "sourceDirectory": None,
             "enableGpu": None, "baseImage": "debian",
             "baseImageRegistry": {"address": "registry.example.org"}}  # fmt: skip
    made = configured(workspace, older)
    assert (made.runtime, made.conda_file, made.base_image) == ("python", "env.yml", "debian")
    assert made.base_image_registry.address == "registry.example.org"


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"entryscript": "score.py"}, "Did you mean 'entryScript'?"),
        ({}, "has no scoring script: give entryScript in the file, or --entry-script score.py"),
        ({"entryScript": "score.py", "environment": {"name": "x", "pyton": {}}}, "pyton is not a known field"),
        ({"entryScript": "score.py", "baseImageRegistry": {"host": "x"}}, "baseImageRegistry has the key 'host'"),
        ({"entryScript": "nowhere.py"}, "nowhere.py does not exist"),
    ],
)
def test_a_wrong_inference_file_is_told(workspace: Workspace, document: dict[str, Any], told: str) -> None:
    with pytest.raises((UserErrorException, WebserviceException)) as raised:
        configured(workspace, document)
    assert told in raised.value.message


def test_no_secret_of_a_file_is_in_an_error(workspace: Workspace) -> None:
    environment = {"name": "x", "docker": {"baseImageRegistry": {"password": ["hunter2"]}}}
    with pytest.raises(UserErrorException) as raised:
        configured(workspace, json.loads(json.dumps({"entryScript": "score.py", "environment": environment})))
    assert "hunter2" not in raised.value.message
