"""The files ``inferenceconfig.json`` and ``deploymentconfig.json`` of Azure ML v1, as JSON or YAML, in all their forms.

Two tables map the keys of the files to the arguments of the SDK. The values of the command line's flags are laid over
them: `deployment_configuration` and `inference_configuration` take both.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from inspect import signature
from typing import TYPE_CHECKING, Any

from mljupyter import core
from mljupyter.build.environments.definition import EnvironmentDefinition
from mljupyter.core.conda_file import read_text
from mljupyter.exceptions import UserErrorException, as_user_error
from mljupyter.files import expanded
from mljupyter.outside import json_value, yaml_value

if TYPE_CHECKING:
    from mljupyter.core import Environment, InferenceConfig, WebserviceDeploymentConfiguration, Workspace

LOCAL, ACI, AKS, AKS_ENDPOINT = "LOCAL", "ACI", "AKS", "AKSENDPOINT"
COMPUTE_TYPES = (ACI, AKS, AKS_ENDPOINT, LOCAL)
COMPUTE_TYPE = "computeType"

_OF_ALL = {"tags": "tags", "properties": "properties", "description": "description"}
_KEYS = {"keys.primaryKey": "primary_key", "keys.secondaryKey": "secondary_key"}
_SIZE = {"containerResourceRequirements.cpu": "cpu_cores", "containerResourceRequirements.memoryInGB": "memory_gb"}
_INSIGHTS = {
    "authEnabled": "auth_enabled",
    "appInsightsEnabled": "enable_app_insights",
    "dataCollection.storageEnabled": "collect_model_data",
}
_AKS = {
    **_OF_ALL,
    **_KEYS,
    **_SIZE,
    **_INSIGHTS,
    "containerResourceRequirements.cpuLimit": "cpu_cores_limit",
    "containerResourceRequirements.memoryInGBLimit": "memory_gb_limit",
    "containerResourceRequirements.gpu": "gpu_cores",
    "autoScaler.autoscaleEnabled": "autoscale_enabled",
    "autoScaler.minReplicas": "autoscale_min_replicas",
    "autoScaler.maxReplicas": "autoscale_max_replicas",
    "autoScaler.refreshPeriodInSeconds": "autoscale_refresh_seconds",
    "autoScaler.targetUtilization": "autoscale_target_utilization",
    "tokenAuthEnabled": "token_auth_enabled",
    "scoringTimeoutMs": "scoring_timeout_ms",
    "maxConcurrentRequestsPerContainer": "replica_max_concurrent_requests",
    "maxQueueWaitMs": "max_request_wait_time",
    "numReplicas": "num_replicas",
    "gpuCores": "gpu_cores",
    "livenessProbeRequirements.periodSeconds": "period_seconds",
    "livenessProbeRequirements.initialDelaySeconds": "initial_delay_seconds",
    "livenessProbeRequirements.timeoutSeconds": "timeout_seconds",
    "livenessProbeRequirements.successThreshold": "success_threshold",
    "livenessProbeRequirements.failureThreshold": "failure_threshold",
    "namespace": "namespace",
    "computeTargetName": "compute_target_name",
}
DEPLOYMENT_KEYS: dict[str, dict[str, str]] = {
    LOCAL: {"port": "port"},
    ACI: {
        **_OF_ALL,
        **_KEYS,
        **_SIZE,
        **_INSIGHTS,
        "location": "location",
        "sslEnabled": "ssl_enabled",
        "sslCertificate": "ssl_cert_pem_file",
        "sslKey": "ssl_key_pem_file",
        "cname": "ssl_cname",
        "dnsNameLabel": "dns_name_label",
        "vaultBaseUrl": "cmk_vault_base_url",
        "keyName": "cmk_key_name",
        "keyVersion": "cmk_key_version",
        "vnetName": "vnet_name",
        "subnetName": "subnet_name",
    },
    AKS: {**_AKS, "blobfuseEnabled": "blobfuse_enabled"},
    AKS_ENDPOINT: {**_AKS, "versionName": "version_name", "trafficPercentile": "traffic_percentile"},
}
"""The keys of ``deploymentconfig.json`` by kind, and the arguments of `deploy_configuration`; a dot separates parts."""

INFERENCE_KEYS = {
    "entryScript": "entry_script",
    "sourceDirectory": "source_directory",
    "environment": "environment",
    "description": "description",
    "runtime": "runtime",
    "condaFile": "conda_file",
    "extraDockerfileSteps": "extra_docker_file_steps",
    "enableGpu": "enable_gpu",
    "cudaVersion": "cuda_version",
    "baseImage": "base_image",
    "baseImageRegistry": "base_image_registry",
}
"""The keys of ``inferenceconfig.json``, and the arguments of `InferenceConfig`."""

_CLASSES = {LOCAL: "LocalWebservice", ACI: "AciWebservice", AKS: "AksWebservice", AKS_ENDPOINT: "AksEndpoint"}
_REGISTRY_KEYS = ("address", "username", "password")
_ONLY_NAMED = {"name", "version"}


def read_document(path: str | os.PathLike[str], what: str) -> dict[str, Any]:
    """Return the object in a JSON or YAML file.

    Parameters:
        path: the file; one whose name ends with ``.yml`` or ``.yaml`` is YAML, every other one JSON, or else YAML.
        what: its name in errors, such as ``inference config file``.

    Raises:
        UserErrorException: it is missing, too large, neither JSON nor YAML, or holds something else than an object.

    """
    text = read_text(path, what)
    where = f"The {what} {str(path)!r}"
    try:
        document = json_value(text)
    except ValueError as error:
        document = _yaml(text, where, str(error))
    if not isinstance(document, dict):
        raise UserErrorException(f"{where} holds a {type(document).__name__}: it must hold an object, {{...}}.")
    return document


def deployment_arguments(document: Mapping[str, Any], where: str) -> tuple[str | None, dict[str, Any]]:
    """Return the kind of web service in a deployment configuration file, and the arguments for `deploy_configuration`.

    Parameters:
        document: the content of the file.
        where: its name in errors.

    Returns:
        The kind, one of `COMPUTE_TYPES`, or None if the file has none; and the arguments by their names in the SDK.

    Raises:
        UserErrorException: it has a key that its kind does not have, or another kind.

    Example:
        >>> deployment_arguments({"computeType": "aks", "autoScaler": {"minReplicas": 1}}, "deploymentconfig.json")
        ('AKS', {'autoscale_min_replicas': 1})

    """
    kind = None if document.get(COMPUTE_TYPE) is None else compute_type(document[COMPUTE_TYPE], f"{where}: computeType")
    known = DEPLOYMENT_KEYS[kind or AKS_ENDPOINT] | ({} if kind else DEPLOYMENT_KEYS[ACI] | DEPLOYMENT_KEYS[LOCAL])
    rest = {key: value for key, value in document.items() if key not in (COMPUTE_TYPE, "$schema")}
    return kind, _mapped(rest, known, f"{where} ({kind})" if kind else where)


def inference_arguments(document: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the arguments for `InferenceConfig` in an inference configuration file; the environment as its document.

    Parameters:
        document: the content of the file.
        where: its name in errors.

    Raises:
        UserErrorException: it has an unknown key.

    """
    rest = {key: value for key, value in document.items() if key != "$schema"}
    # The environment, the registry and so on are objects of their own: they are read whole.
    return {
        INFERENCE_KEYS[_known(key, INFERENCE_KEYS, where)]: value for key, value in rest.items() if value is not None
    }


