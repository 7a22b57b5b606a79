"""``%scale``: number of replicas of an endpoint's versions."""

from __future__ import annotations

from typing import Any

from mljupyter.deploy.versions import with_scaling
from mljupyter.magics.commands.dry_run import is_preview, preview
from mljupyter.magics.commands.endpoints import webservice
from mljupyter.magics.commands.interrupts import taken_back_if_interrupted
from mljupyter.magics.magic import Call, json_line
from mljupyter.notebook.endpoint_commands import replicas_of, room_warning, scale
from mljupyter.notebook.options.option_values import WrongInputError
from mljupyter.notebook.views.scaling import COLUMNS, documents, rows
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
    """Change the number of replicas if given; return a table of all versions."""
    workspace = call.session.workspace()
    webservice(workspace, call["name"])  # raises an error with the nearest name
    given: dict[str, Any] = {name: _whole(call[key]) for key, name in _SETTINGS.items() if call[key] is not None}
    if call["size"]:
        short = replicas_of(call["size"])
        if twice := sorted(set(short) & set(given)):
            raise WrongInputError(f"{', '.join(twice)} is given twice: as {call['size']} and as an option.")
        given |= short
    if is_preview(call):
        version = call["version"]
        asked = [value for key in ("replicas", "minimum", "maximum") if (value := given.get(key)) is not None]
        spec = workspace.endpoints.endpoint(call["name"]).spec
        if warning := room_warning(workspace, spec, version, int(max(asked, default=0))):
            print(warning)
        arguments = {**given, "version": version}
        return preview(call, "scale", arguments, lambda spec: with_scaling(spec, version=version, **given))
    with taken_back_if_interrupted(call):
        record = scale(workspace, call["name"], call["version"], **given)
    found = documents(record)
    if call["json"]:
        print(json_line(found))
        return call.deliver(found) if call["output"] else None
    return call.deliver(Table(COLUMNS, rows(record), found, "No versions."))


def _whole(value: float) -> int | float:
    return int(value) if float(value).is_integer() else value
