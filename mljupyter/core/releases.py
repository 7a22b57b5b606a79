"""Rollouts, promotions, rollbacks and history for commands that know an endpoint by its name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mljupyter.exceptions import WebserviceException, as_webservice_exception
from mljupyter.outside import whole
from mljupyter.spec import EndpointRecord, Rollout
from mljupyter.spec.history import HistoryEntry

if TYPE_CHECKING:
    from mljupyter.core import AksEndpoint, Webservice, Workspace

HISTORY_COLUMNS = ("Number", "Time", "User", "Action", "Changes")
ACTIONS = ("pause", "resume", "abort")
NO_ROLLOUT = "no rollout yet"


def versioned_endpoint(workspace: Workspace, name: str) -> AksEndpoint:
    """Return an endpoint that may have several versions.

    Raises:
        WebserviceException: when there is none of this name, or it is of a kind that has one version.

    """
    from mljupyter.core import AksEndpoint, Webservice

    with as_webservice_exception():
        workspace.endpoints.endpoint(name)  # its error has the nearest name
    endpoint = Webservice(workspace, name)
    if not isinstance(endpoint, AksEndpoint):
        raise WebserviceException(
            f"{name!r} is of kind {endpoint.compute_type}, which has one version and gives it all requests.\n"
            "Endpoints with several: AksEndpoint.deploy_configuration(), or %deploy NAME --version VERSION"
        )
    return endpoint


def control(endpoint: AksEndpoint, action: str) -> Rollout:
    """Pause, resume or abort the rollout of an endpoint; `action` is one of `ACTIONS`."""
    methods = (endpoint.pause_rollout, endpoint.resume_rollout, endpoint.abort_rollout)
    return dict(zip(ACTIONS, methods, strict=True))[action]()


def steps_of(text: str) -> list[int]:
    """Return the steps that text such as ``5,25,100`` names.

    Raises:
        WebserviceException: when a part is no whole number.

    Example:
        >>> steps_of("5, 25%, 100")
        [5, 25, 100]

    """
    steps = [whole(part.strip().removesuffix("%")) for part in text.split(",")]
    found = [step for step in steps if step is not None]
    if len(found) < len(steps):
        raise WebserviceException(f"{text!r} are no steps: write rising percentages, for example 5,25,100.")
    return found


def even_steps(share: int, target: int, by: int) -> list[int]:
    """Return the steps from a share to a target, each greater by the same number of points, the last one as needed.

    Raises:
        WebserviceException: when the target is not above the share.

    Example:
        >>> even_steps(5, 100, 30)
        [35, 65, 95, 100]

    """
    if target <= share:
        raise WebserviceException(f"it has {share} % of the requests already: a rollout only raises a share.")
    return [*range(share + by, target, by), target]


def rollout_line(record: EndpointRecord) -> str:
    """Return a line for the rollout of an endpoint, under way or the last one."""
    return record.rollout.text() if record.rollout is not None else NO_ROLLOUT


def state_text(record: EndpointRecord) -> str:
    """Return the state of an endpoint, and which rollout is under way."""
    rollout = record.rollout
    if rollout is None or not rollout.active:
        return str(record.status.state)
    return f"{record.status.state}, rollout of {rollout.plan.version} {rollout.phase} at {rollout.share} %"


def history_rows(entries: Sequence[HistoryEntry]) -> list[list[str]]:
    """Return what a table shows of a history, the newest entry first."""
    return [
        [
            str(entry.number),
            f"{entry.time:%Y-%m-%d %H:%M:%S}",
            entry.user or "unknown",
            entry.action,
            "; ".join(entry.changes),
        ]
        for entry in reversed(entries)
    ]


def history_documents(entries: Sequence[HistoryEntry]) -> list[dict[str, object]]:
    """Return the same as JSON types, without the specs: environment variables may hold secrets."""
    return [{key: value for key, value in entry.document().items() if key != "spec"} for entry in reversed(entries)]


def settle(service: Webservice) -> None:
    """Wait until a web service is Healthy, and say nothing, not even on an interrupt: the caller knows what it means.

    Raises:
        WebserviceException: it failed, with the reason and the last lines of its log.

    """
    from mljupyter.deploy.wait import NOT_DEPLOYED, failure, follow

    record = follow(service.workspace.endpoints, service.name, timeout=None, tick=lambda: None)
    service.update_deployment_state()
    if record.status.state in NOT_DEPLOYED:
        raise failure(record, str(service.state))


def roll_back(workspace: Workspace, name: str, number: int | None) -> tuple[HistoryEntry, str]:
    """Roll an endpoint back and wait until it is; return the newest entry of its history and a line that says it.

    Parameters:
        workspace: the workspace.
        name: the endpoint's name.
        number: an entry of its history; None for what it was before its last change.

    Raises:
        WebserviceException: as `Webservice.rollback`, and when what it was does not start any more.

    """
    with as_webservice_exception():
        before = workspace.endpoints.endpoint(name)  # its error has the nearest name
    from mljupyter.core import Webservice

    service = Webservice(workspace, name)
    service.rollback(number)
    settle(service)
    newest = service.history()[-1]
    rolling = number is None and before.rollout is not None and before.rollout.active
    return newest, f"{name}: {'the rollout is aborted' if rolling else newest.action}"
