"""``--code`` and ``--dry-run`` of magics that change an endpoint: the same as Python, and what would change."""

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
    """Return whether a magic shall only show its effect: as Python, or as a plan."""
    return bool(call["code"] or call["dry_run"])


def preview(
    call: Call, method: str, arguments: Mapping[str, Any], wanted: Callable[[EndpointSpec], EndpointSpec]
) -> Any:
    """Return the Python that calls one method of the endpoint and waits, or what `wanted` makes of its spec.

    Parameters:
        call: of the magic.
        method: name of the method of `Webservice` or `AksEndpoint`.
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
    changes = [
        {"field": path, "before": difference.shown(path, before), "after": difference.shown(path, after)}
        for path, before, after in plan.changes
    ]
    return shown(call, plan, {"endpoint": call.endpoint, "action": plan.action, "changes": changes})


def code_of(call: Call, steps: Iterable[str]) -> Any:
    """Return a script that does steps with the endpoint as ``service``."""
    lines = [f"service = Webservice(ws, {call.endpoint!r})", *steps]
    return call.deliver(Text(script_of(call.session.workspace(), lines)))


def called(method: str, arguments: Mapping[str, Any]) -> str:
    """Return the call of a method of ``service`` as Python; what is None is left out.

    Example:
        >>> called("scale", {"minimum": 1, "maximum": None})
        'service.scale(minimum=1)'

    """
    given = ", ".join(f"{name}={value!r}" for name, value in arguments.items() if value is not None)
    return f"service.{method}({given})"


def present(call: Call) -> EndpointRecord:
    """Return the endpoint that the magic names, as it is."""
    return call.session.workspace().endpoints.endpoint(call.endpoint)


def shown(call: Call, view: View, document: Mapping[str, Any]) -> Any:
    """Return what would be done, or print it as JSON where that is asked for."""
    if call.values.get("json"):
        print(masked_line(document))
        return call.deliver(document) if call.values.get("output") else None
    return call.deliver(view)
