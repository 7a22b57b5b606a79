"""A profile's run: a temporary endpoint, load on it, what it used, and its end in any case."""

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
from mljupyter.deploy.profiling.load import Sampler, Tally, Target, run_load
from mljupyter.engine.scaling.recommender import peak_cpu, percentile, recommended
from mljupyter.errors import MLJupyterError
from mljupyter.exceptions import WebserviceException
from mljupyter.runtimes.process.processes import Identity
from mljupyter.spec import EndpointState

if TYPE_CHECKING:
    from mljupyter.core.webservice import Webservice
    from mljupyter.core.workspace import Workspace
    from mljupyter.deploy.prepare import Prepared

NAME_PREFIX = "profile-"
OWNER_TAG = "mljupyter-profile-owner"
LONGEST_SECONDS = 25 * 60.0
_WARM_UP_REQUESTS = 10
_ROOM_CPU, _ROOM_MEMORY_GB = 0.1, 0.1
_POLL_SECONDS = 0.1


class CancelledError(MLJupyterError):
    """The profile was cancelled."""


@dataclass(frozen=True)
class Order:
    """What to profile, with how much room, for how long.

    `prepared` has its content stored: files that change while the profile runs change nothing. `endpoint` is the name
    of the temporary endpoint.
    """

    name: str
    endpoint: str
    prepared: Prepared
    rows: Sequence[bytes]
    cpu: float
    memory_in_gb: float
    seconds: float


def run(
    workspace: Workspace, order: Order, cancelled: Callable[[], bool], say: Callable[[str], None]
) -> dict[str, Any]:
    """Deploy, load, measure, and delete what was deployed, whatever happens; return the fields of the result.

    Raises:
        CancelledError: when `cancelled` says so.
        MLJupyterError: when it cannot be deployed, or no request succeeds.

    """
    deadline = time.monotonic() + LONGEST_SECONDS
    remove_abandoned(workspace)
    say(f"Deploying {order.endpoint}, a temporary endpoint\n")
    try:
        service = _deploy(workspace, order)
        _wait_until_healthy(service, cancelled, deadline)
        say(f"Sending {len(order.rows):,} rows for {order.seconds:g} s\n")
        return _measured(workspace, service, order, lambda: cancelled() or time.monotonic() > deadline, cancelled)
    finally:
        _remove(workspace, order.endpoint)


def temporary_name() -> str:
    """Return a name for a temporary endpoint."""
    return f"{NAME_PREFIX}{secrets.token_hex(4)}"


def remove_abandoned(workspace: Workspace) -> None:
    """Delete temporary endpoints whose process has ended without doing so."""
    for record in workspace.endpoint_records():
        owner = record.spec.tags.get(OWNER_TAG)
        if owner is not None and not is_alive(owner):
            _remove(workspace, record.spec.name)


def _remove(workspace: Workspace, name: str) -> None:
    """Delete a temporary endpoint, as far as it was made, and forget its image.

    The engine keeps the image: an endpoint that was deployed meanwhile may serve from the same one.
    """
    from mljupyter.core.webservice import Webservice

    with suppress(WebserviceException):  # it was never made, or somebody has deleted it
        Webservice(workspace, name).delete()
    for image in workspace.registry.images.list(name):
        with suppress(MLJupyterError):
            workspace.registry.images.delete(image.id)


def owner() -> str:
    """Return what tells this process from all others."""
    identity = Identity.of(os.getpid())
    return f"{os.getpid()}:{identity.started_time if identity else 0.0}"


def is_alive(text: str) -> bool:
    """Whether the process that `owner` named still runs."""
    pid, _, started = text.partition(":")
    try:
        return Identity(int(pid), float(started)).alive()
    except ValueError:
        return False


def _deploy(workspace: Workspace, order: Order) -> Webservice:
    from mljupyter.core.deployment import check_settings, deploy_prepared
    from mljupyter.core.webservice import AksWebservice

    # What it may use is the limit; it claims little, since nothing else should have to make room for a profile.
    config = AksWebservice.deploy_configuration(
        num_replicas=1,
        cpu_cores=min(_ROOM_CPU, order.cpu),
        cpu_cores_limit=min(order.cpu, os.cpu_count() or order.cpu),  # an engine refuses more than there is
        memory_gb=min(_ROOM_MEMORY_GB, order.memory_in_gb),
        memory_gb_limit=order.memory_in_gb,
        description=f"Temporary: measured by the profile {order.name!r}",
        tags={OWNER_TAG: owner()},
        max_request_wait_time=60_000,
    )
    with workspace.artifacts.hold():
        check_settings(workspace, order.endpoint, config, order.prepared.target)
        return deploy_prepared(workspace, order.endpoint, order.prepared, config)


def _wait_until_healthy(service: Webservice, cancelled: Callable[[], bool], deadline: float) -> None:
    while service.state != EndpointState.HEALTHY.value:
        if cancelled():
            raise CancelledError("The profile was cancelled.")
        if service.state == EndpointState.FAILED.value or time.monotonic() > deadline:
            raise WebserviceException(f"The model cannot be profiled: it does not start.\n{service.error}")
        time.sleep(_POLL_SECONDS)
        service.update_deployment_state()


def _measured(
    workspace: Workspace, service: Webservice, order: Order, stop: Callable[[], bool], cancelled: Callable[[], bool]
) -> dict[str, Any]:
    record = workspace.endpoints.endpoint(service.name)
    (replica,) = record.status.versions[record.spec.default_version].replicas
    limits = record.spec.versions[record.spec.default_version].limits
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {service.get_keys()[0]}"}
    timeout = (limits.scoring_timeout_ms + limits.max_queue_wait_ms) / 1000 + 5
    compute_target = workspace.context.targets[record.spec.compute_target]
    measure = compute_target.meter(replica)
    if measure is None:
        raise WebserviceException(
            f"Replicas on {compute_target.name!r} cannot be measured: no model is profiled there."
        )
    connect = partial(Scorer, compute_target.reach)
    target = Target(str(service.scoring_uri), headers, timeout, connect)
    began = time.monotonic()
    some = order.rows[:_WARM_UP_REQUESTS]
    warm_up = run_load(target, some, clients=1, seconds=0, at_least=len(some), stop=stop)
    if not warm_up.succeeded and not cancelled():
        raise WebserviceException(f"No request succeeded: {warm_up.first_error}\n{_last_lines(service)}")
    with Sampler(measure) as sampler:
        single = run_load(target, order.rows, clients=1, seconds=order.seconds / 2, at_least=len(order.rows), stop=stop)
        full = run_load(target, order.rows, clients=2, seconds=order.seconds / 2, at_least=0, stop=stop)
    if cancelled():
        raise CancelledError("The profile was cancelled.")
    if not single.succeeded:
        raise WebserviceException(f"No request succeeded: {single.first_error}\n{_last_lines(service)}")
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
    """Return counts of both loads, latencies of the one without waiting, throughput of the one that fills it."""
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


def _last_lines(service: Webservice) -> str:
    with suppress(WebserviceException):
        return service.get_logs(num_lines=10)
    return ""
