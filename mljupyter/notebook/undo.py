"""Take back what an interrupted `%deploy` has begun: a new endpoint goes away, an old one is again what it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mljupyter.core import Workspace
    from mljupyter.spec import EndpointRecord


def take_back(workspace: Workspace, name: str, before: EndpointRecord | None) -> str:
    """Undo a deployment that is under way, and return a sentence about what there is now.

    Parameters:
        workspace: where it was deployed.
        name: of the endpoint.
        before: what was there before; None when it is new.

    """
    from mljupyter.client.errors import EndpointBusyError, EndpointChangedError
    from mljupyter.core import Webservice
    from mljupyter.core.usage import in_use

    now = next((record for record in workspace.endpoint_records() if record.spec.name == name), None)
    if now is None:
        return "Nothing had been handed over; there is no such endpoint."
    if before is None:
        Webservice._of(workspace, now).delete()
        return "It was new, and was taken away again."
    if now.generation == before.generation:
        return "Nothing had been handed over; it is as it was."
    if now.generation != before.generation + 1 or now.deleting:
        return f"Somebody else has changed it meanwhile, so it stays as it is now: see %endpoints and %logs {name}."
    try:
        with in_use(workspace, name, before.spec):
            workspace.endpoints.replace(before.spec, generation=now.generation)
    except (EndpointChangedError, EndpointBusyError):
        return f"Somebody else has changed it meanwhile, so it stays as it is now: see %endpoints and %logs {name}."
    return "It goes back to what it was before; that has served all the time."
