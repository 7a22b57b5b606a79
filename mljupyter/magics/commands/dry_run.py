"""``--code`` and ``--dry-run`` of magics that change an endpoint: Python code and planned changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from mljupyter.deploy.plan import DeploymentPlan
from mljupyter.exceptions import as_webservice_exception
from mljupyter.magics.magic import Call, masked_line
from mljupyter.notebook.code import script_of
from mljupyter.notebook.plan import Plan
from mljupyter.notebook.views.views import Text, View
from mljupyter.spec import EndpointRecord, EndpointSpec, difference

NOTHING_DONE = "(dry run, nothing done)"
WAIT = "service.wait_for_deployment(show_output=True)"


def is_preview(call: Call) -> bool:
    """Return whether a magic must only show its effect, as Python code or as a plan."""
    return bool(call["code"] or call["dry_run"])


def preview(
    call: Call, method: str, arguments: Mapping[str, Any], wanted: Callable[[EndpointSpec], EndpointSpec]
) -> Any:
    """Return the Python code that calls one method of the endpoint and waits, or a plan with the spec from `wanted`.

    Parameters:
        call: the call of the magic.
        method: the name of a method of `Webservice` or `AksEndpoint`.
        arguments: its arguments by name.
        wanted: the same as a function from spec to spec.

    Raises:
        WebserviceException: a rule is broken.

    """
    if call["code"]:
        return code_of(call, [called(method, arguments), WAIT])
    record = present(call)
    with as_webservice_exception():
        plan = Plan(DeploymentPlan(wanted(record.spec), record))
    return shown(call, plan, plan_document(call, plan))


def plan_document(call: Call, plan: Plan) -> dict[str, Any]:
    """Return the planned changes of the magic's endpoint for ``--json``."""
    changes = [
        {"field": path, "before": difference.shown(path, before), "after": difference.shown(path, after)}
        for path, before, after in plan.changes
    ]
    return {"endpoint": call.endpoint, "action": plan.action, "changes": changes}


def code_of(call: Call, steps: Iterable[str]) -> Any:
    """Return a script with steps that use the endpoint as ``service``."""
    lines = [f"service = Webservice(ws, {call.endpoint!r})", *steps]
    return call.deliver(Text(script_of(call.session.workspace(), lines)))


def called(method: str, arguments: Mapping[str, Any]) -> str:
    """Return the call of a method of ``service`` as Python code, without arguments that are None.

    Example:
        >>> called("scale", {"minimum": 1, "maximum": None})
        'service.scale(minimum=1)'

    """
    given = ", ".join(f"{name}={value!r}" for name, value in arguments.items() if value is not None)
    return f"service.{method}({given})"


def present(call: Call) -> EndpointRecord:
    """Return the present endpoint of the magic."""
    return call.session.workspace().endpoints.endpoint(call.endpoint)


def shown(call: Call, view: View, document: Mapping[str, Any]) -> Any:
    """Return the planned changes, or with ``--json`` print them as JSON."""
    if call.values.get("json"):
        print(masked_line(document))
        return call.deliver(document) if call.values.get("output") else None
    return call.deliver(view)