def compute_type(value: Any, where: str) -> str:
    """Return a kind of web service, whatever its case.

    Raises:
        UserErrorException: it is none.

    """
    found = value.upper() if isinstance(value, str) else None
    if found not in COMPUTE_TYPES:
        raise UserErrorException(f"{where} is {value!r}: it must be one of {', '.join(COMPUTE_TYPES)}, in any case.")
    return found


def deployment_configuration(kind: str, arguments: Mapping[str, Any], where: str) -> WebserviceDeploymentConfiguration:
    """Return the deployment configuration of a kind.

    Parameters:
        kind: one of `COMPUTE_TYPES`.
        arguments: by their names in the SDK.
        where: the source of an argument by its name, in errors; ``{}`` stands for the name.

    Raises:
        UserErrorException: the kind does not have an argument.
        WebserviceException: rules are broken.

    """
    configure = getattr(core, _CLASSES[kind]).deploy_configuration
    allowed = signature(configure).parameters
    if others := [where.format(name) for name in arguments if name not in allowed]:
        raise UserErrorException(
            f"{', '.join(others)}: not for a web service of kind {kind}. Leave it out, or choose another kind."
        )
    result: WebserviceDeploymentConfiguration = configure(**arguments)
    return result


def inference_configuration(workspace: Workspace, arguments: Mapping[str, Any], where: str) -> InferenceConfig:
    """Return the inference configuration for arguments by their names in the SDK.

    Parameters:
        workspace: has the registered environments.
        arguments: those of `inference_arguments`; the environment may also be an `Environment`.
        where: the file's name in errors.

    Raises:
        UserErrorException: the scoring script is not given, or the environment breaks a rule.
        WebserviceException: another rule is broken.

    """
    given = dict(arguments)
    if not isinstance(given.get("entry_script"), str):
        raise UserErrorException(
            f"{where} has no scoring script: give entryScript in the file, or --entry-script score.py."
        )
    environment = given.get("environment")
    if isinstance(environment, (Mapping, str)):
        given["environment"] = environment_of(workspace, environment, where)
    registry = given.get("base_image_registry")
    if isinstance(registry, Mapping):
        given["base_image_registry"] = core.ContainerRegistry(
            **{
                _known(key, dict.fromkeys(_REGISTRY_KEYS), f"{where}: baseImageRegistry"): registry[key]
                for key in registry
            }
        )
    return core.InferenceConfig(**given)


