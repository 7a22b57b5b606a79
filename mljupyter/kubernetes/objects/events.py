"""Events of endpoints, which ``kubectl describe`` shows: what happened to an endpoint, in few objects.

Equal events become one with a count, many similar ones become one, and each endpoint has a limited rate, with the rules
of Kubernetes' own components. So a replica that crashes all day does not fill the cluster's database.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from mljupyter.engine.endpoints.status import FETCHING_MODELS
from mljupyter.kubernetes.objects import names
from mljupyter.spec import EndpointSpec, EndpointStatus, Problem, Rollout, RolloutPhase, ScalingDecision, VersionStatus
from mljupyter.spec.difference import difference_lines
from mljupyter.visible import visible

_LONGEST_MESSAGE = 1000
_MOST_LINES = 5
_COMBINED = "(combined from similar events) "
_PHASES = {
    RolloutPhase.RUNNING: "RolloutResumed",
    RolloutPhase.PAUSED: "RolloutPaused",
    RolloutPhase.COMPLETED: "RolloutCompleted",
    RolloutPhase.RETURNED: "RolloutReturned",
    RolloutPhase.ABORTED: "RolloutAborted",
}

# The numbers of client-go's EventCorrelator, but one event a minute instead of one in five minutes after the burst: a
# rollout may have fifty steps.
_BURST = 25
_SECONDS_PER_EVENT = 60.0
_MOST_SIMILAR = 10
_SIMILAR_WITHIN_SECONDS = 600.0
_EQUAL_WITHIN_SECONDS = 3600.0  # the API server deletes events after this time
_MOST_KNOWN = 5000


@dataclass(frozen=True)
class Happening:
    """Something that happened to an endpoint.

    Parameters:
        reason: a word to search for, such as ``VersionReady``.
        message: a sentence without secrets.
        warning: whether somebody may have to do something.

    """

    reason: str
    message: str
    warning: bool = False


def of_change(before: EndpointSpec | None, spec: EndpointSpec, user: str, action: str) -> Happening:
    """Return the event of an accepted spec. Values of environment variables are not shown.

    Parameters:
        before: the spec so far; None for a new endpoint.
        spec: the new spec.
        user: the author of the change; empty when unknown.
        action: what was done; empty for created or updated.

    """
    lines = difference_lines(before.document(), spec.document()) if before is not None else []
    more = [f"and {len(lines) - _MOST_LINES} more"] if len(lines) > _MOST_LINES else []
    head = (action or ("updated" if before is not None else "created")) + (f" by {user}" if user else "")
    changes = "; ".join([*lines[:_MOST_LINES], *more])
    return Happening("Updated" if before is not None else "Created", f"{head}: {changes}" if changes else head)


def of_refusal(message: str) -> Happening:
    """Return the event of a custom resource whose spec is refused."""
    return Happening("Refused", message, warning=True)


def of_undone(message: str) -> Happening:
    """Return the event of an accepted change that the API server did not store, and that was taken back."""
    return Happening("ChangeUndone", message, warning=True)


def of_recovery(*, keys_lost: bool) -> Happening:
    """Return the event of an endpoint whose state Secret was damaged or gone.

    Parameters:
        keys_lost: whether the endpoint has new keys.

    """
    keys = " It has new keys: clients need them." if keys_lost else ""
    message = f"the Secret with its state was damaged or deleted. It is made again, without the history.{keys}"
    return Happening("StateRecovered", message, warning=True)


def of_scaling(decision: ScalingDecision) -> Happening:
    """Return the event of a decision on the number of replicas.

    Example:
        >>> numbers = dict(demand=3, needed=3, min_replicas=1, max_replicas=9, target_utilization=70)
        >>> decision = ScalingDecision(
        ...     version="a", before=1, after=3, admitted=3, reason="demand 3", time=datetime(2026, 1, 1, tzinfo=UTC),
        ...     max_concurrent_requests=1, **numbers
        ... )
        >>> of_scaling(decision).message
        "version 'a': 1 → 3 replicas; demand 3"

    """
    numbers = f"{decision.before} → {decision.after} replicas"
    return Happening("Scaled", f"version {decision.version!r}: {numbers}; {decision.reason}")


def of_rollout(before: Rollout | None, after: Rollout) -> Iterator[Happening]:
    """Yield the events of the progress of a rollout: its start, its steps, and its end."""
    returned = after.phase is RolloutPhase.RETURNED
    if before is None or before.started_time != after.started_time:
        yield Happening("RolloutStarted", after.text())
    elif before.phase is not after.phase:
        yield Happening(_PHASES[after.phase], after.text(), warning=returned)
    elif before.step != after.step:
        yield Happening("RolloutStep", after.text())


def of_status(before: EndpointStatus, after: EndpointStatus) -> Iterator[Happening]:
    """Yield the events of a changed status: versions that are ready, new problems, another certificate."""
    for name, version in after.versions.items():
        yield from _of_version(name, before.versions.get(name, VersionStatus()), version)
    of_versions = [version.problem for version in after.versions.values()]
    if after.problem is not None and after.problem not in of_versions and _is_new(after.problem, before.problem):
        yield Happening(after.problem.code, _text(after.problem), warning=True)
    old, new = before.certificate, after.certificate
    if new is not None and (old is None or old.fingerprint != new.fingerprint):
        covered = ", ".join(new.names)
        yield Happening("CertificateInUse", f"TLS certificate for {covered} is in use until {new.not_after:%Y-%m-%d}")
    elif old is not None and new is None:
        yield Happening("CertificateRemoved", f"TLS certificate for {', '.join(old.names)} is not used any more")


def _of_version(name: str, before: VersionStatus, after: VersionStatus) -> Iterator[Happening]:
    if after.problem is not None:
        fetching = after.problem.code == FETCHING_MODELS
        known = fetching and before.problem is not None and before.problem.code == FETCHING_MODELS
        if _is_new(after.problem, before.problem) and not known:
            yield Happening(after.problem.code, f"version {name!r}: {_text(after.problem)}", warning=not fetching)
        return
    # Not each time that the number of replicas changes: that is the event of a decision.
    news = before.ready_revision != after.ready_revision or before.problem is not None
    if news and after.ready_revision == after.revision and after.replicas_ready >= max(after.replicas_wanted, 1):
        counts = f"{after.replicas_ready}/{after.replicas_wanted} replicas"
        yield Happening("VersionReady", f"version {name!r} is ready: {counts}")


def _is_new(problem: Problem, before: Problem | None) -> bool:
    return before is None or (before.code, before.message) != (problem.code, problem.message)


def _text(problem: Problem) -> str:
    last = next((line for line in reversed(problem.last_lines) if line.strip()), None)
    return f"{problem.message} Last line: {last.strip()}" if last is not None else problem.message


@dataclass
class Entry:
    """One Event object, as it is to be.

    Attributes:
        endpoint: the endpoint that it is about.
        happening: the newest thing that it stands for.
        first_time, last_time: seconds since the epoch.
        count: how many things it stands for.
        name: the name of the object; empty before it was written.
        owner: the uid of the custom resource for which it was written.

    """

    endpoint: str
    happening: Happening
    first_time: float
    last_time: float
    count: int = 1
    name: str = ""
    owner: str = ""

    def manifest(self, owner: Mapping[str, Any], namespace: str, instance: str) -> dict[str, Any]:
        """Return the Event.

        Parameters:
            owner: the reference to the custom resource.
            namespace: the namespace of both.
            instance: the name of the operator's pod.

        """
        about = {key: owner[key] for key in ("apiVersion", "kind", "name", "uid")}
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": self.name, "namespace": namespace, "labels": names.labels(names.COMPONENT_OPERATOR)},
            "involvedObject": {**about, "namespace": namespace},
            "reason": self.happening.reason,
            "type": "Warning" if self.happening.warning else "Normal",
            "source": {"component": names.OPERATOR},
            "reportingComponent": names.OPERATOR,
            "reportingInstance": instance,
            "firstTimestamp": _timestamp(self.first_time),
            **self.update(),
        }

    def update(self) -> dict[str, Any]:
        """Return the fields that change when the same happens again."""
        text = visible(" ".join(self.happening.message.splitlines()))
        return {
            "message": text if len(text) <= _LONGEST_MESSAGE else text[: _LONGEST_MESSAGE - 3] + "...",
            "count": self.count,
            "lastTimestamp": _timestamp(self.last_time),
        }


@dataclass
class _Similar:
    """The different messages with one reason, in the present window."""

    since: float
    messages: set[str] = field(default_factory=set)


@dataclass
class _Bucket:
    """The events that an endpoint may still have."""

    tokens: float
    time: float


class EventCorrelator:
    """Decides which Event stands for something that happened. Its memory is bounded."""

    def __init__(self) -> None:
        self._entries: OrderedDict[tuple[str, str, str], Entry] = OrderedDict()
        self._similar: OrderedDict[tuple[str, str], _Similar] = OrderedDict()
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def observe(self, endpoint: str, happening: Happening, now: float) -> Entry | None:
        """Return the Event to write: a new one, or one with a greater count; None when there are too many.

        Parameters:
            endpoint: the name of the endpoint.
            happening: what happened to it.
            now: seconds since the epoch.

        """
        if not self._has_room(endpoint, now):
            return None
        message = happening.message[:_LONGEST_MESSAGE]
        if self._is_one_of_many(endpoint, happening.reason, message, now):
            message, happening = _COMBINED, replace(happening, message=_COMBINED + message)
        key = (endpoint, happening.reason, message)
        entry = self._entries.get(key)
        if entry is None or now - entry.last_time > _EQUAL_WITHIN_SECONDS:
            entry = Entry(endpoint, happening, now, now)
        else:
            entry.happening, entry.last_time, entry.count = happening, now, entry.count + 1
        _keep(self._entries, key, entry)
        return entry

    def _has_room(self, endpoint: str, now: float) -> bool:
        bucket = self._buckets.get(endpoint, _Bucket(_BURST, now))
        bucket.tokens = min(_BURST, bucket.tokens + max(now - bucket.time, 0.0) / _SECONDS_PER_EVENT)
        bucket.time = now
        _keep(self._buckets, endpoint, bucket)
        if bucket.tokens < 1.0:
            return False
        bucket.tokens -= 1.0
        return True

    def _is_one_of_many(self, endpoint: str, reason: str, message: str, now: float) -> bool:
        key = (endpoint, reason)
        similar = self._similar.get(key)
        if similar is None or now - similar.since > _SIMILAR_WITHIN_SECONDS:
            similar = _Similar(now)
        _keep(self._similar, key, similar)
        if message in similar.messages:
            return False
        if len(similar.messages) >= _MOST_SIMILAR:
            return True
        similar.messages.add(message)
        return False


def _keep(known: OrderedDict[Any, Any], key: object, value: object) -> None:
    """Store a value as the newest one, and forget the oldest above the limit."""
    known[key] = value
    known.move_to_end(key)
    if len(known) > _MOST_KNOWN:
        known.popitem(last=False)


def _timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
