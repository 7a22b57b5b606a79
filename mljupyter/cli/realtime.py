"""``mljupyter endpoint realtime``: endpoints with several versions, with the flags of Azure ML's command line."""

from __future__ import annotations

from inspect import signature
from typing import Any

import click

from mljupyter.cli import flags
from mljupyter.cli.deployment import changes_of, finish, inference_config_of, models_of
from mljupyter.cli.flags import OldCommand, given, v1_options
from mljupyter.cli.options import open_workspace
from mljupyter.cli.output import progress_on_stderr
from mljupyter.cli.service import SHARED, change_service, changed_tags, print_services
from mljupyter.core import AksEndpoint
from mljupyter.exceptions import UserErrorException
from mljupyter.notebook.endpoint_commands import versioned_endpoint

_VERSION = flags.flag("--vn", "--version-name", "version_name", metavar="NAME", required=True, help="Version.")
_ROLES = (
    flags.flag("--tp", "--traffic-percentile", type=int, metavar="NUMBER", help="Its share in percent."),
    flags.flag("--is-default", help="Make it the default version.", **flags.SWITCH),
    flags.flag("--cvt", "--is-control-version-type", help="Make it the control version.", **flags.SWITCH),
)
_CONTENT = (
    *flags.MODELS,
    flags.flag("--dc", "--deploy-config-file", "deploy_file", metavar="FILE", help="deploymentconfig.json."),
    *flags.INFERENCE,
    *flags.SETTINGS_OF_A_VERSION,
    flags.DESCRIPTION,
)


@click.group()
def realtime() -> None:
    """Endpoints with versions, as Azure ML has them."""


for command in SHARED:
    realtime.add_command(command)


@realtime.command("list", cls=OldCommand, short_help="List the endpoints with versions.")
@v1_options(
    flags.flag("--model-id", metavar="NAME:VERSION", help="Only with this model."),
    flags.flag("--model-name", metavar="NAME", help="Only with a model of this name."),
    *flags.FILTERS,
)
def list_endpoints(workspace: str | None, as_json: bool, **values: Any) -> None:
    """List the endpoints that may have several versions."""
    print_services(workspace, as_json, {"compute_type": "AKSENDPOINT", **values})


@realtime.command("create-version", cls=OldCommand, short_help="Add a version to an endpoint.")
@v1_options(
    flags.NAME,
    _VERSION,
    *_ROLES,
    *_CONTENT,
    *flags.TAGS,
    flags.CHANGED_TAGS[0],
    *flags.ADDED_PROPERTIES,
    *flags.NO_WAIT,
)
def create_version(name: str, workspace: str | None, as_json: bool, no_wait: bool, **values: Any) -> None:
    """Add a version to an endpoint; it gets its share of the requests when it is ready."""
    values["tags"] = {**(values["tags"] or {}), **(values.pop("add_tags") or {})} or None
    values["properties"] = {**(values["properties"] or {}), **(values.pop("add_properties") or {})} or None
    endpoint = versioned_endpoint(open_workspace(workspace), name)
    with progress_on_stderr():
        endpoint.create_version(**_arguments(endpoint, AksEndpoint.create_version, values))
    finish(endpoint, as_json=as_json, wait=not no_wait)


@realtime.command("update-version", cls=OldCommand, short_help="Change a version of an endpoint.")
@v1_options(
    flags.NAME,
    _VERSION,
    *_ROLES,
    *_CONTENT,
    *flags.CHANGED_TAGS,
    *flags.ADDED_PROPERTIES,
    *flags.NO_WAIT,
)
def update_version(name: str, workspace: str | None, as_json: bool, no_wait: bool, **values: Any) -> None:
    """Change the settings of a version that are given."""
    endpoint = versioned_endpoint(open_workspace(workspace), name)
    present = endpoint.versions.get(values["version_name"])
    tags = changed_tags(present.tags if present is not None else {}, values)
    values |= {"tags": tags, "properties": values["add_properties"]}
    with progress_on_stderr():
        endpoint.update_version(**_arguments(endpoint, AksEndpoint.update_version, values))
    finish(endpoint, as_json=as_json, wait=not no_wait)


@realtime.command("delete-version", cls=OldCommand, short_help="Delete a version of an endpoint.")
@v1_options(flags.NAME, _VERSION, *flags.NO_WAIT)
def delete_version(name: str, version_name: str, workspace: str | None, as_json: bool, no_wait: bool) -> None:
    """Delete a version of an endpoint that is not its default version."""
    endpoint = versioned_endpoint(open_workspace(workspace), name)
    endpoint.delete_version(version_name)
    finish(endpoint, as_json=as_json, wait=not no_wait)


@realtime.command(cls=OldCommand, short_help="Change authentication, tags and so on.")
@v1_options(
    flags.NAME,
    *flags.AUTHENTICATION,
    *flags.INSIGHTS,
    flags.DESCRIPTION,
    *flags.CHANGED_TAGS,
    *flags.ADDED_PROPERTIES,
    *flags.NO_WAIT,
)
def update(name: str, workspace: str | None, as_json: bool, no_wait: bool, **values: Any) -> None:
    """Change settings of an endpoint as a whole; update-version changes a version."""
    endpoint = versioned_endpoint(open_workspace(workspace), name)
    change_service(endpoint, values, as_json=as_json, wait=not no_wait)


def _arguments(endpoint: AksEndpoint, method: Any, values: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments for a method that creates or changes a version.

    Raises:
        UserErrorException: the file has a setting that belongs to the endpoint as a whole.

    """
    allowed = signature(method).parameters
    settings = changes_of(values)
    if others := [name for name in settings if name not in allowed]:
        raise UserErrorException(
            f"{', '.join(others)}: not a setting of a version. For the endpoint as a whole: "
            f"mljupyter endpoint realtime update -n {endpoint.name} ..."
        )
    arguments = settings | given(values, "version_name", "is_default", "is_control_version_type")
    if (config := inference_config_of(endpoint.workspace, values)) is not None:
        arguments["inference_config"] = config
    if models := models_of(values):
        arguments["models"] = models
    return arguments
