"""Web services against a control plane that is a list of records: no process, no socket."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd
import pytest

from mljupyter.client.errors import EndpointNotFoundError
from mljupyter.client.scorer import Answer
from mljupyter.core import AciWebservice, AksEndpoint, AksWebservice, LocalWebservice, Webservice, Workspace
from mljupyter.core.webservice.types import EncryptionProperties, VnetConfiguration
from mljupyter.deploy.content import VersionContent
from mljupyter.deploy.rollout import follow_rollout, told
from mljupyter.deploy.spec_builder import new_endpoint
from mljupyter.exceptions import WebserviceException
from mljupyter.spec import CodeReference, EndpointRecord

CODE = {"digest": "sha256:" + "0" * 64, "entryScript": "score.py"}


def record(kind: str = "AKS", versions: Iterable[str] = ("one",), **changes: Any) -> EndpointRecord:
    """A record of an endpoint; `changes` by key of the document."""
    names = list(versions)
    document = {
        "spec": {
            "name": "shown",
            "kind": kind,
            "defaultVersion": names[0],
            "versions": {name: {"code": CODE} for name in names},
            "authentication": "none" if kind == "LOCAL" else "key",
        },
        "status": {"scoringUri": "http://localhost:1/score", "observedGeneration": 1},
        "createdTime": "2026-01-01T00:00:00Z",
        "updatedTime": "2026-01-01T00:00:00Z",
        "generation": 1,
        "resourceVersion": 1,
    }
    return EndpointRecord.parse(document | changes)


def rollout(phase: str, step: int = 0, reason: str = "", requests: int = 0, **planned: Any) -> dict[str, Any]:
    plan = {"version": "two", "steps": [10, 100], "everySeconds": 1, **planned}
    times = {"stepTime": "2026-01-01T00:00:00Z", "startedTime": "2026-01-01T00:00:00Z"}
    return {"plan": plan, "phase": phase, "step": step, "reason": reason, "requests": requests, **times}


class Endpoints:
    """An endpoint client that hands out one record after the other, and counts the keys it was asked for."""

    def __init__(self, *records: EndpointRecord) -> None:
        self.records = list(records)
        self.asked_for_keys = 0

    def endpoint(self, name: str) -> EndpointRecord:
        if not self.records:
            raise EndpointNotFoundError(f"there is no endpoint {name!r}")
        return self.records.pop(0) if len(self.records) > 1 else self.records[0]

    def watch(self, name: str, after: int, wait: float) -> EndpointRecord:
        return self.endpoint(name)

    def keys(self, name: str) -> tuple[str, str]:
        self.asked_for_keys += 1
        return f"key-{self.asked_for_keys}", "other"


@pytest.fixture
def endpoints(workspace: Workspace) -> Endpoints:
    found = Endpoints(record())
    workspace.context.__dict__["endpoints"] = found
    return found


class Router:
    """The answers of a router, one after the other; keeps the requests."""

    def __init__(self, *answers: tuple[int, bytes]) -> None:
        self.answers = [Answer(status, body) for status, body in answers]
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.bodies: list[bytes] = []

    def post(self, uri: str, body: bytes, headers: dict[str, str], timeout: float) -> Answer:
        self.requests.append((uri, headers))
        self.bodies.append(body)
        return self.answers.pop(0)

    def get(self, uri: str, headers: dict[str, str], timeout: float) -> Answer:
        return self.post(uri, b"", headers, timeout)


def answering(service: Webservice, *answers: tuple[int, bytes]) -> Router:
    router = Router(*answers)
    service.__dict__["_scorer"] = router
    return router


def one_version(state: str, ready: str | None) -> EndpointRecord:
    """Return the record of the second generation; its only version is to have the revision ``new``."""
    version = {"state": state, "revision": "new", "readyRevision": ready}
    status = {"scoringUri": "http://localhost:1/score", "observedGeneration": 2, "versions": {"one": version}}
    return record("LOCAL", status={**status, "state": state}, generation=2, resourceVersion=2)


def test_a_request_waits_for_the_change_before_it_and_not_for_ever(
    workspace: Workspace, endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after = one_version("Transitioning", "old"), one_version("Healthy", "new")
    service = Webservice.from_record(workspace, before, replaced=True)
    router = answering(service, (200, b'"new"'), (200, b'"again"'))
    endpoints.records = [before]
    monkeypatch.setattr("mljupyter.core.webservice.webservice._CHANGE_SECONDS", 0.0)
    with pytest.raises(WebserviceException, match=r"still Transitioning after 0 s.*\n.*wait_for_deployment"):
        service.run("x")
    assert router.requests == []
    monkeypatch.undo()
    endpoints.records = [before, before, after]
    assert service.run("x") == "new"
    endpoints.records = []
    assert service.run("x") == "again", "the control plane is asked only once"


def test_a_change_that_has_failed_is_told_by_the_next_request_alone(workspace: Workspace, endpoints: Endpoints) -> None:
    failed = one_version("Failed", "old")
    service = Webservice.from_record(workspace, failed, replaced=True)
    answering(service, (200, b'"old"'))
    endpoints.records = [failed]
    with pytest.raises(WebserviceException, match="is Failed since its last change"):
        service.run("x")
    assert service.run("x") == "old"


@pytest.mark.parametrize(
    ("kind", "expected"), [("LOCAL", LocalWebservice), ("AKS", AksWebservice), ("AKSENDPOINT", AksEndpoint)]
)
def test_a_web_service_has_the_class_of_its_kind(
    workspace: Workspace, endpoints: Endpoints, kind: str, expected: type[Webservice]
) -> None:
    endpoints.records = [record(kind)]
    assert type(Webservice(workspace, "shown")) is expected
    assert type(Webservice.from_record(workspace, record(kind))) is expected


def test_another_class_than_that_of_the_kind_is_refused(workspace: Workspace, endpoints: Endpoints) -> None:
    with pytest.raises(WebserviceException, match="is of the class AksWebservice, not AksEndpoint"):
        AksEndpoint(workspace, "shown")


def test_a_web_service_that_does_not_exist_is_named(workspace: Workspace, endpoints: Endpoints) -> None:
    endpoints.records = []
    with pytest.raises(WebserviceException, match="no endpoint 'shown'"):
        Webservice(workspace, "shown")


def test_an_answer_is_decoded_and_text_stays_text(workspace: Workspace, endpoints: Endpoints) -> None:
    service = Webservice(workspace, "shown")
    answering(service, (200, b'{"sum": 3}'), (200, b"three"))
    assert service.run("{}") == {"sum": 3}
    assert service.run("{}") == "three"


def test_a_key_is_kept_until_it_is_refused(workspace: Workspace, endpoints: Endpoints) -> None:
    service = Webservice(workspace, "shown")
    router = answering(service, (200, b"1"), (200, b"2"), (401, b""), (200, b"3"))
    assert [service.run("{}") for _ in range(3)] == [1, 2, 3]
    sent = [headers["Authorization"] for _, headers in router.requests]
    assert sent == ["Bearer key-1", "Bearer key-1", "Bearer key-1", "Bearer key-2"]


def test_a_request_goes_to_the_new_address_after_tls_was_turned_on(workspace: Workspace, endpoints: Endpoints) -> None:
    service = Webservice(workspace, "shown")
    router = answering(service, (308, b""), (200, b"1"))
    endpoints.records = [record(status={"scoringUri": "https://localhost:1/score"})]
    assert service.run("{}") == 1
    assert [uri.partition(":")[0] for uri, _ in router.requests] == ["http", "https"]


DESCRIBED = {"scoringUri": "http://localhost:1/score", "swaggerUri": "http://localhost:1/swagger.json"}
OBJECTS = b'{"definitions": {"ServiceInput": {"properties": {"data": {"items": {"type": "object"}}}}}}'
TABLE = pd.DataFrame({"b": [2], "a": [1]})
BY_NAME, BY_PLACE = b'{"data": [{"b": 2, "a": 1}]}', b'{"data": [[2, 1]]}'


def test_a_table_is_sent_by_name_where_rows_are_objects_and_that_is_read_once_for_each_change(
    workspace: Workspace, endpoints: Endpoints
) -> None:
    endpoints.records = [record(status=DESCRIBED)]
    service = Webservice(workspace, "shown")
    router = answering(service, (200, OBJECTS), (200, b"1"), (200, b"1"), (404, b""), (200, b"1"), (200, b"1"))
    assert [service.run(TABLE), service.run(TABLE)] == [1, 1]
    endpoints.records = [record(status=DESCRIBED, generation=2)]
    service.update_deployment_state()
    assert [service.run(TABLE), service.run(TABLE)] == [1, 1]
    assert router.bodies == [b"", BY_NAME, BY_NAME, b"", BY_PLACE, BY_PLACE]


def test_a_table_is_not_sent_by_place_because_the_description_cannot_be_read_now(
    workspace: Workspace, endpoints: Endpoints
) -> None:
    endpoints.records = [record(status=DESCRIBED)]
    service = Webservice(workspace, "shown")
    router = answering(service, (503, b""), (308, b""), (200, OBJECTS), (200, b"1"))
    with pytest.raises(WebserviceException, match="status 503"):
        service.run(TABLE)
    assert service.run(TABLE) == 1
    assert router.bodies == [b"", b"", b"", BY_NAME]


def test_the_form_of_rows_is_that_after_the_change_before_the_request(
    workspace: Workspace, endpoints: Endpoints
) -> None:
    before, after = one_version("Transitioning", "old"), one_version("Healthy", "new")
    before, after = (
        one.model_copy(update={"status": one.status.model_copy(update={"swagger_uri": DESCRIBED["swaggerUri"]})})
        for one in (before, after)
    )
    service = Webservice.from_record(workspace, before, replaced=True)
    router = answering(service, (200, OBJECTS), (200, b"1"))
    endpoints.records = [before, after]
    assert service.run(TABLE) == 1
    assert not endpoints.records[1:], "the change has ended before the description is read"
    assert router.bodies == [b"", BY_NAME]


def test_another_status_is_raised_with_its_body(workspace: Workspace, endpoints: Endpoints) -> None:
    service = Webservice(workspace, "shown")
    answering(service, (500, b"division by zero"))
    with pytest.raises(WebserviceException, match="status 500: division by zero") as caught:
        service.run("{}")
    assert caught.value.status_code == 500


def test_a_version_is_asked_with_the_header_that_picks_it(workspace: Workspace, endpoints: Endpoints) -> None:
    endpoint = Webservice.from_record(workspace, record("AKSENDPOINT", ["one", "two"]))
    assert isinstance(endpoint, AksEndpoint)
    router = answering(endpoint, (200, b"1"))
    assert endpoint.versions["two"].run("{}") == 1
    with pytest.raises(KeyError, match="'shown' has no version 'too'. Did you mean 'two'. It has one, two"):
        endpoint.versions["too"]
    assert endpoint.versions.get("too") is None
    assert "two" in router.requests[0][1].values()


def test_a_version_has_attributes_of_its_own_and_no_operations_of_the_endpoint(
    workspace: Workspace, endpoints: Endpoints
) -> None:
    endpoint = Webservice.from_record(workspace, record("AKSENDPOINT", ["one", "two"]))
    assert isinstance(endpoint, AksEndpoint)
    version = endpoint.versions["two"]
    assert (version.name, version.is_default, version.scoring_uri) == ("two", False, endpoint.scoring_uri)
    # On a version these would act on the endpoint, or on an endpoint that has the version's name.
    assert not {"scale", "rollback", "get_keys", "restart", "add_tags"} & set(dir(version))


class TestFollowRollout:
    def follow(self, *records: EndpointRecord, timeout: float | None = None) -> tuple[EndpointRecord, list[str]]:
        lines: list[str] = []
        found = follow_rollout(Endpoints(*records), "shown", timeout=timeout, say=lines.append)  # type: ignore[arg-type]
        return found, lines

    def test_each_step_is_told_once_and_the_end_with_its_reason(self) -> None:
        both = ["one", "two"]
        records = [
            record("AKSENDPOINT", both, rollout=rollout("Running")),
            record("AKSENDPOINT", both, rollout=rollout("Running")),
            record("AKSENDPOINT", both, rollout=rollout("Paused")),
            record("AKSENDPOINT", both, rollout=rollout("Running", step=1)),
            record("AKSENDPOINT", both, rollout=rollout("Completed", step=1, reason="all steps are done")),
        ]
        found, lines = self.follow(*records)
        assert found is records[-1]
        assert lines == ["two: 10 %", "two: 10 % (paused)", "two: 100 %", "two: Completed at 100 %; all steps are done"]

    def guarded(self, phase: str, requests: int, step: int = 0, reason: str = "") -> EndpointRecord:
        state = rollout(phase, step, reason, requests, guard="p95<1s", leastRequests=200)
        return record("AKSENDPOINT", ["one", "two"], rollout=state)

    def test_a_rollout_that_needs_requests_says_so_at_once_then_how_many_came(self) -> None:
        counts = (0, 0, 12, 60, 199, 200)
        hints = "%invoke shown:two DATA, endpoint.versions['two'].run(DATA), mljupyter endpoint invoke shown DATA"
        records = [*(self.guarded("Running", count) for count in counts), self.guarded("Completed", 200, step=1)]
        _, lines = self.follow(*records)
        assert lines == [
            "two: 10 %",
            f"  step 1 of 2: 0 of 200 requests for the guard. Send some: {hints}",
            "  step 1 of 2: 60 of 200 requests for the guard",
            "  step 1 of 2: 199 of 200 requests for the guard",
            "two: Completed at 100 %",
        ]

    def test_requests_that_do_not_count_for_the_guard_are_not_told_as_enough(self) -> None:
        waits = self.guarded("Running", 250, reason="waits for 200 requests to judge")
        _, lines = self.follow(waits, waits, self.guarded("Completed", 450, step=1))
        assert lines[1:-1] == ["  step 1 of 2: 250 of 200 requests for the guard; waits for 200 requests to judge"]

    def test_each_step_counts_from_zero(self) -> None:
        first, second = self.guarded("Running", 0), self.guarded("Running", 0, step=1)
        _, lines = self.follow(first, second, self.guarded("Completed", 200, step=1))
        assert lines[2:4] == ["two: 100 %", "  step 2 of 2: 0 of 200 requests for the guard"]

    @pytest.mark.parametrize("phase", ["Aborted", "Returned"])
    def test_a_rollout_that_did_not_succeed_ends_with_the_resulting_shares(self, phase: str) -> None:
        _, lines = self.follow(record("AKSENDPOINT", ["one", "two"], rollout=rollout(phase, reason="why")))
        assert lines == [f"two: {phase} at 10 %; why\nShares now: one 100 %, two 0 %"]

    def test_the_state_of_a_rollout_has_the_shares_once_it_has_ended(self) -> None:
        both = ["one", "two"]
        assert told(record("AKSENDPOINT", both)) == ""
        assert told(record("AKSENDPOINT", both, rollout=rollout("Running"))).count("\n") == 0
        ended = told(record("AKSENDPOINT", both, rollout=rollout("Aborted")))
        assert ended == "two Aborted: 10 % (step 1 of 2), 0 requests\nShares now: one 100 %, two 0 %"

    def test_a_value_is_not_shown_before_a_request_has_told_it(self) -> None:
        state = self.guarded("Running", 0).rollout
        assert state is not None
        assert state.text() == "two Running: 10 % (step 1 of 2), 0 requests, p95 -"
        earlier = state.model_copy(update={"values": {"p95": 0.0}})  # by a control plane of an earlier release
        assert earlier.text() == state.text()
        seen = state.model_copy(update={"values": {"p95": 12.0}, "requests": 1})
        assert seen.text() == "two Running: 10 % (step 1 of 2), 1 requests, p95 12ms"

    def test_it_waits_until_the_router_has_taken_the_share_back(self) -> None:
        both = ["one", "two"]
        status = {"versions": {"one": {}, "two": {"weight": 10}}}
        still = record("AKSENDPOINT", both, rollout=rollout("Returned"), status=status)
        taken_back = record(
            "AKSENDPOINT", both, rollout=rollout("Returned"), status={"versions": {"one": {}, "two": {}}}
        )
        found, _ = self.follow(still, still, taken_back)
        assert found is taken_back

    def test_without_a_rollout_there_is_nothing_to_wait_for(self) -> None:
        present = record("AKSENDPOINT")
        assert self.follow(present) == (present, [])

    def test_the_rollout_goes_on_when_the_time_is_up(self) -> None:
        running = record("AKSENDPOINT", ["one", "two"], rollout=rollout("Running"))
        with pytest.raises(WebserviceException, match=r"has not ended after 0 s: two Running: 10 %"):
            self.follow(running, timeout=0)


def test_arguments_of_azure_are_kept_and_shown_without_effect(workspace: Workspace) -> None:
    given = {"location": "eastus", "vnet_name": "net", "subnet_name": "sub", "cmk_vault_base_url": "https://v"}
    configuration = AciWebservice.deploy_configuration(**given, cmk_key_name="k", cmk_key_version="1")
    spec = new_endpoint("shown", configuration, VersionContent(code=CodeReference.parse(CODE)))
    assert spec.properties["azure.location"] == "eastus"
    service = Webservice.from_record(workspace, record("ACI", spec=spec.document()))
    assert isinstance(service, AciWebservice)
    assert (service.location, service.dns_name_label) == ("eastus", None)
    assert service.vnet_configuration == VnetConfiguration("net", "sub")
    document = {"vaultBaseUrl": "https://v", "keyName": "k", "keyVersion": "1"}
    assert service.encryption_properties == EncryptionProperties.deserialize(document)
    assert service.serialize()["encryptionProperties"] == document


@pytest.mark.parametrize("kind", ["aci", "AKSENDPOINT", "MIR", None])
def test_web_services_are_listed_by_a_kind_of_the_sdk(workspace: Workspace, kind: str | None) -> None:
    assert Webservice.list(workspace, compute_type=kind) == []


def test_an_unknown_kind_is_not_an_empty_list(workspace: Workspace) -> None:
    with pytest.raises(WebserviceException, match="compute_type is 'ACS': it must be one of ACI, AKS, AKSENDPOINT"):
        Webservice.list(workspace, compute_type="ACS")
