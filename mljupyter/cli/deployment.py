"""The arguments of deployments on the command line: models, inference and deployment configurations.

A configuration comes from a file, from flags, or from both: flags come first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from mljupyter.cli.flags import given
from mljupyter.cli.output import print_document, print_fields, progress_on_stderr
from mljupyter.core import (
    AksEndpoint,
    ComputeTarget,
    ContainerRegistry,
    Environment,
    InferenceConfig,
    Webservice,
    WebserviceDeploymentConfiguration,
    Workspace,
)
from mljupyter.core.compute import AksCompute
from mljupyter.core.compute.cluster import ClusterCompute
from mljupyter.core.configuration_files import (
    ACI,
    AKS,
    AKS_ENDPOINT,
    DEPLOYMENT_KEYS,
    INFERENCE_KEYS,
    LOCAL,
    compute_type,
    deployment_arguments,
    deployment_configuration,
    inference_arguments,
    inference_configuration,
    read_document,
)
from mljupyter.exceptions import ComputeTargetException, UserErrorException

_INFERENCE_FILE = "inference config file"
_DEPLOYMENT_FILE = "deployment config file"
_METADATA_FILE = "model metadata file"
_INFERENCE = frozenset(INFERENCE_KEYS.values()) - {"description"}
_DEPLOYMENT = frozenset(argument for keys in DEPLOYMENT_KEYS.values() for argument in keys.values())
_FLAGS = {"base_image_registry": "--base-image-registry"}


def models_of(values: Mapping[str, Any]) -> list[str]:
    """Return the models that ``--model`` and ``--model-metadata-file`` name.

    Raises:
        UserErrorException: a file cannot be read, or names no model.

    """
    models = list(values["models"])
    for file in values["model_files"]:
        model = read_document(file, _METADATA_FILE).get("modelId")
        if not isinstance(model, str):
            raise UserErrorException(
                f"The {_METADATA_FILE} {file!r} has no modelId. `mljupyter model register -t FILE` writes such files."
            )
        models.append(model)
    return models


def inference_config_of(workspace: Workspace, values: Mapping[str, Any]) -> InferenceConfig | None:
    """Return the inference configuration of a file and of flags; None if there is neither.

    Raises:
        UserErrorException, WebserviceException: a rule is broken.

    """
    file = values.get("inference_file")
    where = f"The {_INFERENCE_FILE} {file!r}" if file is not None else "The command"
    arguments = inference_arguments(read_document(file, _INFERENCE_FILE), where) if file is not None else {}
    arguments |= given(values, *_INFERENCE)
    if (environment := _environment_of(workspace, values)) is not None:
        arguments["environment"] = environment
    if not arguments:
        return None
    registry = arguments.get("base_image_registry")
    if isinstance(registry, str):
        arguments["base_image_registry"] = ContainerRegistry(address=registry)
    return inference_configuration(workspace, arguments, where)


def deployment_config_of(workspace: Workspace, values: Mapping[str, Any]) -> WebserviceDeploymentConfiguration | None:
    """Return the deployment configuration of a file and of flags; None if there is neither and no cluster.

    The kind is that of ``--compute-type``, of the file, or follows from the flags and the compute target.

    Raises:
        UserErrorException, WebserviceException: a rule is broken.
        ComputeTargetException: `ComputeTargetNotFound`.

    """
    file = values.get("deploy_file")
    where = f"The {_DEPLOYMENT_FILE} {file!r}"
    kind, arguments = (
        deployment_arguments(read_document(file, _DEPLOYMENT_FILE), where) if file is not None else (None, {})
    )
    arguments |= given(values, *_DEPLOYMENT)
    asked = values.get("compute_type")
    if asked is not None:
        kind = compute_type(asked, "--compute-type")
    on_cluster = _is_cluster(workspace, values.get("compute_target"))
    if kind is None:
        kind = _kind_for(arguments, on_cluster)
    if kind is None:
        return None
    return deployment_configuration(kind, arguments, "{}")


def changes_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings for an update, from a deployment configuration file and from flags, by argument.

    Raises:
        UserErrorException: the file breaks a rule.

    """
    file = values.get("deploy_file")
    arguments: dict[str, Any] = {}
    if file is not None:
        where = f"The {_DEPLOYMENT_FILE} {file!r}"
        arguments = deployment_arguments(read_document(file, _DEPLOYMENT_FILE), where)[1]
    return arguments | given(values, *_DEPLOYMENT)


def finish(service: Webservice, *, as_json: bool, wait: bool, say_wait: bool = True) -> None:
    """Wait for a deployment, unless it goes on by itself, and print the web service.

    Raises:
        WebserviceException: it failed.

    """
    if wait:
        with progress_on_stderr():
            service.wait_for_deployment(show_output=say_wait)
    print_service(service, as_json=as_json)


def print_service(service: Webservice, *, as_json: bool) -> None:
    """Print a web service: its document, or the fields that people look for."""
    if as_json:
        print_document(service.serialize())
        return
    fields = [
        ("Name", service.name),
        ("State", str(service.state)),
        ("Kind", service.compute_type),
        (
            "Models",
            ", ".join(model.id for model in service.record.spec.versions[service.record.spec.default_version].models),
        ),
        ("Scoring URI", service.scoring_uri or "none yet"),
        ("Keys", f"mljupyter service get-keys -n {service.name}" if service.auth_enabled else ""),
        ("Token", f"mljupyter service get-access-token -n {service.name}" if service.token_auth_enabled else ""),
        ("Error", service.error or ""),
    ]
    if isinstance(service, AksEndpoint):
        shares = (f"{name} {version.weight} %" for name, version in service.versions.items())
        fields.insert(3, ("Versions", ", ".join(shares)))
    print_fields([(name, value) for name, value in fields if value])


def _environment_of(workspace: Workspace, values: Mapping[str, Any]) -> Environment | None:
    name, directory = values.get("environment_name"), values.get("environment_directory")
    if name is not None and directory is not None:
        raise click.UsageError("--environment-name and --environment-directory cannot be combined: give one.")
    if name is None and values.get("environment_version") is not None:
        raise click.UsageError("--environment-version needs --environment-name.")
    if directory is not None:
        return Environment.load_from_directory(directory)
    return None if name is None else Environment.get(workspace, name, values.get("environment_version"))


def _kind_for(arguments: Mapping[str, Any], on_cluster: bool) -> str | None:
    """Return the kind of web service for settings that name none; None for the default of `Model.deploy`."""
    if not arguments and not on_cluster:
        return None
    order = (AKS, AKS_ENDPOINT) if on_cluster else (ACI, LOCAL, AKS, AKS_ENDPOINT)
    fits = (kind for kind in order if arguments.keys() <= set(DEPLOYMENT_KEYS[kind].values()))
    return next(fits, order[0])


def _is_cluster(workspace: Workspace, target: str | None) -> bool:
    if target is None:
        return False
    try:
        found = ComputeTarget(workspace, target)
    except ComputeTargetException:
        found = AksCompute(workspace, target)  # the user may have mapped AKS targets to another one
    return isinstance(found, ClusterCompute)
