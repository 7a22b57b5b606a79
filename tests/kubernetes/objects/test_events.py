"""The events of an endpoint: what is told, and how few objects stand for it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from mljupyter.kubernetes.objects import events, names
from mljupyter.kubernetes.objects.events import Entry, EventCorrelator, Happening
from mljupyter.spec import (
    CertificateStatus,
    EndpointSpec,
    EndpointStatus,
    Problem,
    Rollout,
    RolloutPhase,
    RolloutPlan,
    ScalingDecision,
    VersionSpec,
    VersionStatus,
)
from tests.kubernetes.objects import schemas

TIME = datetime(2026, 1, 1, tzinfo=UTC)
NOW = 1_800_000_000.0
OWNER = {"apiVersion": "mljupyter.io/v1alpha1", "kind": "MLEndpoint", "name": "iris", "uid": "u-1", "controller": True}


def version(**fields: Any) -> VersionStatus:
    return VersionStatus(**({"revision": "r2", "replicas_wanted": 2} | fields))


READY = version(ready_revision="r2", replicas_ready=2)
CRASHED = Problem(code="ReplicaCrashed", message="replica iris-1 was killed by signal 9.", last_lines=["a", "why", " "])


def told(before: VersionStatus, after: VersionStatus) -> list[Happening]:
    return list(
        events.of_status(
            EndpointStatus(versions={"one": before}, problem=before.problem),
            EndpointStatus(versions={"one": after}, problem=after.problem),
        )
    )


def test_a_version_is_ready_once_for_each_revision_and_after_each_problem() -> None:
    ready = [Happening("VersionReady", "version 'one' is ready: 2/2 replicas")]
    assert told(version(ready_revision="r1"), READY) == ready
    assert told(READY.model_copy(update={"problem": CRASHED, "replicas_ready": 1}), READY) == ready
    assert told(READY, READY) == []
    assert told(READY.model_copy(update={"replicas_ready": 1}), READY) == []  # the number of replicas changed only
    assert told(version(ready_revision="r1"), version(ready_revision="r1", replicas_ready=2)) == []


def test_a_problem_of_a_version_is_told_once_with_the_last_line_of_the_log() -> None:
    broken = READY.model_copy(update={"problem": CRASHED, "replicas_ready": 1})
    text = "version 'one': replica iris-1 was killed by signal 9. Last line: why"
    assert told(READY, broken) == [Happening("ReplicaCrashed", text, warning=True)]
    assert told(broken, broken.model_copy(update={"restarts": 7})) == []
    other = CRASHED.model_copy(update={"message": "replica iris-2 was killed by signal 9."})
    assert len(told(broken, broken.model_copy(update={"problem": other}))) == 1


def test_a_download_of_models_is_told_once_and_is_no_warning() -> None:
    first, second = (
        Problem(code="FetchingModels", message=f"fetching model churn:3, {done} of 800 MB.") for done in (120, 140)
    )
    before, after = (READY.model_copy(update={"problem": problem}) for problem in (first, second))
    assert told(READY, before) == [Happening("FetchingModels", f"version 'one': {first.message}")]
    assert told(before, after) == []


def test_a_problem_of_the_whole_endpoint_is_told() -> None:
    silent = Problem(code="RouterSilent", message="no pod of the router is ready.")
    before = EndpointStatus(versions={"one": READY})
    after = before.model_copy(update={"problem": silent})
    assert list(events.of_status(before, after)) == [Happening("RouterSilent", silent.message, warning=True)]
    assert list(events.of_status(after, after)) == []


def test_another_certificate_is_told() -> None:
    def with_certificate(fingerprint: str | None) -> EndpointStatus:
        if fingerprint is None:
            return EndpointStatus()
        times = {"not_before": TIME, "not_after": TIME}
        return EndpointStatus(
            certificate=CertificateStatus(names=["iris.example"], issuer="x", fingerprint=fingerprint, **times)
        )

    def reasons(before: str | None, after: str | None) -> list[str]:
        return [item.reason for item in events.of_status(with_certificate(before), with_certificate(after))]

    assert reasons(None, "a") == reasons("a", "b") == ["CertificateInUse"]
    assert reasons("a", None) == ["CertificateRemoved"]
    assert reasons("a", "a") == reasons(None, None) == []


def rollout(**fields: Any) -> Rollout:
    plan = RolloutPlan(version="two", steps=[10, 50, 100], every_seconds=60)
    return Rollout(**({"plan": plan, "started_time": TIME, "step_time": TIME} | fields))


@pytest.mark.parametrize(
    ("before", "after", "reasons"),
    [
        (None, rollout(), ["RolloutStarted"]),
        (rollout(), rollout(requests=80), []),
        (rollout(), rollout(step=1), ["RolloutStep"]),
        (rollout(step=1), rollout(step=1, phase=RolloutPhase.PAUSED), ["RolloutPaused"]),
        (rollout(phase=RolloutPhase.PAUSED), rollout(), ["RolloutResumed"]),
        (rollout(step=2), rollout(step=2, phase=RolloutPhase.COMPLETED), ["RolloutCompleted"]),
        (rollout(), rollout(phase=RolloutPhase.ABORTED), ["RolloutAborted"]),
        (rollout(), rollout(phase=RolloutPhase.RETURNED, reason="p95 is 90ms"), ["RolloutReturned"]),
    ],
)
def test_the_steps_of_a_rollout_are_told(before: Rollout | None, after: Rollout, reasons: list[str]) -> None:
    found = list(events.of_rollout(before, after))
    assert [item.reason for item in found] == reasons
    assert all(item.message == after.text() for item in found)
    assert [item.warning for item in found] == [reason == "RolloutReturned" for reason in reasons]


def test_a_decision_on_replicas_is_told_with_its_reason() -> None:
    numbers = {"demand": 3.0, "needed": 3, "min_replicas": 1, "max_replicas": 9, "target_utilization": 70}
    decision = ScalingDecision(
        time=TIME, version="one", before=1, after=3, admitted=3, reason="demand 3", max_concurrent_requests=1, **numbers
    )
    assert events.of_scaling(decision) == Happening("Scaled", "version 'one': 1 → 3 replicas; demand 3")


def test_a_change_is_told_with_its_author_and_without_values_of_variables() -> None:
    def spec(token: str, **fields: Any) -> EndpointSpec:
        one = VersionSpec(image="registry.example/iris:1", environment_variables={"TOKEN": token})
        return EndpointSpec(name="iris", default_version="one", versions={"one": one}, **fields)

    assert events.of_change(None, spec("s3cret"), "ada", "") == Happening("Created", "created by ada")
    changed = events.of_change(spec("s3cret"), spec("n3w", description="better"), "kubectl", "applied")
    assert changed.message == (
        "applied by kubectl: description: none → better; versions.one.environmentVariables.TOKEN: *** → ***"
    )


def observed(correlator: EventCorrelator, count: int, message: str = "m", every: float = 60.0) -> list[Entry | None]:
    return [
        correlator.observe("iris", Happening("ReplicaCrashed", message.format(number)), NOW + number * every)
        for number in range(count)
    ]


def test_equal_events_are_one_object_with_a_count() -> None:
    found = observed(EventCorrelator(), 20)
    assert len({id(entry) for entry in found}) == 1
    assert found[-1] is not None
    assert found[-1].update() == {"message": "m", "count": 20, "lastTimestamp": "2027-01-15T08:19:00Z"}


def test_an_event_whose_object_is_deleted_by_then_begins_anew() -> None:
    first, later = observed(EventCorrelator(), 2, every=3601)
    assert first is not later and later is not None and later.count == 1


def test_many_similar_events_are_one_object() -> None:
    found = observed(EventCorrelator(), 20, "replica iris-{} was killed", every=1)
    assert len({id(entry) for entry in found}) == 11
    assert found[-1] is not None and found[-1].count == 10
    assert found[-1].update()["message"] == "(combined from similar events) replica iris-19 was killed"


def test_an_endpoint_has_a_burst_of_events_and_then_one_a_minute() -> None:
    correlator = EventCorrelator()
    found = observed(correlator, 100, every=0)
    assert sum(entry is not None for entry in found) == 25
    other = correlator.observe("churn", Happening("ReplicaCrashed", "m"), NOW)
    assert other is not None
    assert sum(entry is not None for entry in observed(correlator, 1000, every=1)) == 16


def test_the_memory_of_events_is_bounded() -> None:
    correlator = EventCorrelator()
    first = correlator.observe("first", Happening("Updated", "m"), NOW)
    for number in range(6000):
        correlator.observe(f"e{number}", Happening("Updated", "m"), NOW)
    again = correlator.observe("first", Happening("Updated", "m"), NOW)
    assert again is not first and again is not None and again.count == 1


def test_the_object_is_an_event_about_the_custom_resource_on_one_line() -> None:
    entry = Entry("iris", Happening("Refused", "a\nb \x1b[31m" + "x" * 2000, warning=True), NOW, NOW, name="iris.1")
    found = entry.manifest(OWNER, "team-a", "operator-1")
    schemas.check(found)
    assert found["involvedObject"] == {
        "apiVersion": "mljupyter.io/v1alpha1",
        "kind": "MLEndpoint",
        "name": "iris",
        "uid": "u-1",
        "namespace": "team-a",
    }
    assert found["type"] == "Warning"
    assert found["source"]["component"] == names.OPERATOR
    assert len(found["message"]) == 1000
    assert found["message"].startswith(r"a b \x1b[31m")
