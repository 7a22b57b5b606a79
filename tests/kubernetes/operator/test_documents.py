"""The custom resource and the state Secret of an endpoint: whatever is stored there can be read again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mljupyter.controller.storage.history import Change
from mljupyter.controller.storage.keys import Keys
from mljupyter.controller.storage.store import Store
from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.operator import documents
from mljupyter.kubernetes.operator.cluster_store import ClusterStore, Part
from mljupyter.spec import EndpointSpec, EndpointState, EndpointStatus, SpecError, VersionSpec, VersionStatus

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


def spec(name: str = "iris", **fields: Any) -> EndpointSpec:
    versions = {"one": VersionSpec(image="registry/iris:1")}
    return EndpointSpec(name=name, compute_target="team", default_version="one", versions=versions, **fields)


def created(resource: dict[str, Any]) -> dict[str, Any]:
    """Return a resource as the API server returns it."""
    return {**resource, "metadata": {**resource["metadata"], "uid": "u-1", "resourceVersion": "7"}}


def test_an_endpoint_survives_the_way_through_its_resource() -> None:
    wanted = spec(tags={"team": "churn"})
    resource = documents.resource(wanted, "mljupyter", None)
    assert "name" not in resource["spec"] and "computeTarget" not in resource["spec"]
    assert documents.spec_of(resource, "team", None) == wanted


def test_values_of_environment_variables_are_hidden_and_come_back() -> None:
    version = VersionSpec(image="registry/iris:1", environment_variables={"PASSWORD": "s3cret-value"})
    wanted = spec().model_copy(update={"versions": {"one": version}})
    resource = documents.resource(wanted, "mljupyter", None)
    assert "s3cret-value" not in str(resource)
    assert documents.spec_of(resource, "team", wanted) == wanted
    resource["spec"]["versions"]["one"]["environmentVariables"]["PASSWORD"] = "another"
    assert documents.spec_of(resource, "team", wanted).versions["one"].environment_variables == {"PASSWORD": "another"}


def test_a_resource_of_a_user_gets_the_finalizer_and_keeps_the_rest() -> None:
    theirs = created({"metadata": {"name": "iris", "annotations": {"a": "b"}, "finalizers": ["other/one"]}, "spec": {}})
    changed = documents.resource(spec(), "mljupyter", theirs)
    assert changed["metadata"]["finalizers"] == ["other/one", names.FINALIZER]
    assert changed["metadata"]["annotations"] == {"a": "b"}
    assert theirs["metadata"]["finalizers"] == ["other/one"]


def test_a_resource_with_a_mistake_is_refused_with_the_field() -> None:
    resource = documents.resource(spec(), "mljupyter", None)
    resource["spec"]["versions"]["one"]["trafficPercentile"] = 101
    with pytest.raises(SpecError, match="trafficPercentile"):
        documents.spec_of(resource, "team", None)


def test_everything_that_is_stored_comes_back_from_the_state_secret(tmp_path: Path) -> None:
    before = Store(tmp_path / "before.db")
    before.put(spec(), EndpointStatus(), Keys("first-key", "second-key"), Change("ada", ""))
    before.put(spec(description="better"), EndpointStatus(), Keys("first-key", "third-key"), Change("bob", ""))
    before.keep_revision("iris", "one", "r1", "team", VersionSpec(image="registry/iris:0"))
    rows = before.rows("iris")
    assert rows is not None
    secret = documents.state_secret("iris", rows, created(documents.resource(spec(), "mljupyter", None)), "mljupyter")
    assert "first-key" not in str(secret)

    after = Store(tmp_path / "after.db")
    after.put_rows("iris", documents.rows_of(secret))
    assert after.get("iris").spec == before.get("iris").spec
    assert after.get("iris").generation == 2
    assert after.keys("iris") == Keys("first-key", "third-key")
    assert [entry.user for entry in after.history("iris")] == ["ada", "bob"]
    assert after.revision("iris", "one", "r1") == before.revision("iris", "one", "r1")


@pytest.mark.parametrize("data", [{}, {"state.json.gz": "no base64 !"}, {"state.json.gz": "aGVsbG8="}])
def test_a_state_secret_that_cannot_be_read_counts_as_none(data: dict[str, str]) -> None:
    assert documents.rows_of({"data": data}) is None


def test_the_status_names_the_state_and_the_revision_that_was_ready(tmp_path: Path) -> None:
    store = Store(tmp_path / "endpoints.db")
    version = VersionStatus(state=EndpointState.HEALTHY, replicas_ready=1, replicas_wanted=1, ready_revision="r1")
    status = EndpointStatus(state=EndpointState.HEALTHY, versions={"one": version})
    record = store.put(spec(), status, None)
    written = documents.status_of(record, None, NOW)
    assert written["replicas"] == "1/1"
    assert written["conditions"][0]["status"] == "True"
    assert documents.observed({"status": written}) == status


def test_the_condition_has_the_time_of_its_last_change_and_says_what_it_waits_for(tmp_path: Path) -> None:
    store = Store(tmp_path / "endpoints.db")

    def status(ready: int) -> EndpointStatus:
        state = EndpointState.HEALTHY if ready == 2 else EndpointState.TRANSITIONING
        version = VersionStatus(state=state, replicas_ready=ready, replicas_wanted=2)
        return EndpointStatus(state=state, versions={"one": version})

    record = store.put(spec(), status(0), None)
    written = None
    found = []
    for minute, ready in enumerate((0, 1, 2, 2, 1)):
        now = NOW + timedelta(minutes=minute)
        written = documents.status_of(record.model_copy(update={"status": status(ready)}), written, now)
        (condition,) = written["conditions"]
        found.append((condition["status"], condition["lastTransitionTime"][11:16], condition["message"]))
    assert found == [
        ("False", "12:00", "0 of 2 replicas of version 'one' are ready."),
        ("False", "12:00", "1 of 2 replicas of version 'one' are ready."),
        ("True", "12:02", ""),
        ("True", "12:02", ""),
        ("False", "12:04", "1 of 2 replicas of version 'one' are ready."),
    ]


@pytest.mark.parametrize("status", [None, {"state": "Nonsense"}, {"versions": 7}])
def test_a_status_that_somebody_has_written_wrongly_is_observed_again(status: Any) -> None:
    assert documents.observed({"status": status}) == EndpointStatus()


def test_each_change_is_reported_before_it_happens(tmp_path: Path) -> None:
    reported: list[tuple[str, Part, bool]] = []
    store: ClusterStore

    def changed(name: str, part: Part) -> None:
        reported.append((name, part, store.find(name) is not None))

    store = ClusterStore(tmp_path / "endpoints.db", changed)
    store.put(spec(), EndpointStatus(), None)
    store.put_status("iris", EndpointStatus(state=EndpointState.HEALTHY))
    store.put_keys("iris", Keys("first-key", "second-key"))
    store.mark_deleting("iris")
    store.remove("iris")
    assert reported == [
        ("iris", Part.WANTED, False),
        ("iris", Part.STATUS, True),
        ("iris", Part.WANTED, True),
        ("iris", Part.WANTED, True),
        ("iris", Part.PROGRESS, True),
    ]


def test_the_versions_of_a_later_operator_are_greater(tmp_path: Path) -> None:
    first = ClusterStore(tmp_path / "first.db", lambda name, part: None)
    known = first.put(spec(), EndpointStatus(), None).resource_version
    second = ClusterStore(tmp_path / "second.db", lambda name, part: None)
    second.restore("iris", first.rows("iris"))
    assert second.get("iris").resource_version >= known
