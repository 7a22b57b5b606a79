"""``%rollout``: give a version more and more of the requests, as long as it keeps a guard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mljupyter.errors import MLJupyterError
from mljupyter.magics.call import Call, json_line
from mljupyter.magics.dry_run import CODE, DRY_RUN, REHEARSED, called, code_of, is_rehearsal, present, shown
from mljupyter.magics.endpoints import webservice
from mljupyter.magics.magic import Magic
from mljupyter.notebook.options.option import ENDPOINT_NAME, JSON, OUTPUT, QUIET, Option
from mljupyter.notebook.options.option_values import WrongInputError
from mljupyter.notebook.views.views import Text

GUARD = Option(
    "guard",
    "conditions such as 'p95<200ms, errors<1%'; when one is broken, requests are divided as before",
    metavar="CONDITIONS",
)

_PHASES = {"pause": ("Running",), "resume": ("Paused",), "abort": ("Running", "Paused")}


class NoSuchRolloutError(MLJupyterError):
    """An endpoint has no rollout that could be paused, resumed or aborted."""


def run(call: Call) -> Any:
    """Begin, pause, resume or abort a rollout, or wait for it; return it as a line of text."""
    from mljupyter.notebook.endpoint_commands import control_rollout, steps_of, versioned_endpoint

    actions = [action for action in ("pause", "resume", "abort") if call[action]]
    if len(actions) + (call["version"] is not None) > 1:
        given = [*([call["version"]] if call["version"] else []), *(f"--{action}" for action in actions)]
        raise WrongInputError(f"{' and '.join(given)}: one thing at a time.")
    workspace = call.session.workspace()
    webservice(workspace, call["name"])  # its error has the nearest name
    endpoint = versioned_endpoint(workspace, call["name"])
    if call["version"] is not None:
        asked = {"steps": steps_of(call["steps"]), "every": call["every"], "guard": call["guard"]}
        asked |= {"promote": call["promote"] or None, "least_requests": call["least_requests"]}
        arguments = {"version": call["version"], **{name: value for name, value in asked.items() if value is not None}}
        if is_rehearsal(call):
            return rehearse_rollout(call, arguments)
        endpoint.rollout(**arguments)
    elif actions:
        if is_rehearsal(call):
            return _rehearse_control(call, actions[0])
        control_rollout(endpoint, actions[0])
    return finish(call, endpoint)


def rehearse_rollout(call: Call, arguments: Mapping[str, Any]) -> Any:
    """Return the Python that begins a rollout, or its plan; `arguments` are those of `ControlledRollout.rollout`."""
    from mljupyter.deploy.versions import known_version
    from mljupyter.exceptions import as_webservice_exception
    from mljupyter.spec import RolloutPlan

    if call["code"]:
        wait = ["service.wait_for_rollout(show_output=True)"] if call.values.get("wait") else []
        return code_of(call, [called("rollout", arguments), *wait])
    names = {"every": "everySeconds", "least_requests": "leastRequests"}
    with as_webservice_exception():
        known_version(present(call).spec, arguments["version"])
        plan = RolloutPlan.parse({names.get(name, name): value for name, value in arguments.items()})
    guard = f"{plan.guard}, judged with {plan.least_requests} requests or more" if plan.guard else "none"
    lines = [
        f"{call['name']}: rollout of {plan.version} {REHEARSED}",
        f"  steps  {', '.join(f'{step} %' for step in plan.steps)}, {plan.every_seconds:g} s or more each",
        f"  guard  {guard}",
    ]
    lines += ["  end    it becomes the default version"] if plan.promote else []
    return shown(call, Text("\n".join(lines)), {"endpoint": call["name"], "rollout": plan.document()})


def _rehearse_control(call: Call, action: str) -> Any:
    if call["code"]:
        return code_of(call, [called(f"{action}_rollout", {})])
    rollout = present(call).rollout
    if rollout is None or rollout.phase not in _PHASES[action]:
        found = "there was none yet" if rollout is None else f"the last one: {rollout.text()}"
        wanted = " or ".join(_PHASES[action])
        raise NoSuchRolloutError(f"{call['name']!r} has no rollout that is {wanted}; {found}.")
    text = Text(f"{call['name']}: {action} {REHEARSED}\n  {rollout.text()}")
    return shown(call, text, {"endpoint": call["name"], "action": action, "rollout": rollout.document()})


def finish(call: Call, endpoint: Any) -> Any:
    """Wait for the end of the rollout if asked for, and show it."""
    from mljupyter.notebook.views.history import NO_ROLLOUT

    wait = call["wait"]
    quiet = call.values.get("quiet") or call["json"]
    found = endpoint.wait_for_rollout(show_output=not quiet) if wait else endpoint.rollout_status()
    if call["json"]:
        document = found.document() if found is not None else None
        print(json_line(document))
        return call.deliver(document) if call["output"] else None
    if call["output"]:
        return call.deliver(found)
    if wait and not quiet and found is not None:
        return None  # its steps and its end stand there already
    return Text(found.text() if found is not None else NO_ROLLOUT)


MAGIC = Magic(
    name="rollout",
    interrupted="A rollout goes on by itself: %rollout NAME shows it, %rollout NAME --abort ends it.",
    summary="Give a version of an endpoint more and more of its requests, or show how far that is.",
    options=(
        ENDPOINT_NAME,
        Option(
            "version",
            "the version; without it, the rollout is shown",
            metavar="VERSION",
            positional=True,
            completes="version",
        ),
        Option("steps", "its shares in percent, rising", metavar="PERCENT,...", default="5,25,100"),
        Option("every", "how long a step takes at least", kind="duration", metavar="TIME", default="1m"),
        GUARD,
        Option(
            "least-requests", "requests that a condition needs to be judged", kind="integer", metavar="N", minimum=1
        ),
        Option("promote", "make it the default version in the end", kind="flag"),
        Option("wait", "wait for the end and print a line for each step", kind="flag"),
        Option("pause", "hold the rollout in its step; the guard stays in force", kind="flag"),
        Option("resume", "go on with a paused rollout; its step begins anew", kind="flag"),
        Option("abort", "end the rollout; requests are divided as before it", kind="flag"),
        DRY_RUN,
        CODE,
        JSON,
        OUTPUT,
        QUIET,
    ),
    example="%rollout diabetes version-b --steps 5,25,100 --every 10m --guard 'p95<200ms, errors<1%' --promote\n"
    "%rollout diabetes\n%rollout diabetes --abort",
    run=run,
)
