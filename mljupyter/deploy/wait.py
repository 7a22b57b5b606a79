"""Wait for a deployment, and report why it failed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from functools import partial

from mljupyter.client.base import EndpointClient
from mljupyter.client.errors import ControllerStartError
from mljupyter.engine.log_lines import failed_start, shown_lines
from mljupyter.exceptions import WebserviceException, as_webservice_exception
from mljupyter.spec import EndpointRecord, EndpointSpec, EndpointState
from mljupyter.spec.status import Problem

NOT_DEPLOYED = (EndpointState.FAILED, EndpointState.UNSCHEDULABLE)
_DONE = (EndpointState.HEALTHY, *NOT_DEPLOYED)
_TICK_SECONDS = 1.0
_CANCELLED_WITHIN_SECONDS = 0.5


def done(record: EndpointRecord) -> bool:
    """Return whether the deployment of an endpoint's newest spec has ended: Healthy, Failed or Unschedulable."""
    return in_force(record) and record.status.state in _DONE


def in_force(record: EndpointRecord) -> bool:
    """Return whether the router follows the newest spec of an endpoint; its replicas may still be starting."""
    return record.status.observed_generation >= record.generation


def changed_versions(before: EndpointSpec, after: EndpointSpec) -> frozenset[str]:
    """Return the names of the versions that a change has added or given another spec."""
    return frozenset(name for name, version in after.versions.items() if before.versions.get(name) != version)


def settled(record: EndpointRecord, versions: Collection[str]) -> bool:
    """Return whether a change of some versions has ended: they answer as their newest specs say, or have failed.

    More replicas of a version that answers already may still be starting.
    """
    found = [record.status.versions[name] for name in versions if name in record.status.versions]
    return in_force(record) and all(one.state in _DONE or one.ready_revision == one.revision for one in found)


def failed_versions(record: EndpointRecord, versions: Collection[str]) -> list[str]:
    """Return the names, sorted, of those versions that are Failed or Unschedulable."""
    found = record.status.versions
    return sorted(name for name in versions if name in found and found[name].state in NOT_DEPLOYED)


def follow(
    endpoints: EndpointClient,
    name: str,
    *,
    timeout: float | None = None,
    tick: Callable[[], None] = lambda: None,
    on_record: Callable[[EndpointRecord], None] = lambda record: None,
    reached: Callable[[EndpointRecord], bool] = done,
    cancel: threading.Event | None = None,
) -> EndpointRecord:
    """Return an endpoint's record once its newest spec is Healthy, Failed or Unschedulable.

    The SDK, the magics and the widgets use this function to wait for an endpoint.

    Parameters:
        endpoints: the client of the endpoint's control plane.
        name: the endpoint's name.
        timeout: seconds to wait at most; None for no limit.
        tick: called once a second.
        on_record: called with each record that is read, on every change and at least once a second.
        reached: returns whether to stop waiting, given the record.
        cancel: set it from another thread to stop waiting; then the last record is returned.

    Raises:
        WebserviceException: the timeout has passed, or the endpoint was deleted.

    """
    deadline = None if timeout is None else time.monotonic() + timeout
    next_tick = time.monotonic() + _TICK_SECONDS
    with as_webservice_exception():
        record = _asked_again(partial(endpoints.endpoint, name))
        on_record(record)
        while not reached(record) and not (cancel is not None and cancel.is_set()):
            now = time.monotonic()
            if deadline is not None and now >= deadline:
                raise WebserviceException(
                    f"{name!r} is still {record.status.state} after {timeout:g} s; its deployment goes on.\n"
                    f"{_cause(record)}Wait longer with service.wait_for_deployment(), or look into service.get_logs()"
                )
            if now >= next_tick:
                tick()
                next_tick += _TICK_SECONDS
            until = next_tick if deadline is None else min(next_tick, deadline)
            if cancel is not None:
                until = min(until, now + _CANCELLED_WITHIN_SECONDS)
            after, wait = record.resource_version, max(until - now, 0.01)
            record = _asked_again(partial(endpoints.watch, name, after, wait))
            on_record(record)
    return record


