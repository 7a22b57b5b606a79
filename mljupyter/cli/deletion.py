"""The deletion of one or several things: all are checked first, and nothing is deleted if one cannot be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import click

from mljupyter.cli.output import print_document, say
from mljupyter.exceptions import UserErrorException

dry_run_option = click.option("--dry-run", is_flag=True, help="Only say what would be deleted, and what is in use.")


@dataclass(frozen=True)
class Deletion:
    """A thing to delete.

    Parameters:
        id: its name or id.
        delete: deletes it.
        users: what uses it, which forbids the deletion.

    """

    id: str
    delete: Callable[[], object]
    users: Sequence[str] = ()


def carry_out(deletions: Sequence[Deletion], *, key: str, dry_run: bool, as_json: bool) -> None:
    """Delete all, or say with `dry_run` what would be deleted. Things that are given twice are deleted once.

    Parameters:
        deletions: the things, each of which exists.
        key: the key of the id in the JSON document; several things are a list of documents.
        dry_run: delete nothing.
        as_json: print JSON.

    Raises:
        UserErrorException: one of them is in use; nothing was deleted.

    """
    chosen = list({one.id: one for one in deletions}.values())
    used = [one for one in chosen if one.users]
    if used and not dry_run:
        lines = [f"{one.id} is in use by {', '.join(one.users)}: it cannot be deleted." for one in used]
        raise UserErrorException("\n".join([*lines, "Nothing was deleted. Delete or update those first."]))
    documents: list[dict[str, object]] = []
    for one in chosen:
        if dry_run:
            documents.append({key: one.id, "deleted": False, "usedBy": list(one.users)})
        else:
            one.delete()
            documents.append({key: one.id, "deleted": True})
        if not as_json:
            stays = f"stays: in use by {', '.join(one.users)}" if one.users else "would be deleted"
            say(f"{one.id}: {f'{stays} (dry run, nothing done)' if dry_run else 'deleted'}")
    if as_json:
        print_document(documents[0] if len(documents) == 1 else documents)
