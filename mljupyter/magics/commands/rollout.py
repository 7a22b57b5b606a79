"""``%rollout``: increase the share of a version step by step while a guard holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mljupyter.deploy.rollout import told
from mljupyter.deploy.versions import known_version
from mljupyter.engine.rollout.traffic import all_shares
from mljupyter.errors import MLJupyterError
from mljupyter.exceptions import as_webservice_exception
from mljupyter.magics.commands.dry_run import NOTHING_DONE, called, code_of, is_preview, present, shown
from mljupyter.magics.commands.endpoints import webservice
from mljupyter.magics.magic import Call, json_line
from mljupyter.notebook.endpoint_commands import control_rollout, steps_of, versioned_endpoint
from mljupyter.notebook.options.option_values import WrongInputError
from mljupyter.notebook.views.history import NO_ROLLOUT
from mljupyter.notebook.views.views import Text
from mljupyter.spec import RolloutPlan

_PHASES = {"pause": ("Running",), "resume": ("Paused",), "abort": ("Running", "Paused")}


class NoSuchRolloutError(MLJupyterError):
    """An endpoint has no rollout that could be paused, resumed or aborted."""


def run(call: Call) -> Any:
    """Start, pause, resume or abort a rollout, or wait for it; return it as a line of text."""
    actions = [action for action in ("pause", "resume", "abort") if call[action]]
    if len(actions) + (call["version"] is not None) > 1:
        given = [*([call["version"]] if call["version"] else []), *(f"--{action}" for action in actions)]
        raise WrongInputError(f"{' and '.join(given)} cannot be combined: give one.")
    workspace = call.session.workspace()
    webservice(workspace, call["name"])  # raises an error with the nearest name
    endpoint = versioned_endpoint(workspace, call["name"])
    if call["version"] is not None:
        asked = {"steps": steps_of(call["steps"]), "every": call["every"], "guard": call["guard"]}
        asked |= {"promote": call["promote"] or None, "least_requests": call["least_requests"]}
        arguments = {"version": call["version"], **{name: value for name, value in asked.items() if value is not None}}
        if is_preview(call):
            return preview_rollout(call, arguments)
        endpoint.rollout(**arguments)
    elif actions:
        if is_preview(call):
            return _preview_control(call, actions[0])
        control_rollout(endpoint, actions[0])
    return finish(call, endpoint)


def preview_rollout(call: Call, arguments: Mapping[str, Any]) -> Any:
    """Return the code that starts a rollout, or its plan; `arguments` are those of `ControlledRollout.rollout`."""
    if call["code"]:
        wait = ["service.wait_for_rollout(show_output=True)"] if call.values.get("wait") else []
        return code_of(call, [called("rollout", arguments), *wait])
    names = {"every": "everySeconds", "least_requests": "leastRequests"}
    with as_webservice_exception():
        known_version(present(call).spec, arguments["version"])
        plan = RolloutPlan.parse({names.get(name, name): value for name, value in arguments.items()})
    guard = f"{plan.guard}, judged with {plan.least_requests} requests or more" if plan.guard else "none"
    lines = [
        f"{call['name']}: rollout of {plan.version} {NOTHING_DONE}",
        f"  steps  {', '.join(f'{step} %' for step in plan.steps)}, {plan.every_seconds:g} s or more each",
        f"  guard  {guard}",
    ]
    lines += ["  end    it becomes the default version"] if plan.promote else []
    return shown(call, Text("\n".join(lines)), {"endpoint": call["name"], "rollout": plan.document()})


def _preview_control(call: Call, action: str) -> Any:
    if call["code"]:
        return code_of(call, [called(f"{action}_rollout", {})])
    rollout = present(call).rollout
    if rollout is None or rollout.phase not in _PHASES[action]:
        found = "there was none yet" if rollout is None else f"the last one: {rollout.text()}"
        wanted = " or ".join(_PHASES[action])
        raise NoSuchRolloutError(f"{call['name']!r} has no rollout that is {wanted}; {found}.")
    lines = [f"{call['name']}: {action} {NOTHING_DONE}", f"  {rollout.text()}"]
    lines += [f"  Shares then: {all_shares(present(call).spec)}"] if action == "abort" else []
    document = {"endpoint": call["name"], "action": action, "rollout": rollout.document()}
    return shown(call, Text("\n".join(lines)), document)


def finish(call: Call, endpoint: Any) -> Any:
    """Wait for the end of the rollout with ``--wait``, and show it."""
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
        return None  # its steps and its end are already printed
    return Text(told(endpoint.record) or NO_ROLLOUT)
