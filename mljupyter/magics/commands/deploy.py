"""``%deploy``: deploy models or an estimator as an endpoint."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from mljupyter.core import Webservice
from mljupyter.deploy.apply import undo
from mljupyter.deploy.cell_script import place_of
from mljupyter.deploy.leftovers import Leftovers
from mljupyter.deploy.wait import NOT_DEPLOYED, failure, follow, problem_of, short_problem, told_once
from mljupyter.engine.log_lines import failed_start, shown_lines
from mljupyter.errors import MLJupyterError
from mljupyter.magics.commands.build_lines import BuildLines
from mljupyter.magics.magic import Call, json_line, masked_line
from mljupyter.notebook.deployment import deployment_of
from mljupyter.notebook.endpoint_commands import room_warning
from mljupyter.notebook.plan import Deployment, Plan
from mljupyter.notebook.session import Session
from mljupyter.notebook.sources.variables import secret_looking
from mljupyter.notebook.views.views import Folded, Text
from mljupyter.spec import EndpointRecord, EndpointSpec, EndpointState


class DeploymentCancelledError(MLJupyterError):
    """A deployment was interrupted and undone."""


class WaitInterruptedError(MLJupyterError):
    """Waiting for an earlier deployment was interrupted; that deployment continues."""


def run(call: Call) -> Any:
    """Create the endpoint, or change the existing one; do nothing if nothing differs."""
    deployment = deployment_of(call.session, call.namespace, call.values)
    for name in secret_looking(call.values):
        _say(call, f"{name} is saved with the notebook: if it is secret, put it into a file and use --env-from FILE")
    if call["code"]:
        return call.deliver(Text(deployment.code()))
    if call["panel"] and not (call["dry_run"] or call["json"]) and call.has_widgets:
        from mljupyter.widgets.panels.log_panel import LogPanel  # slow import; only if a widget is shown
        from mljupyter.widgets.panels.log_sources import DeploymentLog  # slow import; only if a widget is shown

        return LogPanel(DeploymentLog(deployment, call.session.deployed))
    plan = deployment.plan()
    if call["dry_run"]:
        if call["json"]:
            print(masked_line(plan.wanted.document()))
            return None
        return call.deliver(plan)
    leftovers = deployment.leftovers(plan)
    try:
        service = _apply(call, deployment, plan)
    except KeyboardInterrupt:
        raise _cancelled(call, deployment, plan, leftovers) from None
    except MLJupyterError:
        if said := deployment.discard(leftovers):
            _say(call, f"  {said}")
        raise
    call.session.cache.refresh_soon()
    if call["json"]:
        print(json_line(service.serialize()))
        return call.deliver(service) if call["output"] else None
    return call.deliver(service)


def _apply(call: Call, deployment: Deployment, plan: Plan) -> Webservice:
    """Carry out the plan and print each finished stage, without times, ports and ids, which differ between runs."""
    where = f"{deployment.name} → {deployment.target}"
    if plan.action == "unchanged":
        if plan.settled_as == "Healthy":
            _say(call, f"{where}: unchanged")
            return deployment.service()
        if plan.settled_as is None:
            _say(call, f"{where}: unchanged, not Healthy yet")
            return _followed(call, deployment.service())
        _say(call, f"{where}: was {plan.settled_as}, trying again")
    else:
        _say(call, f"{where}: {plan.action}")
    if plan.action == "update":
        if line := deployment.replaced(plan, call.session.deployed):
            _say(call, f"  {line}")
        for line in plan.told_lines():
            _say(call, f"  {line}")
    for warning in plan.warnings:
        _warn(f"Warning: {warning}")
    name = deployment.deployed_version or plan.wanted.default_version
    least = plan.wanted.versions[name].scaling.least_replicas
    if warning := room_warning(deployment.workspace, plan.wanted, name, least):
        _say(call, f"  {warning}")
    models = [model.id for model in deployment.planned_models]
    if models:
        _say(call, f"  models  {', '.join(models)} ✓")
    if script := _script_name(call, deployment):
        _say(call, f"  script  {script} ✓")
    service = deployment.deploy(plan, BuildLines(partial(_say, call), _warn))
    deployment.remember(plan, service.record.spec, call.session.deployed)
    followed = _followed(call, service)
    if call["traffic"] is None and plan.action == "update":
        _tell_without_traffic(call, followed.record.spec, deployment.deployed_version)
    return followed


def _tell_without_traffic(call: Call, spec: EndpointSpec, version: str | None) -> None:
    """Say how a version gets requests, if it has none, and nobody has asked for that."""
    if version is not None and version != spec.default_version and not spec.versions[version].traffic_percentile:
        _say(call, f"  traffic {version} gets no requests yet: %traffic {spec.name} {version}=10")


def _script_name(call: Call, deployment: Deployment) -> str | None:
    estimator = deployment.preparation.estimator
    name: str | None = call["score"]
    return estimator.script_name if estimator is not None and estimator.script is not None else name


def _cancelled(call: Call, deployment: Deployment, plan: Plan, leftovers: Leftovers) -> MLJupyterError:
    """Undo the deployment. If its spec equals the previous one, there is nothing to restore, and it continues."""
    name = deployment.name
    if plan.action == "unchanged":
        return WaitInterruptedError(
            f"Stopped waiting for {name!r}; the earlier deployment continues.\n"
            f"Follow it with %endpoints and %logs {name}; delete it with %undeploy {name}."
        )
    _say(call, "  interrupted: undoing the deployment")
    try:
        outcome = undo(deployment.workspace.context, name, plan.present)
        outcome = f"{outcome} {deployment.discard(leftovers)}".rstrip()
    except KeyboardInterrupt:
        outcome = f"A second interrupt came before it was undone: see %endpoints; %undeploy {name} deletes it."
    call.session.cache.refresh_soon()
    return DeploymentCancelledError(f"The deployment of {name!r} was interrupted. {outcome}")


def _show_log(call: Call, record: EndpointRecord) -> bool:
    """Show the end of the log of a failed start, folded; return False if the log does not tell a reason."""
    problem = problem_of(record)
    if problem is None or failed_start(problem.last_lines) is None:
        return False
    lines = shown_lines(problem.last_lines, datetime.now(UTC))
    call.show(Folded("Last lines of the log", list(lines)))
    return True


def _followed(call: Call, service: Webservice) -> Webservice:
    """Wait until it is Healthy, unless ``--no-wait`` is given; without the SDK's message about interrupts."""
    if not call["wait"]:
        _say(call, f"  start   under way; follow it with %endpoints and %logs {service.name}")
        return service
    tell = told_once(lambda cause: _say(call, f"  wait    {cause}"))
    record = follow(service.workspace.endpoints, service.name, timeout=call["timeout"], on_record=tell)
    service.update_deployment_state()
    place = place_of(service.workspace.artifacts, record)
    if record.status.state in NOT_DEPLOYED:
        raise failure(record, str(service.state), place=place, with_log=call["json"] or not _show_log(call, record))
    healthy = record.status.state is EndpointState.HEALTHY
    _say(call, f"  start   {service.state}" + (" ✓" if healthy else f": {short_problem(record, place)}"))
    return service


def wizard(session: Session, namespace: Mapping[str, Any]) -> Any:
    """Return the form that deploys a model."""
    from mljupyter.widgets.wizards.deploy_wizard import DeployWizard  # slow import; only if a widget is shown

    return DeployWizard(session, namespace)


def _warn(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # also with --quiet and --json


def _say(call: Call, text: str) -> None:
    if not call["json"]:
        call.say(text)
