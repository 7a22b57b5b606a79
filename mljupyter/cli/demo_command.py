"""``mljupyter demo``: a demonstration of all steps from data to a live endpoint."""

from __future__ import annotations

import sys

import click

from mljupyter.cli.options import json_option


@click.command()
@click.option("--requests", default=500, show_default=True, type=click.IntRange(min=1), help="Requests to send.")
@json_option
def demo(requests: int, as_json: bool) -> None:
    """Train, register, deploy, score and clean up, in a temporary workspace.

    The exit status is 1 if a step fails.
    """
    from mljupyter.cli.demo import run_demo

    sys.exit(0 if run_demo(requests, as_json=as_json) else 1)
