"""``mljupyter workspace``: export, import, backup, restore, migrate, join and history."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mljupyter.cli.options import json_option, open_workspace, workspace_option
from mljupyter.cli.output import print_document, print_table, say
from mljupyter.sizes import readable_size
from mljupyter.visible import one_line

if TYPE_CHECKING:
    from mljupyter.transfer.progress import OnProgress, Progress

PASSPHRASE_VARIABLE = "MLJUPYTER_PASSPHRASE"  # noqa: S105 - its name
_MOST_NAMES = 8
_FILE = click.Path(path_type=Path, dir_okay=False)
_overwrite = click.option("--overwrite", is_flag=True, help="Replace FILE if it exists.")
_passphrase_file = click.option(
    "--passphrase-file",
    type=click.File("r"),
    help=f"Read the passphrase from the first line of a file, - for standard input. Default: ${PASSPHRASE_VARIABLE}, "
    "then a question on the terminal.",
)
_chosen = [
    click.option("--model", "models", multiple=True, metavar="NAME[:VERSION]", help="Only this model; repeatable."),
    click.option("--environment", "environments", multiple=True, metavar="NAME[:VERSION]", help="Only this one."),
    click.option("--dataset", "datasets", multiple=True, metavar="NAME[:VERSION]", help="Only this one."),
    click.option("--endpoint", "endpoints", multiple=True, metavar="NAME", help="Only this one, with its models."),
]


def _choosing(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_chosen):
        command = option(command)
    return command


@click.command("export", short_help="Write models, environments, datasets and endpoints to a file.")
@click.argument("file", type=_FILE)
@_choosing
@click.option("--with-secrets", is_flag=True, help="Export secrets too, encrypted with a passphrase.")
@_passphrase_file
@_overwrite
@workspace_option
@json_option
def export_command(
    file: Path,
    with_secrets: bool,
    passphrase_file: Any,
    overwrite: bool,
    workspace: str | None,
    as_json: bool,
    **wanted: Sequence[str],
) -> None:
    """Write models, environments, datasets and the specs of endpoints to FILE.

    Without an option that selects, everything is written. Secrets are left out: the keyvault, keys of endpoints,
    passwords of base images and the values of environment variables.
    """
    passphrase = _passphrase(passphrase_file, confirm=True) if with_secrets else None
    selection: dict[str, Any] = {kind: list(names) for kind, names in wanted.items() if names}
    with _progress() as on_progress:
        done = open_workspace(workspace).export_archive(
            file, **selection, passphrase=passphrase, overwrite=overwrite, on_progress=on_progress
        )
    if as_json:
        print_document(asdict(done))
        return
    say(f"Wrote {done.path}: {readable_size(done.size)}, digests checked.")
    for kind in ("models", "environments", "datasets", "endpoints"):
        _say_names(kind, getattr(done, kind))
    say("Secrets are in it, encrypted." if done.has_secrets else "Secrets were left out.")


@click.command("import", short_help="Add the items of an exported file.")
@click.argument("file", type=_FILE)
@click.option("--deploy", is_flag=True, help="Deploy its endpoints that do not exist here.")
@click.option("--renumber", is_flag=True, help="Register items whose number is taken as next versions.")
@click.option("--with-secrets", is_flag=True, help="Import its secrets too; asks for the passphrase.")
@_passphrase_file
@workspace_option
@json_option
def import_command(
    file: Path,
    deploy: bool,
    renumber: bool,
    with_secrets: bool,
    passphrase_file: Any,
    workspace: str | None,
    as_json: bool,
) -> None:
    """Add the items of FILE, which 'workspace export' wrote: all of them, or none after an error.

    Items and secrets that are there already are kept.
    """
    passphrase = _passphrase(passphrase_file, confirm=False) if with_secrets else None
    with _progress() as on_progress:
        done = open_workspace(workspace).import_archive(
            file, deploy=deploy, renumber=renumber, passphrase=passphrase, on_progress=on_progress
        )
    if as_json:
        print_document(asdict(done))
        return
    for kind in done.added:
        _say_names(f"{kind}s added", done.added[kind])
        _say_names(f"{kind}s there already", done.kept[kind])
        for old, new in done.renumbered.get(kind, {}).items():
            say(f"{kind} {old} is {new} here")
    _say_names("endpoints deployed", done.endpoints)
    _say_names("with another port, since theirs is in use", done.other_ports)
    if done.waiting:
        _say_names("endpoints not deployed", done.waiting)
        say("To deploy those that do not exist here: --deploy")
    _say_names("left out", done.without_secrets)


@click.command(short_help="Write a whole workspace to a file, while it is used.")
@click.argument("file", type=_FILE)
@click.option("--encrypt", is_flag=True, help="Encrypt FILE with a passphrase; restore asks for it.")
@_passphrase_file
@_overwrite
@workspace_option
@json_option
def backup(
    file: Path, encrypt: bool, passphrase_file: Any, overwrite: bool, workspace: str | None, as_json: bool
) -> None:
    """Write the whole workspace with its keys to FILE, while it is used.

    Only you can read FILE. It has what the workspace's directory has, keys and passwords among it: keep it where only
    you, or root, can read it, or use --encrypt. Secrets in a keyring are not in it.
    """
    passphrase = _passphrase(passphrase_file, confirm=True) if encrypt or passphrase_file is not None else None
    with _progress() as on_progress:
        done = open_workspace(workspace).backup(
            file, overwrite=overwrite, passphrase=passphrase, on_progress=on_progress
        )
    if as_json:
        print_document(asdict(done))
        return
    say(f"Wrote {done.path}: {done.files} files, {done.blobs} blobs, {readable_size(done.size)}.")
    say("It is encrypted." if passphrase is not None else "It holds keys, not encrypted: see --encrypt.")
    say(f"To restore it: mljupyter workspace restore {done.path}")


@click.command(short_help="Create the workspace of a backup.")
@click.argument("file", type=_FILE)
@click.option("--name", metavar="NAME", help="Its name. Default: that of the backup.")
@click.option("--directory", type=click.Path(path_type=Path), metavar="DIR", help="A directory for it, new or empty.")
@click.option("--replace", is_flag=True, help="Replace the workspace of this name; its endpoints are stopped.")
@_passphrase_file
@json_option
def restore(
    file: Path, name: str | None, directory: Path | None, replace: bool, passphrase_file: Any, as_json: bool
) -> None:
    """Create the workspace of FILE, which 'workspace backup' wrote, after all of FILE was checked."""
    from mljupyter.core import Workspace  # the SDK is heavy: help stays fast
    from mljupyter.transfer.sealing import is_sealed  # with it

    passphrase = _passphrase(passphrase_file, confirm=False) if is_sealed(file) else None
    with _progress() as on_progress:
        done = Workspace.restore(
            file, name=name, path=directory, replace=replace, passphrase=passphrase, on_progress=on_progress
        )
    if as_json:
        print_document({"name": done.name, "directory": str(done.directory)})
        return
    say(f"Restored workspace {done.name!r} in {done.directory}: databases and digests checked.")
    say(f"Its endpoints start with: mljupyter endpoint list --workspace {done.name}")


@click.command(short_help="Move a workspace to PostgreSQL and an object store.")
@click.option("--database-url", metavar="URL", help="An empty database: postgresql://USER@HOST/NAME, no password.")
@click.option(
    "--artifacts-url", metavar="URL", help="Such as s3://BUCKET/PATH, abfs://CONTAINER/PATH, gs://BUCKET/PATH."
)
@click.option("--delete-old", is_flag=True, help="Remove the old database and artifacts after a check.")
@workspace_option
@json_option
def migrate(
    database_url: str | None, artifacts_url: str | None, delete_old: bool, workspace: str | None, as_json: bool
) -> None:
    """Move the database of a workspace to PostgreSQL and its artifacts to a URL.

    Endpoints continue to serve. After an interruption, the same command goes on. The old database and artifacts stay
    until --delete-old, also later and alone.
    """
    with _progress() as on_progress:
        done = open_workspace(workspace).migrate(
            database_url=database_url, artifacts_url=artifacts_url, delete_old=delete_old, on_progress=on_progress
        )
    if as_json:
        print_document(asdict(done))
        return
    say(f"Database:  {done.database} ({done.rows} rows copied)")
    say(f"Artifacts: {done.artifacts} ({done.blobs} blobs copied)")
    say("Copies checked. Restart notebooks and programs that have the workspace open.")
    if done.old:
        say(f"Still there: {', '.join(map(str, done.old))}")
        say("To remove them: mljupyter workspace migrate --delete-old")


@click.command(short_help="Create a workspace with the storage of a team.")
@click.argument("name")
@click.option("--database-url", metavar="URL", required=True, help="postgresql://USER@HOST/NAME, without a password.")
@click.option("--artifacts-url", metavar="URL", required=True, help="Such as s3://BUCKET/PATH.")
@click.option("--directory", type=click.Path(path_type=Path), metavar="DIR", help="A directory for it, new or empty.")
@json_option
def join(name: str, database_url: str, artifacts_url: str, directory: Path | None, as_json: bool) -> None:
    """Create the workspace NAME on this machine, with the models, environments and datasets of a team.

    The first member's command creates the tables. Endpoints and secrets are in a directory of each member.
    """
    from mljupyter.core import Workspace  # the SDK is heavy: help stays fast

    made = Workspace.create(name, path=directory, database_url=database_url, artifacts_url=artifacts_url)
    if as_json:
        print_document({"name": made.name, "directory": str(made.directory)})
        return
    say(f"Created workspace {made.name!r} in {made.directory}.")
    say(f"Artifacts: {made.context.artifact_location}")


@click.command(short_help="Show who changed what.")
@click.option("--kind", metavar="KIND", help="model, environment, image, dataset, datastore or endpoint.")
@click.option("--item", metavar="NAME[:VERSION]", help="Only this one.")
@click.option("--user", metavar="USER", help="Only changes by this user.")
@click.option("--last", default=50, show_default=True, type=click.IntRange(min=1), help="The number of changes.")
@workspace_option
@json_option
def history(
    kind: str | None, item: str | None, user: str | None, last: int, workspace: str | None, as_json: bool
) -> None:
    """Show who changed which model, environment, image, dataset, datastore or endpoint, the newest last."""
    found = open_workspace(workspace).history(kind=kind, item=item, user=user, last=last)
    if as_json:
        print_document([asdict(change) for change in found])
        return
    if not found:
        say("No changes.")
        return
    columns = ("TIME", "USER", "CHANGE", "ITEM", "DETAILS")
    rows = [
        (
            f"{change.time:%Y-%m-%d %H:%M:%S}",
            change.user,
            change.action,
            f"{change.kind} {change.item}",
            one_line("; ".join(change.details)),
        )
        for change in found
    ]
    print_table(columns, rows)


COMMANDS: Sequence[click.Command] = (export_command, import_command, backup, restore, migrate, join, history)


def _passphrase(file: Any, *, confirm: bool) -> str:
    if file is not None:
        return str(file.readline()).rstrip("\r\n")
    if (given := os.environ.get(PASSPHRASE_VARIABLE)) is not None:
        return given
    if not sys.stdin.isatty():
        raise click.UsageError(f"Give the passphrase by --passphrase-file or ${PASSPHRASE_VARIABLE}.")
    return str(click.prompt("Passphrase", hide_input=True, confirmation_prompt=confirm, err=True))


def _say_names(what: str, names: Sequence[str]) -> None:
    if names:
        more = f", and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        say(f"{what}: {', '.join(names[:_MOST_NAMES])}{more}")


@contextmanager
def _progress() -> Iterator[OnProgress | None]:
    """Yield a function that draws progress on a terminal; None without one."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)

        def draw(progress: Progress) -> None:
            bar.update(task, description=progress.what, completed=progress.done, total=progress.total or None)

        yield draw
