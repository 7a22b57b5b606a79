"""The commands of ``mljupyter endpoint`` for keys and tokens."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Literal

import click

from mljupyter.cli.options import json_option, open_router, open_workspace, router_target_option, workspace_option
from mljupyter.cli.output import print_document, print_fields, say


@click.command(short_help="Print the two keys of an endpoint.")
@click.argument("name")
@workspace_option
@json_option
def keys(name: str, workspace: str | None, as_json: bool) -> None:
    """Print the two keys of an endpoint; both are valid."""
    primary, secondary = open_workspace(workspace).endpoints.keys(name)
    if as_json:
        print_document({"primaryKey": primary, "secondaryKey": secondary})
    else:
        print_fields([("Primary", primary), ("Secondary", secondary)])


@click.command("regen-key", short_help="Replace one key; the other one keeps working.")
@click.argument("name")
@click.argument("which", type=click.Choice(["primary", "secondary"], case_sensitive=False))
@click.option("--set-key", metavar="KEY", help="The new key; default: a random one. '-' reads it from standard input.")
@workspace_option
@json_option
def regen_key(name: str, which: str, set_key: str | None, workspace: str | None, as_json: bool) -> None:
    """Replace one key of an endpoint; the other one keeps working."""
    new = sys.stdin.readline().strip() if set_key == "-" else set_key
    chosen: Literal["primary", "secondary"] = "primary" if which.lower() == "primary" else "secondary"
    open_workspace(workspace).endpoints.regenerate_key(name, chosen, new)
    if as_json:
        print_document({"name": name, "regenerated": chosen})
    else:
        say(f"{name}: the {chosen} key was replaced; mljupyter endpoint keys {name} prints the new one")


@click.command(short_help="Print a token for an endpoint.")
@click.argument("name")
@workspace_option
@json_option
def token(name: str, workspace: str | None, as_json: bool) -> None:
    """Print a token for an endpoint; with --json also the time to refresh it."""
    issued = open_workspace(workspace).endpoints.token(name)
    if as_json:
        times = {key: datetime.fromtimestamp(issued[key], UTC).isoformat() for key in ("refreshAfter", "expires")}
        print_document(
            {
                "accessToken": issued["token"],
                "tokenType": "Bearer",
                "refreshAfter": times["refreshAfter"],
                "expiryOn": times["expires"],
            }
        )
    else:
        say(issued["token"])


@click.command("rotate-token-key", short_help="Create a new signing key for all tokens.")
@click.option("--revoke", is_flag=True, help="Refuse all existing tokens at once.")
@router_target_option
@workspace_option
@json_option
def rotate_token_key(revoke: bool, target: str | None, workspace: str | None, as_json: bool) -> None:
    """Create a new key that signs the tokens of all endpoints; existing tokens stay valid until they expire."""
    names = open_router(workspace, target).rotate_token_keys(revoke=revoke)
    if as_json:
        print_document({"tokenKeys": names})
    else:
        others = f"; {len(names) - 1} earlier key(s) stay valid until their tokens expire" if len(names) > 1 else ""
        say(f"key {names[0]} signs tokens{others}")


COMMANDS = (keys, regen_key, token, rotate_token_key)
