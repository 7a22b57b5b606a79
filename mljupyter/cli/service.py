"""``mljupyter service``: the commands for web services, with the flags of Azure ML's command line."""

from __future__ import annotations

from inspect import signature
from typing import Any

import click

from mljupyter.cli import flags
from mljupyter.cli.data import body_of
from mljupyter.cli.deletion import Deletion, carry_out, dry_run_option
from mljupyter.cli.deployment import changes_of, finish, inference_config_of, models_of, print_service
from mljupyter.cli.flags import OldCommand, filters_of, given, v1_options
from mljupyter.cli.options import open_workspace
from mljupyter.cli.output import format_is_given, print_document, print_fields, print_table, progress_on_stderr, say
from mljupyter.core import AksEndpoint, LocalWebservice, Webservice
from mljupyter.exceptions import UserErrorException

_COLUMNS = ("NAME", "KIND", "STATE", "MODELS", "SCORING URI")
_DEPLOY_AGAIN = "deploy it again: mljupyter model deploy -n {name} --overwrite ..."


@click.group()
def service() -> None:
    """List, show, call, change and delete web services; their keys, tokens and logs."""


def web_service(workspace: str | None, name: str) -> Webservice:
    """Return a web service by its name.

    Raises:
        WebserviceException: `WebserviceNotFound`, with the nearest name.

    """
    found = open_workspace(workspace)
    return Webservice.from_record(found, found.endpoints.endpoint(name))


@service.command("list", cls=OldCommand, short_help="List the web services of the workspace.")
@v1_options(
    flags.flag("-c", "--compute-type", metavar="KIND", help="Only ACI, AKS, AKSENDPOINT or LOCAL."),
    flags.flag("--model-id", metavar="NAME:VERSION", help="Only with this model."),
    flags.flag("--model-name", metavar="NAME", help="Only with a model of this name."),
    flags.flag("--image-digest", metavar="DIGEST", help="Only from this image."),
    *flags.FILTERS,
)
def list_services(workspace: str | None, as_json: bool, **values: Any) -> None:
    """List the web services of the workspace."""
    print_services(workspace, as_json, values)


def print_services(workspace: str | None, as_json: bool, values: dict[str, Any]) -> None:
    """Print the web services that pass the filters of the flags."""
    filters: dict[str, Any] = {
        "tags": filters_of(values.pop("tags")),
        "properties": filters_of(values.pop("properties")),
    }
    services = Webservice.list(open_workspace(workspace), **values, **filters)
    if as_json:
        print_document([one.serialize() for one in services])
    elif not services:
        say("No web services. Deploy one with: mljupyter model deploy -n NAME -m MODEL --es score.py")
    else:
        print_table(_COLUMNS, [_row(one) for one in services])


@service.command(cls=OldCommand, short_help="Show one web service.")
@v1_options(flags.NAME)
def show(name: str, workspace: str | None, as_json: bool) -> None:
    """Show one web service."""
    print_service(web_service(workspace, name), as_json=as_json)


@service.command(cls=OldCommand, short_help="Delete web services; their models stay.")
@v1_options(
    flags.flag("-n", "--name", "names", metavar="NAME", multiple=True, required=True, help="Name. Repeatable."),
    dry_run_option,
)
def delete(names: tuple[str, ...], dry_run: bool, workspace: str | None, as_json: bool) -> None:
    """Delete web services, and wait until their replicas have ended. Registered models stay."""
    deletions = [Deletion(name, web_service(workspace, name).delete) for name in names]
    carry_out(deletions, key="name", dry_run=dry_run, as_json=as_json)


@service.command("run", cls=OldCommand, short_help="Send data and print the answer.")
@v1_options(
    flags.NAME,
    flags.flag("-d", "--input-data", metavar="DATA", required=True, help="JSON text, @FILE, or - for standard input."),
)
def run_service(name: str, input_data: str, workspace: str | None, as_json: bool) -> None:
    """Send data to a web service and print its answer."""
    answer = web_service(workspace, name).run(body_of(input_data, "--input-data"))
    if isinstance(answer, str) and not as_json:
        say(answer)
    else:
        print_document(answer)


@service.command("get-keys", cls=OldCommand, short_help="Print the two keys.")
@v1_options(flags.NAME)
def get_keys(name: str, workspace: str | None, as_json: bool) -> None:
    """Print the two keys of a web service; both are valid."""
    primary, secondary = web_service(workspace, name).get_keys()
    if as_json:
        print_document({"primaryKey": primary, "secondaryKey": secondary})
    else:
        print_fields([("Primary", primary), ("Secondary", secondary)])


@service.command("regen-key", cls=OldCommand, short_help="Replace one key; the other keeps working.")
@v1_options(
    flags.NAME,
    flags.flag(
        "-k",
        "--key",
        required=True,
        type=click.Choice(["Primary", "Secondary"], case_sensitive=False),
        help="Key to replace.",
    ),
    flags.flag("-s", "--set-key", metavar="KEY", help="The new key; default: a random one."),
)
def regen_key(name: str, key: str, set_key: str | None, workspace: str | None, as_json: bool) -> None:
    """Replace one key of a web service and print both."""
    found = web_service(workspace, name)
    found.regen_key(key, set_key)
    primary, secondary = found.get_keys()
    if as_json:
        print_document({"primaryKey": primary, "secondaryKey": secondary})
    else:
        print_fields([("Primary", primary), ("Secondary", secondary)])


