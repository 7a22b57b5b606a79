"""``mljupyter image``: the commands for the images of a workspace."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from mljupyter.build.images import ImageError, relaxations, stored_text
from mljupyter.build.images.oci.scan import scan_report
from mljupyter.cli.deletion import Deletion, carry_out, dry_run_option
from mljupyter.cli.flags import NamedCommand
from mljupyter.cli.options import json_option, open_workspace, workspace_option
from mljupyter.cli.output import print_document, print_fields, print_table, say
from mljupyter.core import Workspace
from mljupyter.deploy.images.users import delete_unused_image, present_users_of_image, users_of_image
from mljupyter.registry.catalog.image_record import ImageRecord
from mljupyter.visible import lines_of

_COLUMNS = ("IMAGE", "STATE", "MODELS", "PLACE", "CREATED", "LOCATION")
_FINDING_COLUMNS = ("SEVERITY", "PACKAGE", "VERSION", "FIXED IN", "VULNERABILITY", "SCANNER")
_HIDDEN = ("recipe", "content_digests", "builder")  # internal use of the registry


class _Images(click.Group):
    command_class = NamedCommand


@click.group(cls=_Images)
def image() -> None:
    """List, show, scan and delete images. IMAGE is NAME:VERSION, or a name for its newest version."""


@image.command("list", short_help="List the images of the workspace.")
@click.option("--name", help="Only images of this name.")
@click.option("--model", metavar="NAME|NAME:VERSION", help="Only images that contain this model.")
@workspace_option
@json_option
def list_images(name: str | None, model: str | None, workspace: str | None, as_json: bool) -> None:
    """List the images of the workspace, the newest version of each name first."""
    by = {"model_id" if ":" in model else "model_name": model} if model else {}
    records = open_workspace(workspace).registry.images.list(name, **by)
    if as_json:
        print_document([_document(record) for record in records])
    elif not records:
        say("No images. A deployment of containers builds one: mljupyter deploy NAME ... --to docker")
    else:
        print_table(_COLUMNS, [_row(record) for record in records])


@image.command(short_help="Show one image: content, location, build.")
@click.argument("image_id", metavar="IMAGE")
@workspace_option
@json_option
def show(image_id: str, workspace: str | None, as_json: bool) -> None:
    """Show one image: content, location, build time or the reason of a failed build."""
    found = open_workspace(workspace)
    record = _find(found, image_id)
    users = users_of_image(found.context, record)
    if as_json:
        print_document(_document(record) | {"usedBy": users})
        return
    fields = list(zip((column.capitalize() for column in _COLUMNS), _row(record), strict=True))
    fields += [("Digest", record.digest or "none"), ("Used by", ", ".join(users) or "nothing")]
    fields += [("Description", record.description)] if record.description else []
    fields += [("Tags", _pairs(record.tags))] if record.tags else []
    fields += [("Properties", _pairs(record.properties))] if record.properties else []
    fields += [("Relaxed", str(change)) for change in relaxations(record)]
    fields += [("Stages", ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in record.stages.items()))]
    print_fields(fields)
    error = record.error or {}
    if error:
        say(f"Failed at the step {error.get('step')!r}: {error.get('reason')}")
        say("\n".join(filter(None, [error.get("hint"), *error.get("lastLines", [])])))


@image.command()
@click.argument("image_id", metavar="IMAGE")
@click.option("-n", "--lines", type=click.IntRange(min=1), help="Only the last lines.")
@workspace_option
@json_option
def logs(image_id: str, lines: int | None, workspace: str | None, as_json: bool) -> None:
    """Print the build log of an image, with its stages and their times."""
    text = _stored(open_workspace(workspace), image_id, "log_digest", "log: it was not built here, or still is")
    kept = lines_of(text)[-lines:] if lines else lines_of(text)
    if as_json:
        print_document({"lines": kept})
    else:
        say("\n".join(kept))


@image.command()
@click.argument("image_id", metavar="IMAGE")
@workspace_option
def sbom(image_id: str, workspace: str | None) -> None:
    """Print the bill of materials of an image (CycloneDX JSON)."""
    say(_bill(open_workspace(workspace), image_id), nl=False)


@image.command(short_help="Scan an image for known vulnerabilities.")
@click.argument("image_id", metavar="IMAGE")
@workspace_option
@json_option
def scan(image_id: str, workspace: str | None, as_json: bool) -> None:
    """Scan an image for known vulnerabilities with trivy, grype or pip-audit, whichever are installed.

    The exit status is 1 if something is found, as with these programs.
    """
    found = open_workspace(workspace)
    record = _find(found, image_id)
    report = scan_report(record.location or record.id, _bill(found, record.id).encode())
    if as_json:
        print_document({"image": record.id} | report.as_dict())
    else:
        if report.findings:
            fields = ("severity", "package", "version", "fixed_in", "vulnerability", "scanner")
            rows = [[getattr(finding, field) or "" for field in fields] for finding in report.findings]
            print_table(_FINDING_COLUMNS, rows)
        count = len(report.findings) or "No"
        say(f"{count} known vulnerabilities in {record.id}, according to {', '.join(report.scanners)}.")
        for package in report.unchecked:
            say(f"Not checked: {package}", err=True)
    if report.findings:
        click.get_current_context().exit(1)


@image.command(short_help="Delete images.")
@click.argument("image_ids", metavar="NAME:VERSION...", nargs=-1, required=True)
@click.option("--keep", is_flag=True, help="Remove only the entry, not the image on its engine or in its registry.")
@dry_run_option
@workspace_option
@json_option
def delete(image_ids: tuple[str, ...], keep: bool, dry_run: bool, workspace: str | None, as_json: bool) -> None:
    """Delete images from the workspace, and from their engine or container registry.

    Nothing is deleted while one of them is in use. An image itself stays if another version shares it, or if it was
    not built here.
    """
    context = open_workspace(workspace).context
    records = [context.registry.images.get_by_id(one) for one in image_ids]
    deletions = [
        Deletion(one.id, partial(delete_unused_image, context, one.id, keep=keep), present_users_of_image(context, one))
        for one in records
    ]
    carry_out(deletions, key="id", dry_run=dry_run, as_json=as_json)


def _find(workspace: Workspace, image_id: str) -> ImageRecord:
    images = workspace.registry.images
    return images.get_by_id(image_id) if ":" in image_id else images.get(image_id)


def _stored(workspace: Workspace, image_id: str, digest: str, what: str) -> str:
    record = _find(workspace, image_id)
    if getattr(record, digest) is None:
        raise ImageError(f"Image {record.id} ({record.creation_state}) has no {what}.")
    return stored_text(workspace.registry, getattr(record, digest))


def _bill(workspace: Workspace, image_id: str) -> str:
    return _stored(workspace, image_id, "sbom_digest", "bill of materials: only images that are ready have one")


def _document(record: ImageRecord) -> dict[str, Any]:
    from dataclasses import asdict

    return {_camel(name): value for name, value in asdict(record).items() if name not in _HIDDEN}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _row(record: ImageRecord) -> list[str]:
    created = f"{record.created_time:%Y-%m-%d %H:%M:%S %Z}"
    models = ", ".join(record.model_ids) or "none"
    return [record.id, record.creation_state, models, record.place, created, record.location or "none"]


def _pairs(values: dict[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in values.items())
