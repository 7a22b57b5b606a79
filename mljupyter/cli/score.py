"""``mljupyter score``: check a scoring script, run it on a sample, and store it under a name."""

from __future__ import annotations

from pathlib import Path

import click

from mljupyter.cli.data import body_of
from mljupyter.cli.options import json_option, open_workspace, workspace_option
from mljupyter.cli.output import print_document, say
from mljupyter.durations import seconds_of
from mljupyter.notebook.options.option_values import source_directory as existing_directory
from mljupyter.notebook.scoring_script import NOT_RUN, tried
from mljupyter.notebook.scripts import KeptScripts, checked_name


@click.command(short_help="Check and try a scoring script; store it.")
@click.argument("name")
@click.argument("script", metavar="SCRIPT.py", type=click.Path(exists=True, dir_okay=False))
@click.option("--sample", metavar="DATA", help="Request for a test run: JSON text, @FILE, or - for standard input.")
@click.option("--model", "models", metavar="MODEL[:VERSION]", multiple=True, help="Model for the test run. Repeatable.")
@click.option("--source-directory", metavar="DIR", help="Directory with files that the script needs.")
@click.option("--timeout", default="60s", show_default=True, metavar="TIME", help="Longest time of the test run.")
@workspace_option
@json_option
def score(
    name: str,
    script: str,
    sample: str | None,
    models: tuple[str, ...],
    source_directory: str | None,
    timeout: str,
    workspace: str | None,
    as_json: bool,
) -> None:
    """Check SCRIPT.py, run it once on a sample, and store it as NAME: mljupyter deploy ... --score NAME.

    To send data to an endpoint: mljupyter endpoint invoke NAME DATA.
    """
    found = open_workspace(workspace)
    checked_name(name)
    directory = existing_directory(source_directory)
    source = Path(script).read_text(encoding="utf-8")
    body = None if sample is None else body_of(sample, "--sample")
    result = tried(
        found,
        source,
        directory,
        sample=body.decode() if isinstance(body, bytes) else body,
        models=models,
        namespace={},
        timeout=seconds_of(timeout, "--timeout", above_zero=True),
    )
    KeptScripts(Path(found.directory)).save(name, source, directory)
    if as_json:
        print_document({"name": name, "tried": result is not NOT_RUN, "result": None if result is NOT_RUN else result})
    elif result is NOT_RUN:
        say(f"{name}: checked and stored")
    else:
        say(f"{name}: stored; the sample gives")
        print_document(result)
