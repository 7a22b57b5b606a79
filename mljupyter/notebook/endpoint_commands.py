"""Operations on an endpoint by its name, shared by magics, panels and the command line: traffic, scaling, rollouts.

Their arguments may be text as users type it, such as ``version-b=10`` or ``1:5``.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mljupyter import core
from mljupyter.deploy.cell_script import place_of
from mljupyter.deploy.rollout import shares_now
from mljupyter.deploy.wait import NOT_DEPLOYED, failure, follow, in_force
from mljupyter.engine.scaling.capacity import lack_of_room
from mljupyter.exceptions import WebserviceException, as_webservice_exception
from mljupyter.outside import whole
from mljupyter.runtimes import host

if TYPE_CHECKING:
    from mljupyter.core import AksEndpoint, Webservice, Workspace
    from mljupyter.spec import EndpointRecord, EndpointSpec, Rollout
    from mljupyter.spec.history import HistoryEntry

ACTIONS = ("pause", "resume", "abort")
NO_HEADER = "none"
_IN_FORCE_WITHIN = 30.0


def change_traffic(
    workspace: Workspace,
    name: str,
    shares: Sequence[str] = (),
    mirror: Sequence[str] = (),
    sticky_header: str | None = None,
) -> EndpointRecord:
    """Change the traffic shares of an endpoint, and return its record when they are in effect.

    Without arguments, only return the record.

    Parameters:
        workspace: the workspace.
        name: the endpoint's name.
        shares: ``VERSION=PERCENT``, see `AksEndpoint.set_traffic`.
        mirror: the share of the requests that is mirrored to a version, in the same form.
        sticky_header: the name of a header, or ``none``.

    Raises:
        WebserviceException: there is no such endpoint or version, the endpoint has one version only, or a rule is
            broken.

    """
    percentiles, mirrored = shares_of(shares), shares_of(mirror)
    if not (percentiles or mirrored or sticky_header):
        with as_webservice_exception():
            return workspace.endpoints.endpoint(name)
    endpoint = versioned_endpoint(workspace, name)
    header = "" if sticky_header == NO_HEADER else sticky_header
    endpoint.set_traffic(percentiles or None, mirror=mirrored or None, sticky_header=header)
    return _in_force(workspace, name)


def room_warning(workspace: Workspace, spec: EndpointSpec, version: str | None, replicas: int) -> str:
    """Return a warning if this machine has no room for a number of replicas; empty for another target.

    Parameters:
        workspace: has the compute targets.
        spec: the endpoint.
        version: the version that gets them; None for the default version. One that does not exist gives no warning.
        replicas: their number.

    """
    found = spec.versions.get(spec.default_version if version is None else version)
    if found is None or not workspace.context.target(spec.compute_target).shares_router:
        return ""
    lack = lack_of_room(replicas, found.resources, host.capacity())
    return "" if lack is None else f"Warning: {lack}. Requests wait for those; give fewer, or smaller ones."


def _in_force(workspace: Workspace, name: str) -> EndpointRecord:
    """Return the record of an endpoint when its router follows a change; after half a minute, with a note, in any case.

    The change is stored already, so that this is no error.
    """
    deadline = time.monotonic() + _IN_FORCE_WITHIN
    record = follow(workspace.endpoints, name, reached=lambda found: in_force(found) or time.monotonic() >= deadline)
    if not in_force(record):
        print(f"{name}: the change is stored; the router does not follow it yet. See %endpoints and %logs {name}.")
    return record


def shares_of(words: Sequence[str]) -> dict[str, int]:
    """Return the shares in words such as ``version-b=10``.

    Raises:
        WebserviceException: a word has another form, or names a version again.

    Example:
        >>> shares_of(["version-a=90", "version-b=10"])
        {'version-a': 90, 'version-b': 10}

    """
    found: dict[str, int] = {}
    for word in words:
        name, _, text = word.partition("=")
        share = whole(text.removesuffix("%"))
        if not name or share is None:
            raise WebserviceException(f"{word!r} is not a share: write VERSION=PERCENT, for example version-b=10.")
        if name in found:
            raise WebserviceException(f"{name!r} is given twice: each version once.")
        found[name] = share
    return found


def scale(workspace: Workspace, name: str, version: str | None = None, **given: int | None) -> EndpointRecord:
    """Change the scaling of an endpoint, and return its record when that is in effect.

    Without arguments, only return the record.

    Parameters:
        workspace: the workspace.
        name: the endpoint's name.
        version, given: as of `Webservice.scale`.

    Raises:
        WebserviceException: there is no such endpoint or version, or a rule is broken.

    """
    if all(value is None for value in given.values()):
        with as_webservice_exception():
            return workspace.endpoints.endpoint(name)
    service = core.Webservice(workspace, name)
    asked = [given[key] for key in ("replicas", "minimum", "maximum") if given.get(key) is not None]
    if warning := room_warning(workspace, service.record.spec, version, max(filter(None, asked), default=0)):
        print(warning)
    service.scale(version=version, **given)
    return _in_force(workspace, name)


def replicas_of(text: str) -> dict[str, int]:
    """Return the arguments of `Webservice.scale` in text such as ``3`` or ``1:5``.

    Raises:
        WebserviceException: the text has another form.

    Example:
        >>> replicas_of("1:5")
        {'minimum': 1, 'maximum': 5}

    """
    first, colon, second = text.partition(":")
    least, most = whole(first), whole(second)
    if least is None or (colon and most is None):
        raise WebserviceException(f"{text!r} is not a number of replicas: write 3, or bounds such as 1:5.")
    return {"replicas": least} if most is None else {"minimum": least, "maximum": most}


def versioned_endpoint(workspace: Workspace, name: str) -> AksEndpoint:
    """Return an endpoint that may have several versions.

    Raises:
        WebserviceException: there is none of this name, or its kind has only one version.

    """
    with as_webservice_exception():
        workspace.endpoints.endpoint(name)  # raises an error with the nearest name
    endpoint = core.Webservice(workspace, name)
    if not isinstance(endpoint, core.AksEndpoint):
        raise WebserviceException(
            f"{name!r} is of kind {endpoint.compute_type}, which has one version and gives it all requests.\n"
            "Endpoints with several: AksEndpoint.deploy_configuration(), or %deploy NAME --version VERSION"
        )
    return endpoint


def control_rollout(endpoint: AksEndpoint, action: str) -> Rollout:
    """Pause, resume or abort the rollout of an endpoint.

    Parameters:
        endpoint: the endpoint.
        action: one of `ACTIONS`.

    """
    methods = (endpoint.pause_rollout, endpoint.resume_rollout, endpoint.abort_rollout)
    return dict(zip(ACTIONS, methods, strict=True))[action]()


def steps_of(text: str) -> list[int]:
    """Return the steps of a rollout in text such as ``5,25,100``.

    Raises:
        WebserviceException: a part is not a whole number.

    Example:
        >>> steps_of("5, 25%, 100")
        [5, 25, 100]

    """
    steps = [whole(part.strip().removesuffix("%")) for part in text.split(",")]
    found = [step for step in steps if step is not None]
    if len(found) < len(steps):
        raise WebserviceException(f"{text!r} are not steps: write rising percentages, for example 5,25,100.")
    return found


def even_steps(share: int, target: int, by: int) -> list[int]:
    """Return the steps of a rollout from one share to another.

    Parameters:
        share: the present share in percent.
        target: the last share.
        by: the points of each step; the last step may be smaller.

    Raises:
        WebserviceException: the target is not above the share.

    Example:
        >>> even_steps(5, 100, 30)
        [35, 65, 95, 100]

    """
    if target <= share:
        raise WebserviceException(f"it has {share} % of the requests already: a rollout only raises a share.")
    return [*range(share + by, target, by), target]


def wait_until_healthy(service: Webservice) -> None:
    """Wait until a web service is Healthy; print nothing, not even on an interrupt.

    Raises:
        WebserviceException: its deployment failed, with the reason and the last lines of its log.

    """
    record = follow(service.workspace.endpoints, service.name, timeout=None, tick=lambda: None)
    service.update_deployment_state()
    if record.status.state in NOT_DEPLOYED:
        raise failure(record, str(service.state), place=place_of(service.workspace.artifacts, record))


def roll_back(workspace: Workspace, name: str, number: int | None) -> tuple[HistoryEntry, list[str]]:
    """Roll an endpoint back and wait until it is Healthy; return the newest entry of its history and lines about it.

    The first line says what was done, each further one is a change. To abort a rollout makes no entry and no change.

    Parameters:
        workspace: the workspace.
        name: the endpoint's name.
        number: an entry of its history; None for the state before its last change.

    Raises:
        WebserviceException: as `Webservice.rollback`; the restored versions do not start.

    """
    with as_webservice_exception():
        before = workspace.endpoints.endpoint(name)  # raises an error with the nearest name
    service = core.Webservice(workspace, name)
    service.rollback(number)
    wait_until_healthy(service)
    newest = service.history()[-1]
    rolling = number is None and before.rolls_out
    if rolling:
        return newest, [f"{name}: the rollout is aborted. {shares_now(service.record)}"]
    return newest, [f"{name}: {newest.action}", *(f"  {change}" for change in newest.changes)]