@service.command("get-access-token", cls=OldCommand, short_help="Print a token.")
@v1_options(flags.NAME)
def get_access_token(name: str, workspace: str | None, as_json: bool) -> None:
    """Print a token for a web service; as JSON also the times to refresh it and when it expires."""
    token = web_service(workspace, name).get_access_token()
    if as_json:
        print_document(token.serialize())
    else:
        say(token.access_token)


@service.command("get-logs", cls=OldCommand, short_help="Print the last log lines.")
@v1_options(
    flags.NAME,
    flags.flag("-i", "--init", help="The start of the newest replica.", **flags.SWITCH),
    flags.flag(
        "-l", "--num_lines", "--num-lines", "num_lines", type=int, default=5000, show_default=True, help="Lines."
    ),
)
def get_logs(name: str, init: bool | None, num_lines: int, workspace: str | None, as_json: bool) -> None:
    """Print the last log lines of a web service's replicas."""
    found = web_service(workspace, name)
    local = isinstance(found, LocalWebservice)
    text = found.get_logs(num_lines) if local else found.get_logs(num_lines, init=bool(init))
    if as_json and format_is_given():
        print_document(text)
    else:
        say(text, nl=not text.endswith("\n"))


@service.command(cls=OldCommand, short_help="Change settings, models or script.")
@v1_options(
    flags.NAME,
    *flags.MODELS,
    flags.flag("--dc", "--deploy-config-file", "deploy_file", metavar="FILE", help="deploymentconfig.json."),
    *flags.NO_WAIT,
    *flags.INFERENCE,
    *flags.SIZE,
    *flags.LIMITS,
    *flags.AUTHENTICATION,
    *flags.SCALING,
    *flags.REQUESTS,
    *flags.PROBE,
    *flags.INSIGHTS,
    *flags.COLLECTION,
    *flags.TLS,
    *flags.PLACE,
    flags.DESCRIPTION,
    *flags.CHANGED_TAGS,
    *flags.ADDED_PROPERTIES,
    flags.flag("--compute-target", metavar="NAME", hidden=True),
    flags.flag("--is-migration", hidden=True, **flags.SWITCH),
)
def update(name: str, workspace: str | None, as_json: bool, no_wait: bool, **values: Any) -> None:
    """Change the settings that are given; with --model or a scoring script also the content."""
    change_service(web_service(workspace, name), values, as_json=as_json, wait=not no_wait)


def change_service(found: Webservice, values: dict[str, Any], *, as_json: bool, wait: bool) -> None:
    """Change a web service by the values of flags, wait, and print it.

    Raises:
        UserErrorException: nothing is given, or a setting that this kind of web service does not have.

    """
    for option in ("compute_target", "is_migration"):
        if values.get(option) is not None:
            raise UserErrorException(
                f"--{option.replace('_', '-')}: a web service stays on its compute target. For another one, "
                + _DEPLOY_AGAIN.format(name=found.name)
            )
    with progress_on_stderr():
        changes = changes_of(values)
        if (config := inference_config_of(found.workspace, values)) is not None:
            changes["inference_config"] = config
        if models := models_of(values) if "models" in values else []:
            changes["models"] = models
        tags = changed_tags(found.tags, values)
        properties = values.get("add_properties")
        allowed = signature(found.update).parameters
        if unknown := [name for name in changes if name not in allowed]:
            raise UserErrorException(
                f"{', '.join('--' + name.replace('_', '-') for name in unknown)}: not for a web service of kind "
                f"{found.compute_type}, or not to be changed. To change it, {_DEPLOY_AGAIN.format(name=found.name)}"
            )
        if tags is None and not properties and not changes:
            raise click.UsageError("Nothing to change: give --model, --cpu-cores, --add-tag or another option.")
        if "tags" in allowed:
            changes |= {"tags": tags} if tags is not None else {}
            changes |= {"properties": properties} if properties else {}
        else:
            _change_tags_of_local(found, values)
        if changes:
            found.update(**changes)
    finish(found, as_json=as_json, wait=wait)


def changed_tags(present: dict[str, str], values: dict[str, Any]) -> dict[str, str] | None:
    """Return all tags after ``--add-tag`` and ``--remove-tag``; None if neither is given."""
    changes = given(values, "add_tags", "remove_tags")
    if not changes:
        return None
    tags = {**present, **changes.get("add_tags", {})}
    return {key: value for key, value in tags.items() if key not in changes.get("remove_tags", ())}


def _change_tags_of_local(found: Webservice, values: dict[str, Any]) -> None:
    if values.get("add_tags"):
        found.add_tags(values["add_tags"])
    if values.get("remove_tags"):
        found.remove_tags(values["remove_tags"])
    if values.get("add_properties"):
        found.add_properties(values["add_properties"])


def _row(one: Webservice) -> list[str]:
    models = ", ".join(model.id for version in one.record.spec.versions.values() for model in version.models)
    kind = "AKSENDPOINT" if isinstance(one, AksEndpoint) else one.compute_type
    return [one.name, kind, str(one.state), models or "none", one.scoring_uri or ""]


SHARED = (show, delete, run_service, get_keys, regen_key, get_access_token, get_logs)
"""The commands that `mljupyter endpoint realtime` has as well."""