def told_once(say: Callable[[str], None]) -> Callable[[EndpointRecord], None]:
    """Return a function for `follow` that says why an endpoint is not ready yet, each reason once.

    Parameters:
        say: called with a sentence.

    """
    said: set[str] = set()

    def tell(record: EndpointRecord) -> None:
        if in_force(record) and not done(record) and (cause := _cause(record)) not in ("", *said):
            said.add(cause)
            say(cause.rstrip("\n"))

    return tell


def _cause(record: EndpointRecord) -> str:
    """Return the problem of an endpoint as a line, without lines of logs; the empty text without one."""
    problems = [record.status.problem, *(version.problem for version in record.status.versions.values())]
    return next((f"{problem.message}\n" for problem in problems if problem is not None), "")


def _asked_again(ask: Callable[[], EndpointRecord]) -> EndpointRecord:
    """Retry once if the controller ends during the request. The retry starts it again, and nothing is lost."""
    try:
        return ask()
    except ControllerStartError:
        return ask()


def problem_of(record: EndpointRecord) -> Problem | None:
    """Return the problem of an endpoint or of one of its versions, or None."""
    problems = [record.status.problem, *(version.problem for version in record.status.versions.values())]
    return next((problem for problem in problems if problem is not None), None)


def problem_text(record: EndpointRecord, place: str = "") -> str | None:
    """Return the problem of an endpoint with the last lines of the log, or None.

    A failed start has a sentence first, with the exception and its line.

    Parameters:
        record: the endpoint.
        place: what the user calls the scoring script; see `short_problem`.

    """
    problem = problem_of(record)
    if problem is None:
        return None
    reason = failed_start(problem.last_lines)
    lines = list(shown_lines(problem.last_lines, datetime.now(UTC)))
    text = problem.model_copy(update={"last_lines": lines}).text()
    return text if reason is None else f"{reason.sentence(place)}\n{text}"


def short_problem(record: EndpointRecord, place: str = "") -> str:
    """Return the problem of an endpoint without the log: for a failed start the exception with its line.

    Parameters:
        record: the endpoint.
        place: what the user calls the scoring script, see `place_of`; by default the name of its file.

    """
    problem = problem_of(record)
    if problem is None:
        return "No reason was reported."
    reason = failed_start(problem.last_lines)
    return f"{problem.code}: {problem.message}" if reason is None else reason.sentence(place)


def failure(record: EndpointRecord, state: str, *, place: str = "", with_log: bool = True) -> WebserviceException:
    """Return the error for an endpoint whose deployment failed.

    Parameters:
        record: the endpoint.
        state: its state.
        place: what the user calls the scoring script; see `short_problem`.
        with_log: add the last lines of the log.

    """
    name = record.spec.name
    if with_log:
        text = problem_text(record, place) or "No reason was reported."
        return WebserviceException(f"{record.spec.kind} service {name!r} is {state}.\n{text}")
    return WebserviceException(
        f"{short_problem(record, place)}\n{record.spec.kind} service {name!r} is {state}; its log: %logs {name}"
    )


def serves(spec: EndpointSpec, model_name: str | None, model_id: str | None) -> bool:
    """Return whether a version of an endpoint serves a model, given by name or by id; None matches all."""
    models = [model for version in spec.versions.values() for model in version.models]
    return (model_name is None or any(model.name == model_name for model in models)) and (
        model_id is None or any(model.id == model_id for model in models)
    )


def serves_from(spec: EndpointSpec, image_name: str | None, image_id: str | None, ids: set[str] | None) -> bool:
    """Return whether a version of an endpoint serves from an image with this name, this id and an id among `ids`."""
    if image_name is None and image_id is None and ids is None:
        return True
    return any(
        version.image_id is not None
        and image_name in (None, version.image_id.rpartition(":")[0])
        and image_id in (None, version.image_id)
        and (ids is None or version.image_id in ids)
        for version in spec.versions.values()
    )


def keep_silent(text: str) -> None:
    """Print nothing, for callers without output."""
