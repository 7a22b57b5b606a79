"""``%deploy``: put registered models and a scoring script behind an endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mljupyter.errors import MLJupyterError
from mljupyter.frontend.deployment import deployment_of
from mljupyter.frontend.deployment_options import DEPLOYMENT_OPTIONS
from mljupyter.frontend.views import Text
from mljupyter.magics.call import Call, json_line
from mljupyter.magics.magic import Magic

if TYPE_CHECKING:
    from mljupyter.core import Webservice
    from mljupyter.frontend.plan import Deployment, Plan
    from mljupyter.frontend.session import Session


class WaitInterruptedError(MLJupyterError):
    """Waiting was interrupted; the deployment goes on."""


def run(call: Call) -> Any:
    """Create the endpoint, or bring an existing one to what the line says; nothing happens when it is that already."""
    deployment = deployment_of(call.session, call.namespace, call.values)
    if call["code"]:
        return call.deliver(Text(deployment.code(f"--score {call['score']}")))
    plan = deployment.plan()
    if call["dry_run"]:
        if call["json"]:
            print(json_line(plan.wanted.document()))
            return None
        return call.deliver(plan)
    service = _apply(call, deployment, plan)
    call.session.cache.refresh_soon()
    if call["json"]:
        print(json_line(service.serialize()))
        return call.deliver(service) if call["output"] else None
    return call.deliver(service)


def _apply(call: Call, deployment: Deployment, plan: Plan) -> Webservice:
    """Do what the plan says, and tell each stage once it is done: no times, ports or ids, which differ between runs."""
    where = f"{deployment.name} → {deployment.target}"
    if plan.action == "unchanged":
        if plan.settled_as == "Healthy":
            _say(call, f"{where}: unchanged")
            return deployment.service()
        if plan.settled_as is None:
            _say(call, f"{where}: unchanged, not Healthy yet")
            return _waited(call, deployment.service())
        _say(call, f"{where}: was {plan.settled_as}, trying again")
    else:
        _say(call, f"{where}: {plan.action}")
    if deployment.models:
        _say(call, f"  models  {', '.join(model.id for model in deployment.models)} ✓")
    _say(call, f"  script  {call['score']} ✓")
    try:
        service = deployment.deploy(plan)
    except KeyboardInterrupt:
        raise WaitInterruptedError(
            f"Interrupted while {deployment.name!r} was handed over. %endpoints shows whether it is being deployed."
        ) from None
    return _waited(call, service)


def _waited(call: Call, service: Webservice) -> Webservice:
    if not call["wait"]:
        _say(call, f"  start   under way; follow it with %endpoints and %logs {service.name}")
        return service
    try:
        service.wait_for_deployment(timeout_sec=call["timeout"])
    except KeyboardInterrupt:
        raise WaitInterruptedError(
            f"Stopped waiting for {service.name!r}; its deployment goes on.\n"
            f"Follow it with %endpoints and %logs {service.name}; take it away with %undeploy {service.name}."
        ) from None
    _say(call, f"  start   {service.state} ✓")
    return service


def _wizard(session: Session, namespace: Mapping[str, Any]) -> Any:
    from mljupyter.widgets.deploy_wizard import DeployWizard

    return DeployWizard(session, namespace)


def _say(call: Call, text: str) -> None:
    if not call["json"]:
        call.say(text)


MAGIC = Magic(
    name="deploy",
    summary="Deploy registered models with a scoring script as an endpoint; again, it changes only what differs.",
    options=DEPLOYMENT_OPTIONS,
    wizard=_wizard,
    example="%deploy diabetes --model diabetes-ridge --score ridge-score\n"
    "%deploy diabetes --model diabetes-ridge:2 --score ridge-score --replicas 2 --dry-run\n"
    "%deploy diabetes --version version-b --traffic 10 --model diabetes-ridge:2 --score ridge-score",
    run=run,
)
