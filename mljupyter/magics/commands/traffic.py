"""``%traffic``: split of an endpoint's requests between its versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mljupyter.deploy.versions import known_version, with_traffic
from mljupyter.engine.rollout.canary import promoted
from mljupyter.magics.commands.dry_run import is_preview, preview
from mljupyter.magics.commands.endpoints import webservice
from mljupyter.magics.commands.interrupts import taken_back_if_interrupted
from mljupyter.magics.commands.rollback import go_back
from mljupyter.magics.commands.rollout import preview_rollout
from mljupyter.magics.magic import Call, json_line
from mljupyter.notebook.endpoint_commands import (
    NO_HEADER,
    change_traffic,
    even_steps,
    shares_of,
    versioned_endpoint,
    wait_until_healthy,
)
from mljupyter.notebook.options.option_values import WrongInputError
from mljupyter.notebook.session import Session
from mljupyter.notebook.views.traffic import COLUMNS, documents, rows
from mljupyter.notebook.views.views import Table, Text
from mljupyter.spec import EndpointSpec

_POINTS = 10


def run(call: Call) -> Any:
    """Change the shares if given; return a table of the versions once the router uses the shares."""
    _check(call)
    workspace = call.session.workspace()
    webservice(workspace, call["name"])  # raises an error with the nearest name
    if call["wizard"]:
        return wizard(call.session, call.namespace, call["name"])
    if call["rollback"]:
        return go_back(call, None)
    if call["over"] is not None:
        return _roll_out(call)
    if is_preview(call):
        return _preview(call)
    with taken_back_if_interrupted(call):
        if call["promote"] is not None:
            _promote(call)
        record = change_traffic(workspace, call["name"], call["shares"] or (), call["mirror"], call["sticky_header"])
    found = documents(record)
    if call["json"]:
        print(json_line(found))
        return call.deliver(found) if call["output"] else None
    return call.deliver(Table(COLUMNS, rows(record), found, "No versions."))


def _check(call: Call) -> None:
    """Refuse options that exclude each other."""
    division = bool(call["shares"] or call["mirror"] or call["sticky_header"])
    kinds = {"shares": division, "--promote": call["promote"] is not None, "--rollback": call["rollback"]}
    given = [name for name, is_given in kinds.items() if is_given]
    if len(given) > 1:
        raise WrongInputError(f"{' and '.join(given)} cannot be combined: give one.")
    if call["over"] is None:
        if extra := [name for name in ("step", "guard") if call[name] is not None]:
            raise WrongInputError(f"--{extra[0]} is for shares that move --over a time, for example --over 10m.")
    elif len(call["shares"]) != 1 or call["mirror"] or call["sticky_header"]:
        raise WrongInputError("--over moves requests to one version: give one VERSION=PERCENT. More: %rollout --help")


def _roll_out(call: Call) -> Any:
    """Shift requests to a version in equal steps over a period."""
    endpoint = versioned_endpoint(call.session.workspace(), call["name"])
    ((version, target),) = shares_of(call["shares"]).items()
    share = endpoint.versions[version].weight if version in endpoint.versions else 0
    steps = even_steps(share, target, call["step"] or _POINTS)
    arguments = {"version": version, "steps": steps, "every": call["over"] / len(steps), "guard": call["guard"]}
    if is_preview(call):
        return preview_rollout(call, arguments)
    return call.deliver(Text(endpoint.rollout(**arguments).text()))


def _preview(call: Call) -> Any:
    def with_promoted(spec: EndpointSpec) -> EndpointSpec:
        known_version(spec, call["promote"])
        return promoted(spec, call["promote"])

    if call["promote"] is not None:
        return preview(call, "promote", {"version": call["promote"]}, with_promoted)
    header = "" if call["sticky_header"] == NO_HEADER else call["sticky_header"]
    percentiles, mirror = shares_of(call["shares"]) or None, shares_of(call["mirror"]) or None
    arguments = {"percentiles": percentiles, "mirror": mirror, "sticky_header": header}
    return preview(call, "set_traffic", arguments, lambda spec: with_traffic(spec, percentiles, mirror, header))


def _promote(call: Call) -> None:
    endpoint = versioned_endpoint(call.session.workspace(), call["name"])
    endpoint.promote(call["promote"])
    wait_until_healthy(endpoint)


def wizard(session: Session, namespace: Mapping[str, Any], name: str = "") -> Any:
    """Return the form that splits requests between versions."""
    from mljupyter.widgets.wizards.traffic_wizard import TrafficWizard  # slow import; only if a widget is shown

    return TrafficWizard(session, name)
