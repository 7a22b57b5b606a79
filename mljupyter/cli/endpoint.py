"""``mljupyter endpoint``: the commands for endpoints."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any

import click

from mljupyter.cli import release
from mljupyter.cli.data import body_of
from mljupyter.cli.deletion import Deletion, carry_out, dry_run_option
from mljupyter.cli.endpoint_access import COMMANDS
from mljupyter.cli.metrics import endpoint_metrics as metrics
from mljupyter.cli.options import json_option, open_workspace, workspace_option
from mljupyter.cli.output import print_document, print_fields, print_table, say
from mljupyter.cli.realtime import realtime
from mljupyter.cli.scaling import scale, scaling
from mljupyter.core import Webservice
from mljupyter.deploy.cell_script import place_of
from mljupyter.deploy.wait import problem_text
from mljupyter.notebook.endpoint_commands import change_traffic
from mljupyter.notebook.views.clients import Clients
from mljupyter.notebook.views.traffic import COLUMNS, documents, rows
from mljupyter.spec import EndpointRecord
from mljupyter.spec.difference import masked
from mljupyter.visible import lines_of

_INTERRUPTED = 130
_secrets_option = click.option(
    "--show-secrets", is_flag=True, help="With --json, show the values of environment variables as well."
)
_COLLECTED_COLUMNS = ("PATH", "BYTES", "LAST ROW (UTC)")
NO_ENDPOINTS = (
    "No endpoints. Deploy one with: mljupyter deploy NAME --model MODEL --score SCRIPT\n"
    "In a notebook, a fitted estimator: %deploy NAME ESTIMATOR"
)
_COLUMNS = ("NAME", "STATE", "KIND", "MODELS", "REPLICAS", "SCORING URI")


@click.group()
def endpoint() -> None:
    """List, show, change, call and delete endpoints."""


@endpoint.command("list", short_help="List the endpoints of the workspace.")
@_secrets_option
@workspace_option
@json_option
def list_endpoints(show_secrets: bool, workspace: str | None, as_json: bool) -> None:
    """List the endpoints of the workspace."""
    records = sorted(open_workspace(workspace).endpoint_records(), key=lambda record: record.spec.name)
    if as_json:
        print_document([_document(record, show_secrets) for record in records])
    elif not records:
        say(NO_ENDPOINTS)
    else:
        print_table(_COLUMNS, [_row(record) for record in records])


@endpoint.command(short_help="Show an endpoint, its versions and problems.")
@click.argument("name")
@click.option(
    "--clients", is_flag=True, help="Print how other programs call it: URI, curl and Python, without its key."
)
@_secrets_option
@workspace_option
@json_option
def show(name: str, clients: bool, show_secrets: bool, workspace: str | None, as_json: bool) -> None:
    """Show one endpoint with its versions and problems."""
    found = open_workspace(workspace)
    if clients:
        snippets = Webservice(found, name).client_snippets()
        if as_json:
            print_document(asdict(snippets))
        else:
            say(Clients(snippets).text())
        return
    record = found.endpoints.endpoint(name)
    if as_json:
        print_document(_document(record, show_secrets))
        return
    spec, status = record.spec, record.status
    target = found.context.targets.get(spec.compute_target)
    way = target.way_of(status.scoring_uri) if target is not None and status.scoring_uri is not None else None
    fields = list(zip((column.capitalize() for column in _COLUMNS[:-1]), _row(record), strict=False))
    fields += [("Scoring URI", status.scoring_uri or "none yet"), *([("Reached", way)] if way is not None else [])]
    fields += [("Authentication", str(spec.authentication))]
    fields += [("Default version", spec.default_version), ("Updated", f"{record.updated_time:%Y-%m-%d %H:%M:%S %Z}")]
    if status.certificate is not None:
        names, end = ", ".join(status.certificate.names), f"{status.certificate.not_after:%Y-%m-%d %H:%M} UTC"
        fields.append(("Certificate", f"{names}; ends {end}"))
    if record.rollout is not None:
        fields.append(("Rollout", record.rollout.text()))
    print_fields(fields)
    if problem := problem_text(record, place_of(found.artifacts, record)):
        say(problem)


@endpoint.command(short_help="Print the newest log lines of an endpoint.")
@click.argument("name")
@click.option("-n", "--lines", default=100, show_default=True, type=click.IntRange(min=1), help="Number of lines.")
@click.option("--startup", is_flag=True, help="Print the lines from the start of the newest replica instead.")
@click.option("-f", "--follow", is_flag=True, help="Keep printing new lines until interrupted.")
@workspace_option
@json_option
def logs(name: str, lines: int, startup: bool, follow: bool, workspace: str | None, as_json: bool) -> None:
    """Print the last log lines of an endpoint's replicas."""
    if follow and (startup or as_json):
        raise click.UsageError("--follow cannot be combined with --startup or --json.")
    if follow:
        try:
            for line in open_workspace(workspace).endpoints.follow_logs(name, lines=lines):
                say(line, nl=False)
        except KeyboardInterrupt:
            sys.exit(_INTERRUPTED)
        return
    text = open_workspace(workspace).endpoints.logs(name, lines=lines, startup=startup)
    if as_json:
        print_document({"name": name, "lines": lines_of(text)})
    else:
        say(text, nl=not text.endswith("\n"))


