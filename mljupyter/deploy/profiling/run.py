"""Profiling run: deploy a temporary endpoint, send load to it, measure CPU, memory and latency, and delete it."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from mljupyter.client.scorer import Scorer
from mljupyter.deploy import apply
from mljupyter.deploy.build import build
from mljupyter.deploy.plan import plan_new, size_warning
from mljupyter.deploy.profiling.load import Sampler, Tally, Target, run_load
from mljupyter.deploy.wait import problem_text
from mljupyter.engine.scaling.recommender import peak_cpu, percentile, recommended
from mljupyter.errors import MLJupyterError
from mljupyter.exceptions import WebserviceException
from mljupyter.process_start import start_mark
from mljupyter.runtimes.process.processes import Identity
from mljupyter.spec import EndpointRecord, EndpointState

if TYPE_CHECKING:
    from mljupyter.deploy.prepare import Prepared
    from mljupyter.deploy.spec_builder import Settings
    from mljupyter.workspace.context import WorkspaceContext

NAME_PREFIX = "profile-"
OWNER_TAG = "mljupyter-profile-owner"
LONGEST_SECONDS = 25 * 60.0
_WARM_UP_REQUESTS = 10
_ROOM_CPU, _ROOM_MEMORY_GB = 0.1, 0.1
_POLL_SECONDS = 0.1


class CancelledError(MLJupyterError):
    """The profile was cancelled."""


@dataclass(frozen=True)
class ProfileRequest:
    """The parameters of a profiling run.

    Parameters:
        name: the profile's name.
        endpoint: the name of the temporary endpoint.
        prepared: the version, with its content stored: later changes of files have no effect.
        settings: the settings of the temporary endpoint; see `endpoint_arguments`.
        rows: request bodies.
        cpu: cores that the replica may use.
        memory_in_gb: GB that it may use.
        seconds: duration of the load.

    """

    name: str
    endpoint: str
    prepared: Prepared
    settings: Settings
    rows: Sequence[bytes]
    cpu: float
    memory_in_gb: float
    seconds: float


def run(
    context: WorkspaceContext, request: ProfileRequest, cancelled: Callable[[], bool], say: Callable[[str], None]
) -> dict[str, Any]:
    """Run a profile and return the fields of its result; the temporary endpoint is always deleted.

    Parameters:
        context: the workspace.
        request: the parameters of the run.
        cancelled: returns True to cancel the run.
        say: called with a line of text for each step.

    Raises:
        CancelledError: the run was cancelled.
        MLJupyterError: the version cannot be deployed, or no request succeeds.

    """
    deadline = time.monotonic() + LONGEST_SECONDS
    remove_abandoned(context)
    say(f"Deploying {request.endpoint}, a temporary endpoint\n")
    try:
        _deploy(context, request)
        record = _wait_until_healthy(context, request.endpoint, cancelled, deadline)
        say(f"Sending {len(request.rows):,} rows for {request.seconds:g} s\n")
        return _measured(context, record, request, lambda: cancelled() or time.monotonic() > deadline, cancelled)
    finally:
        _remove(context, request.endpoint)


def temporary_name() -> str:
    """Return a random name for a temporary endpoint."""
    return f"{NAME_PREFIX}{secrets.token_hex(4)}"


def endpoint_arguments(name: str, cpu: float, memory_in_gb: float, *, here: bool) -> dict[str, Any]:
    """Return the arguments of ``AksWebservice.deploy_configuration`` for a temporary endpoint.

    The limits are the requested size. The resource request is small, so that a profile does not displace replicas.

    Parameters:
        name: the profile's name.
        cpu: cores that the replica may use.
        memory_in_gb: GB that it may use.
        here: whether the replica runs on this machine, whose Docker engine refuses limits above its number of cores.

    """
    return {
        "num_replicas": 1,
        "cpu_cores": min(_ROOM_CPU, cpu),
        "cpu_cores_limit": min(cpu, os.cpu_count() or cpu) if here else cpu,
        "memory_gb": min(_ROOM_MEMORY_GB, memory_in_gb),
        "memory_gb_limit": memory_in_gb,
        "description": f"Temporary: measured by the profile {name!r}",
        "tags": {OWNER_TAG: owner()},
        "max_request_wait_time": 60_000,
    }


def remove_abandoned(context: WorkspaceContext) -> None:
    """Delete temporary endpoints whose process has ended without deleting them."""
    for record in context.endpoints.endpoints():
        owner = record.spec.tags.get(OWNER_TAG)
        if owner is not None and not is_alive(owner):
            _remove(context, record.spec.name)


def _remove(context: WorkspaceContext, name: str) -> None:
    """Delete a temporary endpoint if it exists, and remove its image from the catalog.

    The Docker engine keeps the image: another endpoint, deployed concurrently, may run the same one.
    """
    with suppress(MLJupyterError):  # it was never created, or has been deleted
        apply.delete(context, name)
    for image in context.registry.images.list(name):
        with suppress(MLJupyterError):
            context.registry.images.delete(image.id)


def owner() -> str:
    """Return an identifier of this process: its id and the mark of its start."""
    return f"{os.getpid()}:{start_mark(os.getpid())}"


def is_alive(text: str) -> bool:
    """Return whether the process with this identifier, from `owner`, is still running."""
    pid, _, start = text.partition(":")
    try:
        return Identity(int(pid), start).alive()
    except ValueError:
        return False


def _deploy(context: WorkspaceContext, request: ProfileRequest) -> None:
    with context.artifacts.hold():
        plan = plan_new(context, request.endpoint, request.settings, request.prepared)
        if warning := size_warning(plan.wanted, context.artifacts):
            print(warning)
        apply.apply(context, build(context, plan), overwrite=False)


def _wait_until_healthy(
    context: WorkspaceContext, name: str, cancelled: Callable[[], bool], deadline: float
) -> EndpointRecord:
    record = context.endpoints.endpoint(name)
    while record.status.state is not EndpointState.HEALTHY:
        if cancelled():
            raise CancelledError("The profile was cancelled.")
        if record.status.state is EndpointState.FAILED or time.monotonic() > deadline:
            raise WebserviceException(f"The model cannot be profiled: it does not start.\n{problem_text(record)}")
        time.sleep(_POLL_SECONDS)
        record = context.endpoints.endpoint(name)
    return record


def _measured(
    context: WorkspaceContext,
    record: EndpointRecord,
    request: ProfileRequest,
    stop: Callable[[], bool],
    cancelled: Callable[[], bool],
) -> dict[str, Any]:
    name = record.spec.name
    (replica,) = record.status.versions[record.spec.default_version].replicas
    limits = record.spec.versions[record.spec.default_version].limits
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {context.endpoints.keys(name)[0]}"}
    timeout = (limits.scoring_timeout_ms + limits.max_queue_wait_ms) / 1000 + 5
    compute_target = context.targets[record.spec.compute_target]
    measure = compute_target.meter(replica)
    if measure is None:
        raise WebserviceException(
            f"The compute target {compute_target.name!r} does not measure CPU and memory of replicas, which a profile "
            "needs: profile on another target, such as ws.compute_targets['local']."
        )
    connect = partial(Scorer, compute_target.reach)
    target = Target(str(record.status.scoring_uri), headers, timeout, connect)
    began = time.monotonic()
    some = request.rows[:_WARM_UP_REQUESTS]
    warm_up = run_load(target, some, clients=1, seconds=0, at_least=len(some), stop=stop)
    if not warm_up.succeeded and not cancelled():
        raise WebserviceException(_failure("warm-up request", warm_up.first_error, context, name))
    with Sampler(measure) as sampler:
        single = run_load(
            target, request.rows, clients=1, seconds=request.seconds / 2, at_least=len(request.rows), stop=stop
        )
        full = run_load(target, request.rows, clients=2, seconds=request.seconds / 2, at_least=0, stop=stop)
    if cancelled():
        raise CancelledError("The profile was cancelled.")
    if not single.succeeded:
        raise WebserviceException(_failure("request", single.first_error, context, name))
    used_cpu = peak_cpu(sampler.samples)
    used_memory = max((sample.memory_in_gb for sample in sampler.samples), default=0.0)
    cpu, memory = recommended(used_cpu, used_memory)
    return {
        **_outcome(single, full),
        "maxUtilizedCpu": round(used_cpu, 3),
        "maxUtilizedMemoryInGB": round(used_memory, 4),
        "recommendedCpu": cpu,
        "recommendedMemoryInGB": memory,
        "wallTime": round(time.monotonic() - began, 3),
    }


def _outcome(single: Tally, full: Tally) -> dict[str, Any]:
    """Return the counts of both loads, the latencies of the single client, and the throughput of the full load."""
    total, succeeded = single.total + full.total, single.succeeded + full.succeeded
    statuses = sorted({*single.failed, *full.failed})
    ordered = sorted(1000 * latency for latency in single.latencies)
    names = {50: "50", 90: "90", 95: "95", 99: "99", 99.9: "999"}
    return {
        "totalQueries": total,
        "successQueries": succeeded,
        "successRate": round(100 * succeeded / total, 2),
        "averageLatencyInMs": round(sum(ordered) / len(ordered), 3),
        **{f"latencyPercentile{n}InMs": round(percentile(ordered, p), 3) for p, n in names.items()},
        "measuredQueriesPerSecond": round(full.succeeded / full.seconds, 2) if full.seconds else 0.0,
        "errors": {str(status): single.failed.get(status, 0) + full.failed.get(status, 0) for status in statuses},
    }


def _failure(request: str, error: str | None, context: WorkspaceContext, name: str) -> str:
    """Return the message for a profile none of whose requests succeeded, with the last lines of the log."""
    lines = ""
    with suppress(MLJupyterError):
        lines = context.endpoints.logs(name, lines=10)
    log = f"\nThe last lines of the log:\n{lines}" if lines else ""
    return f"The profile failed: no {request} succeeded. The first error: {error}{log}"
