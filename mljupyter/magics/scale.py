"""``%scale``: how many replicas the versions of an endpoint have."""

from __future__ import annotations

from typing import Any

from mljupyter.magics.call import Call, json_line
from mljupyter.magics.dry_run import CODE, DRY_RUN, is_rehearsal, rehearse
from mljupyter.magics.endpoints import webservice
from mljupyter.magics.interrupts import taken_back_if_interrupted
from mljupyter.magics.magic import Magic
from mljupyter.notebook.options.option import ENDPOINT_NAME, JSON, OUTPUT, Option
from mljupyter.notebook.options.option_values import WrongInputError
from mljupyter.notebook.views.views import Table

_SETTINGS = {
    "replicas": "replicas",
    "min": "minimum",
    "max": "maximum",
    "target_utilization": "target_utilization",
    "refresh": "refresh_seconds",
    "down_after": "scale_down_seconds",
    "zero_after": "scale_to_zero_seconds",
}


def run(call: Call) -> Any:
    """Change numbers of replicas if any are given; return those of all versions as a table."""
    from mljupyter.deploy.scaling import with_scaling
    from mljupyter.notebook.endpoint_commands import replicas_of, scale
    from mljupyter.notebook.views.scaling import COLUMNS, documents, rows

    workspace = call.session.workspace()
    webservice(workspace, call["name"])  # its error has the nearest name
    given: dict[str, Any] = {name: _whole(call[key]) for key, name in _SETTINGS.items() if call[key] is not None}
    if call["size"]:
        short = replicas_of(call["size"])
        if twice := sorted(set(short) & set(given)):
            raise WrongInputError(f"{', '.join(twice)} is given twice: as {call['size']} and as an option.")
        given |= short
    if is_rehearsal(call):
        version = call["version"]
        arguments = {**given, "version": version}
        return rehearse(call, "scale", arguments, lambda spec: with_scaling(spec, version=version, **given))
    with taken_back_if_interrupted(call):
        record = scale(workspace, call["name"], call["version"], **given)
    found = documents(record)
    if call["json"]:
        print(json_line(found))
        return call.deliver(found) if call["output"] else None
    return call.deliver(Table(COLUMNS, rows(record), found, "No versions."))


def _whole(value: float) -> int | float:
    return int(value) if float(value).is_integer() else value


MAGIC = Magic(
    name="scale",
    summary="Show how many replicas the versions of an endpoint have and why, or change it.",
    options=(
        ENDPOINT_NAME,
        Option(
            "size",
            "a fixed number of replicas, or bounds for one that follows the load",
            "text",
            "N|MIN:MAX",
            positional=True,
        ),
        Option("version", "the version; else the default version", metavar="VERSION", completes="version"),
        Option("replicas", "a fixed number of replicas", "integer", "N", minimum=1),
        Option("min", "least replicas; with 0 the last one ends when there are no requests", "integer", "N", minimum=0),
        Option("max", "most replicas", "integer", "N", minimum=1),
        Option(
            "target-utilization",
            "which part of the replicas should be busy, in percent",
            "integer",
            "PERCENT",
            minimum=1,
        ),
        Option("refresh", "a change of the load is answered within this time", "duration", "TIME", minimum=1),
        Option("down-after", "fewer replicas after this time with less load", "duration", "TIME", minimum=1),
        Option("zero-after", "none after this time without a request, with --min 0", "duration", "TIME", minimum=1),
        DRY_RUN,
        CODE,
        JSON,
        OUTPUT,
    ),
    example="%scale diabetes\n%scale diabetes 3 --dry-run\n%scale diabetes 1:5\n"
    "%scale diabetes --min 0 --max 5 --zero-after 10m",
    run=run,
)
