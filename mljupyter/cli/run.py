"""``mljupyter run``: the commands for runs of scripts."""

from __future__ import annotations

from itertools import islice
from typing import Any

import click

from mljupyter.cli import flags
from mljupyter.cli.data import writable_file, write_metadata
from mljupyter.cli.flags import OldCommand, given, v1_options
from mljupyter.cli.options import open_workspace
from mljupyter.cli.output import print_document, print_fields, print_table, progress_on_stderr, say
from mljupyter.core import Environment, Experiment, Run, RunConfiguration, ScriptRunConfig
from mljupyter.exceptions import UserErrorException

_COLUMNS = ("RUN", "NUMBER", "STATUS", "STARTED", "TAGS")
_RUN = flags.flag("-r", "--run", "run_id", metavar="ID", required=True, help="Id of the run.")
_OF = flags.flag("-e", "--experiment-name", metavar="NAME", help="Its experiment.")


@click.group()
def run() -> None:
    """Submit scripts, and list, show, follow and cancel their runs."""


@run.command(
    "submit-script",
    cls=OldCommand,
    short_help="Run a script as a process here.",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@v1_options(
    flags.flag("-e", "--experiment-name", metavar="NAME", required=True, help="Experiment; it is created."),
    flags.flag("-c", "--run-configuration-name", metavar="NAME", help="Run configuration in .azureml or aml_config."),
    flags.flag("--ct", "--target", metavar="NAME", help="Only local."),
    flags.flag("--source-directory", "--sd", "source_directory", default=".", metavar="DIR", help="Default: this one."),
    flags.flag("--environment-name", metavar="NAME", help="Registered environment, for its variables."),
    flags.flag(
        "-t",
        "--output-metadata-file",
        "metadata_file",
        metavar="FILE",
        callback=writable_file,
        help="Write the id into this file.",
    ),
    flags.flag("--async", "--no-wait", "no_wait", is_flag=True, help="Return at once."),
    click.argument("script"),
    click.argument("arguments", nargs=-1, type=click.UNPROCESSED),
)
def submit_script(
    experiment_name: str, script: str, arguments: tuple[str, ...], workspace: str | None, as_json: bool, **values: Any
) -> None:
    """Run SCRIPT with ARGUMENTS as a process on this machine, and follow its output."""
    found = open_workspace(workspace)
    settings: dict[str, Any] = {}
    if values["run_configuration_name"] is not None:
        settings["run_config"] = RunConfiguration.load(values["source_directory"], values["run_configuration_name"])
    if values["environment_name"] is not None:
        settings["environment"] = Environment.get(found, values["environment_name"])
    with progress_on_stderr():
        config = ScriptRunConfig(
            values["source_directory"],
            script,
            arguments=[word for word in arguments if word != "--"],
            **settings,
            **given({"compute_target": values["target"]}),
        )
        submitted = Experiment(found, experiment_name).submit(config)
        if values["metadata_file"] is not None:
            write_metadata(
                values["metadata_file"],
                {"runId": submitted.id, "experimentName": experiment_name, "workspaceName": found.name},
            )
        if not values["no_wait"]:
            submitted.wait_for_completion(show_output=True)
    _print_run(submitted, as_json)


@run.command("list", cls=OldCommand, short_help="List runs, the newest first.")
@v1_options(
    _OF,
    flags.flag("--last", type=click.IntRange(min=1), metavar="NUMBER", help="Only so many."),
    flags.flag("--status", metavar="STATUS", help="Only with this status."),
    flags.FILTERS[0],
)
def list_runs(
    experiment_name: str | None,
    last: int | None,
    status: str | None,
    tags: tuple[str, ...],
    workspace: str | None,
    as_json: bool,
) -> None:
    """List the runs of one experiment, or of all."""
    found = open_workspace(workspace)
    experiments = Experiment.list(found, experiment_name)
    if experiment_name is not None and not experiments:
        known = ", ".join(sorted(one.name for one in Experiment.list(found))) or "none"
        raise UserErrorException(f"ExperimentNotFound: there is no experiment {experiment_name!r}. There are: {known}.")
    all_runs = (one for each in experiments for one in Run.list(each, tags=flags.filters_of(tags), status=status))
    runs = list(islice(all_runs, last))
    if as_json:
        print_document([one.get_details() for one in runs])
    elif not runs:
        say("No runs. Submit a script with: mljupyter run submit-script -e NAME SCRIPT")
    else:
        print_table(_COLUMNS, [_row(one) for one in runs])


@run.command(cls=OldCommand, short_help="Show one run with its metrics.")
@v1_options(_RUN, _OF)
def show(run_id: str, experiment_name: str | None, workspace: str | None, as_json: bool) -> None:
    """Show one run: status, times, tags and metrics."""
    _print_run(open_workspace(workspace).get_run(run_id), as_json)


@run.command(cls=OldCommand, short_help="Cancel a run.")
@v1_options(_RUN, _OF)
def cancel(run_id: str, experiment_name: str | None, workspace: str | None, as_json: bool) -> None:
    """Ask a run to end."""
    found = open_workspace(workspace).get_run(run_id)
    found.cancel()
    _print_run(found, as_json)


@run.command(cls=OldCommand, short_help="Change the tags of a run.")
@v1_options(_RUN, _OF, *flags.CHANGED_TAGS)
def update(
    run_id: str,
    experiment_name: str | None,
    add_tags: dict[str, str] | None,
    remove_tags: tuple[str, ...],
    workspace: str | None,
    as_json: bool,
) -> None:
    """Change the tags of a run."""
    if not add_tags and not remove_tags:
        raise click.UsageError("Nothing to change: give --add-tag KEY=VALUE or --remove-tag KEY.")
    found = open_workspace(workspace).get_run(run_id)
    if add_tags:
        found.set_tags(add_tags)
    if remove_tags:
        found.remove_tags(remove_tags)
    _print_run(found, as_json)


@run.command("monitor-logs", cls=OldCommand, short_help="Follow the output of a run.")
@v1_options(_RUN, _OF)
def monitor_logs(run_id: str, experiment_name: str | None, workspace: str | None, as_json: bool) -> None:
    """Print the output of a submitted script, until it ends."""
    found = open_workspace(workspace).get_run(run_id)
    with progress_on_stderr():
        found.wait_for_completion(show_output=True)
    _print_run(found, as_json)


@run.command("download-logs", cls=OldCommand, short_help="Download the logs of a run.")
@v1_options(
    _RUN, _OF, flags.flag("-d", "--output-dir", metavar="DIR", help="Directory. Default: that of the run's id.")
)
def download_logs(
    run_id: str, experiment_name: str | None, output_dir: str | None, workspace: str | None, as_json: bool
) -> None:
    """Write the logs of a run into a directory."""
    found = open_workspace(workspace).get_run(run_id)
    paths = [str(path) for path in found.get_all_logs(output_dir or run_id)]
    if as_json:
        print_document(paths)
    else:
        say("\n".join(paths) if paths else "No logs.")


@run.command(cls=OldCommand, short_help="List the experiments.")
@v1_options()
def experiments(workspace: str | None, as_json: bool) -> None:
    """List the experiments of the workspace."""
    found = Experiment.list(open_workspace(workspace))
    if as_json:
        print_document([{"name": one.name, "id": one.id, "tags": one.tags} for one in found])
    elif not found:
        say("No experiments. Submit a script with: mljupyter run submit-script -e NAME SCRIPT")
    else:
        print_table(("NAME",), [(one.name,) for one in found])


def _print_run(one: Run, as_json: bool) -> None:
    details = one.get_details()
    if as_json:
        print_document(details)
        return
    metrics = {f"Metric {name}": str(value) for name, value in one.get_metrics().items()}
    fields = [
        ("Run", one.id),
        ("Status", str(details["status"])),
        ("Started", str(details["startTimeUtc"] or "")),
        ("Ended", str(details["endTimeUtc"] or "")),
        ("Tags", ", ".join(f"{key}={value}" for key, value in details["tags"].items())),
        ("Error", str(details.get("error", {}).get("error", {}).get("message", ""))),
        *metrics.items(),
    ]
    print_fields([(name, value) for name, value in fields if value])


def _row(one: Run) -> list[str]:
    details = one.get_details()
    tags = ", ".join(f"{key}={value}" for key, value in details["tags"].items())
    return [one.id, str(one.number), details["status"], (details["startTimeUtc"] or "")[:16], tags]