@endpoint.command(short_help="List or download the data that scripts have collected.")
@click.argument("name")
@click.option("--designation", metavar="NAME", help="Only this one, such as inputs or predictions.")
@click.option("--model", metavar="NAME", help="Only of this model.")
@click.option("--since", metavar="DURATION", help="Only since this day, such as 7d.")
@click.option("--download", metavar="DIRECTORY", help="Write the files there, each under its path.")
@workspace_option
@json_option
def collected(
    name: str,
    designation: str | None,
    model: str | None,
    since: str | None,
    download: str | None,
    workspace: str | None,
    as_json: bool,
) -> None:
    """List the files of data that an endpoint's scripts have collected, or download them."""
    service = _service(workspace, name)
    if download is not None:
        paths = service.download_collected_data(download, designation, model, since)
        if as_json:
            print_document([str(path) for path in paths])
        else:
            say("\n".join([*map(str, paths), f"{len(paths)} files"]))
        return
    files = service.collected_files(designation, model, since)
    if as_json:
        print_document([file.document() for file in files])
    else:
        rows_of_files = [(file.path, f"{file.size:,}", f"{file.modified_time:%Y-%m-%d %H:%M:%S}") for file in files]
        print_table(_COLLECTED_COLUMNS, rows_of_files)


@endpoint.command(short_help="Delete endpoints; their models stay registered.")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@dry_run_option
@workspace_option
@json_option
def delete(names: tuple[str, ...], dry_run: bool, workspace: str | None, as_json: bool) -> None:
    """Delete endpoints, and wait until their replicas have ended. Registered models stay."""
    deletions = [Deletion(name, _service(workspace, name).delete) for name in names]
    carry_out(deletions, key="name", dry_run=dry_run, as_json=as_json)


@endpoint.command(short_help="Send DATA to an endpoint and print the answer.")
@click.argument("name")
@click.argument("data")
@workspace_option
@json_option
def invoke(name: str, data: str, workspace: str | None, as_json: bool) -> None:
    """Send DATA to an endpoint and print the answer. DATA is JSON text, @FILE, or - for standard input."""
    body = body_of(data)
    answer = _service(workspace, name).run(body)
    if isinstance(answer, str) and not as_json:
        say(answer)
    else:
        print_document(answer)


@endpoint.command(short_help="Show or set the traffic shares of versions.")
@click.argument("name")
@click.argument("shares", nargs=-1, metavar="[VERSION=PERCENT]...")
@click.option(
    "--mirror", multiple=True, metavar="VERSION=PERCENT", help="Send copies of this share of the requests to a version."
)
@click.option(
    "--sticky-header",
    metavar="HEADER",
    help="Send requests with the same value of this header to the same version; 'none' turns this off.",
)
@workspace_option
@json_option
def traffic(
    name: str,
    shares: tuple[str, ...],
    mirror: tuple[str, ...],
    sticky_header: str | None,
    workspace: str | None,
    as_json: bool,
) -> None:
    """Show how requests are split between versions, or set new shares; the default version gets the rest."""
    found = open_workspace(workspace)
    record = change_traffic(found, name, shares, mirror, sticky_header)
    if as_json:
        print_document(documents(record))
    else:
        print_table([column.upper() for column in COLUMNS], rows(record))


for command in (
    *(*COMMANDS, metrics, scale, scaling),
    *(release.rollout, release.promote, release.rollback, release.history),
):
    endpoint.add_command(command)
endpoint.add_command(realtime)


def _service(workspace: str | None, name: str) -> Webservice:
    found = open_workspace(workspace)
    found.endpoints.endpoint(name)  # raises an error that suggests the nearest name
    return found.webservices[name]


def _document(record: EndpointRecord, show_secrets: bool) -> dict[str, Any]:
    document: dict[str, Any] = record.document() if show_secrets else masked(record.document())
    return document


def _row(record: EndpointRecord) -> list[str]:
    spec, status = record.spec, record.status
    models = ", ".join(spec.model_ids) or "none"
    return [spec.name, str(status.state), str(spec.kind).lower(), models, status.replicas, status.scoring_uri or ""]
