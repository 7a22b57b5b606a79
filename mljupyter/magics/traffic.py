"""``%traffic``: how the requests of an endpoint are divided between its versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mljupyter.magics.call import Call, json_line
from mljupyter.magics.dry_run import CODE, DRY_RUN, is_rehearsal, rehearse
from mljupyter.magics.endpoints import webservice
from mljupyter.magics.interrupts import taken_back_if_interrupted
from mljupyter.magics.magic import Magic
from mljupyter.magics.rollback import go_back
from mljupyter.magics.rollout import GUARD, rehearse_rollout
from mljupyter.notebook.options.option import ENDPOINT_NAME, JSON, OUTPUT, QUIET, Option
from mljupyter.notebook.options.option_values import WrongInputError
from mljupyter.notebook.session import Session
from mljupyter.notebook.views.views import Table, Text

_POINTS = 10


def run(call: Call) -> Any:
    """Divide the requests anew if shares are given; return the versions as a table when the router follows."""
    from mljupyter.notebook.endpoint_commands import change_traffic
    from mljupyter.notebook.views.traffic import COLUMNS, documents, rows

    _check(call)
    workspace = call.session.workspace()
    webservice(workspace, call["name"])  # its error has the nearest name
    if call["wizard"]:
        return _wizard(call.session, call.namespace, call["name"])
    if call["rollback"]:
        return go_back(call, None)
    if call["over"] is not None:
        return _roll_out(call)
    if is_rehearsal(call):
        return _rehearsed(call)
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
    """Refuse options that do not go together."""
    division = bool(call["shares"] or call["mirror"] or call["sticky_header"])
    kinds = {"shares": division, "--promote": call["promote"] is not None, "--rollback": call["rollback"]}
    given = [name for name, is_given in kinds.items() if is_given]
    if len(given) > 1:
        raise WrongInputError(f"{' and '.join(given)} do not go together: one thing at a time.")
    if call["over"] is None:
        if extra := [name for name in ("step", "guard") if call[name] is not None]:
            raise WrongInputError(f"--{extra[0]} is for shares that move --over a time, for example --over 10m.")
    elif len(call["shares"]) != 1 or call["mirror"] or call["sticky_header"]:
        raise WrongInputError("--over moves requests to one version: give one VERSION=PERCENT. More: %rollout --help")


def _roll_out(call: Call) -> Any:
    """Move requests to a version in even steps over a time."""
    from mljupyter.notebook.endpoint_commands import even_steps, shares_of, versioned_endpoint

    endpoint = versioned_endpoint(call.session.workspace(), call["name"])
    ((version, target),) = shares_of(call["shares"]).items()
    share = endpoint.versions[version].weight if version in endpoint.versions else 0
    steps = even_steps(share, target, call["step"] or _POINTS)
    arguments = {"version": version, "steps": steps, "every": call["over"] / len(steps), "guard": call["guard"]}
    if is_rehearsal(call):
        return rehearse_rollout(call, arguments)
    return call.deliver(Text(endpoint.rollout(**arguments).text()))


def _rehearsed(call: Call) -> Any:
    from mljupyter.deploy.versions import known_version, with_traffic
    from mljupyter.engine.rollout.canary import promoted
    from mljupyter.notebook.endpoint_commands import NO_HEADER, shares_of
    from mljupyter.spec import EndpointSpec

    def with_promoted(spec: EndpointSpec) -> EndpointSpec:
        known_version(spec, call["promote"])
        return promoted(spec, call["promote"])

    if call["promote"] is not None:
        return rehearse(call, "promote", {"version": call["promote"]}, with_promoted)
    header = "" if call["sticky_header"] == NO_HEADER else call["sticky_header"]
    percentiles, mirror = shares_of(call["shares"]) or None, shares_of(call["mirror"]) or None
    arguments = {"percentiles": percentiles, "mirror": mirror, "sticky_header": header}
    return rehearse(call, "set_traffic", arguments, lambda spec: with_traffic(spec, percentiles, mirror, header))


def _promote(call: Call) -> None:
    from mljupyter.notebook.endpoint_commands import versioned_endpoint, wait_until_healthy

    endpoint = versioned_endpoint(call.session.workspace(), call["name"])
    endpoint.promote(call["promote"])
    wait_until_healthy(endpoint)


def _wizard(session: Session, namespace: Mapping[str, Any], name: str = "") -> Any:
    from mljupyter.widgets.wizards.traffic_wizard import TrafficWizard

    return TrafficWizard(session, name)


MAGIC = Magic(
    name="traffic",
    summary="Show how requests are divided between the versions of an endpoint, or divide them anew.",
    options=(
        ENDPOINT_NAME,
        Option(
            "shares",
            "share of each version; who is not named has none, and the rest goes to the default version",
            metavar="VERSION=PERCENT",
            positional=True,
            completes="share",
            repeatable=True,
        ),
        Option(
            "mirror",
            "copy this share of the requests to a version and throw its answers away",
            metavar="VERSION=PERCENT",
            completes="share",
            repeatable=True,
        ),
        Option(
            "sticky-header",
            "requests with the same value of this header meet the same version; none turns it off",
            metavar="HEADER",
        ),
        Option(
            "promote", "make this version the default and give it all requests", metavar="VERSION", completes="version"
        ),
        Option("rollback", "go back to what the endpoint was before its last change", kind="flag"),
        Option("over", "move the requests in even steps over this time", kind="duration", metavar="TIME"),
        Option("step", f"points of a step with --over; else {_POINTS}", kind="integer", metavar="PERCENT", minimum=1),
        GUARD,
        DRY_RUN,
        CODE,
        Option("wizard", "a form with sliders that always make 100", kind="flag"),
        JSON,
        OUTPUT,
        QUIET,
    ),
    example="%traffic diabetes\n%traffic diabetes version-a=90 version-b=10\n%traffic diabetes --mirror version-c=20\n"
    "%traffic diabetes version-b=100 --over 30m --guard 'p95<200ms, errors<1%'\n%traffic diabetes --promote version-b",
    wizard=_wizard,
    run=run,
)