def environment_of(workspace: Workspace, document: Mapping[str, Any] | str, where: str) -> Environment:
    """Return the environment in an inference configuration file.

    Parameters:
        workspace: has the registered environments.
        document: a whole environment; or a name, also with a version alone, for a registered one.
        where: the file's name in errors.

    Raises:
        UserErrorException: it breaks a rule, or there is no environment of that name.

    """
    if isinstance(document, str):
        name, _, version = document.partition(":")
        return core.Environment.get(workspace, name, version or None)
    if document.keys() <= _ONLY_NAMED and document.get("name"):
        return core.Environment.get(workspace, document["name"], document.get("version"))
    whole = {key: value for key, value in document.items() if value is not None}
    whole.setdefault("name", "inference")
    python = whole.get("python")
    if isinstance(python, Mapping) and "condaDependenciesFile" in python:
        python = dict(python)
        file = python.pop("condaDependenciesFile")
        if file is not None:
            if python.get("condaDependencies"):
                raise UserErrorException(
                    f"{where}: environment.python has condaDependencies and condaDependenciesFile: give one."
                )
            python["condaDependencies"] = core.CondaDependencies(file).as_dict()
        whole["python"] = python
    docker = whole.get("docker")
    if isinstance(docker, Mapping) and isinstance(docker.get("baseDockerfile"), str):
        text = docker["baseDockerfile"]
        if "\n" not in text and expanded(text).is_file():
            whole["docker"] = {**docker, "baseDockerfile": read_text(text, "Dockerfile")}
    with as_user_error():
        definition = EnvironmentDefinition.parse(whole)
        return core.Environment.of(definition)


def _mapped(document: Mapping[str, Any], known: Mapping[str, str], where: str, above: str = "") -> dict[str, Any]:
    """Return the arguments for the keys of a document, those of its parts included; null is not given."""
    found: dict[str, Any] = {}
    parts = {key.partition(".")[0] for key in known if "." in key}
    for key, value in document.items():
        path = f"{above}{key}"
        if value is None:
            _known(path, {**known, **dict.fromkeys(parts)}, where)
        elif path in parts:
            if not isinstance(value, Mapping):
                raise UserErrorException(f"{where}: {path} is {value!r}: it must be an object, {{...}}.")
            found |= _mapped(value, known, where, f"{path}.")
        else:
            _known(path, {**known, **dict.fromkeys(parts)}, where)
            found[known[path]] = value
    return found


def _known(key: str, known: Mapping[str, Any], where: str) -> str:
    """Return a key; raise an error with the nearest or all known keys if it is unknown."""
    if key in known:
        return key
    by_lower = {one.lower(): one for one in known}
    close = difflib.get_close_matches(key.lower(), by_lower, 1)
    rule = f"Did you mean {by_lower[close[0]]!r}?" if close else f"Known keys: {', '.join(sorted(known))}."
    raise UserErrorException(f"{where} has the key {key!r}, which is unknown. {rule}")


def _yaml(text: str, where: str, json_error: str) -> Any:
    import yaml  # slow to import; few calls need it

    looks_like_json = text.lstrip().startswith("{")
    try:
        document = yaml_value(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}:" if mark is not None else ""
        said = json_error if looks_like_json else f"{line} {getattr(error, 'problem', None) or 'it is not YAML'}"
        raise UserErrorException(f"{where} is neither JSON nor YAML: {said.strip()}.") from None
    return document
