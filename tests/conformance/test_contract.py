"""The rules that hold on every compute target; `tests.conformance` lists them."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import httpx
import pytest

from mljupyter.client import errors
from mljupyter.client.base import EndpointClient
from mljupyter.core import Webservice
from mljupyter.core.batch import Batch, Progress, score_batch
from mljupyter.spec import Authentication, EndpointKind, EndpointSpec, EndpointState, RolloutPhase, RolloutPlan
from mljupyter.targets.base import Needs, Target
from tests.conformance.conftest import CLUSTER, Site, changed, score, script, until
from tests.load import Load
from tests.waiting import HANG_SECONDS

pytestmark = pytest.mark.system
KEY, TOKEN = {"authentication": Authentication.KEY}, {"authentication": Authentication.TOKEN}
BROKEN = script("broken", init="raise ValueError('no such model')")
MANY = {"maxConcurrentRequests": 16, "maxQueueWaitMs": 20_000}
# The second piece comes after another request, so that a proxy that collects answers would never get it.
STREAMS = """
import threading, time
from azureml.contrib.services.aml_response import AMLResponse

gate = threading.Event()

def init(): pass

def pieces():
    yield "first"
    gate.wait(600)
    yield "last"

def endless():
    try:
        while True:
            yield "more"
            time.sleep(0.01)
    finally:
        print("the client has left")

def run(data):
    if data == "open":
        gate.set()
        return "open"
    if data == "cut":
        return AMLResponse((1 / (5 - number) and "piece" for number in range(9)), 200)
    return AMLResponse(endless() if data == "endless" else pieces(), 200)
"""


def two(site: Site, name: str, second: str = "v2", **fields: object) -> EndpointSpec:
    """Describe an endpoint with the versions ``v1``, which is the default, and ``v2``; each answers its name."""
    return site.spec(
        name,
        v1={**site.runs(script("v1")), "limits": MANY},
        v2={**site.runs(script("v2") if second == "v2" else second), "limits": MANY, **fields},
    )


def plan(*steps: int, every: float = 0.3, **fields: object) -> RolloutPlan:
    return RolloutPlan.parse({"version": "v2", "steps": list(steps), "everySeconds": every, **fields})


def answers(uri: str | None, count: int = 40) -> Counter[str]:
    with ThreadPoolExecutor(4) as pool:
        found = [answer.json() for answer in pool.map(lambda _: score(uri), range(count))]
    return Counter(answer if isinstance(answer, str) else "error" for answer in found)


def test_a_target_says_what_it_is_and_needs_and_whether_it_can_be_used(site: Site) -> None:
    target = site.workspace.context.target(site.name)
    assert isinstance(target, Target)
    assert target.name == site.name
    assert target.type
    assert target.about.endswith(".")
    assert target.needs in Needs
    assert target.availability() is None
    assert target.endpoints() is target.endpoints() is site.workspace.context.target(site.name).endpoints()


def test_a_new_endpoint_is_accepted_at_once_and_answers_requests_and_batches_when_it_is_healthy(
    site: Site, name: str
) -> None:
    spec = site.spec(name)
    record = site.client.create(spec)
    assert (record.spec, record.generation, record.status.state) == (spec, 1, EndpointState.TRANSITIONING)
    record = site.settle(record)
    assert record.status.state is EndpointState.HEALTHY
    assert (record.status.replicas, record.status.default_version) == ("1/1", "one")
    assert record.status.versions["one"].weight == 100
    uri = record.status.scoring_uri
    assert uri is not None
    assert uri.endswith(f"/api/v1/service/{name}/score")
    assert score(uri).json() == "one"
    assert httpx.get(uri.removesuffix("score")).text == "Healthy"
    assert httpx.get(str(record.status.swagger_uri)).json()["swagger"] == "2.0"
    check_batches(Webservice(site.workspace, name))


def check_batches(service: Webservice) -> None:
    """Score rows in parts: an interrupted batch goes on from there, and a row that fails is named."""
    rows = ["bad" if number == 33 else number for number in range(60)]

    def stop(progress: Progress) -> None:
        if progress.done >= 20:
            raise KeyboardInterrupt

    batch = Batch(service, rows, batch_rows=10, on_progress=stop)
    with pytest.raises(KeyboardInterrupt):
        batch.run()
    done = len(batch.result) - batch.result.missing
    assert 20 <= done < 60
    seen: list[Progress] = []
    result = score_batch(service, rows, batch_rows=10, on_progress=seen.append)
    assert seen[-1].kept >= 20
    assert list(result) == [None if row == "bad" else row for row in rows]
    assert [failed.place for failed in result.failed] == ["row 33"]


def test_a_local_web_service_answers_on_a_port_of_its_own_on_this_machine(site: Site, name: str) -> None:
    spec = site.spec(name).model_copy(update={"kind": EndpointKind.LOCAL})
    if site.name == CLUSTER:
        with pytest.raises(errors.InvalidSpecError, match="not this machine"):
            site.client.create(spec)
        return
    record = site.healthy(spec)
    assert record.status.scoring_uri == f"http://localhost:{record.spec.port}/score"
    assert score(record.status.scoring_uri).json() == "one"


def test_list_and_get_return_the_same_record(site: Site, name: str) -> None:
    record = site.healthy(site.spec(name))
    assert record in site.client.endpoints()
    assert site.client.endpoint(name) == record
    assert record in site.workspace.endpoints.endpoints()
    assert site.workspace.endpoints.endpoint(name) == record


@pytest.mark.parametrize(
    "operation",
    [
        lambda client, name: client.endpoint(name),
        lambda client, name: client.delete(name),
        lambda client, name: client.watch(name, 0, 1),
        lambda client, name: client.start_rollout(name, plan(50)),
        lambda client, name: client.control_rollout(name, "pause"),
        lambda client, name: client.promote(name, "one"),
        lambda client, name: client.rollback(name),
        lambda client, name: client.history(name),
        lambda client, name: client.keys(name),
        lambda client, name: client.regenerate_key(name, "primary"),
        lambda client, name: client.token(name),
        lambda client, name: client.logs(name),
        lambda client, name: next(iter(client.follow_logs(name))),
        lambda client, name: client.records(name),
        lambda client, name: client.metrics(name, since=60),
        lambda client, name: client.scaling_history(name),
    ],
)
def test_every_operation_on_an_unknown_endpoint_raises_endpoint_not_found(
    site: Site, operation: Callable[[EndpointClient, str], object]
) -> None:
    with pytest.raises(errors.EndpointNotFoundError, match=r"WebserviceNotFound: There is no endpoint 'nowhere'"):
        operation(site.client, "nowhere")


def test_an_unknown_endpoint_is_named_with_the_nearest_one(site: Site, name: str) -> None:
    spec = site.spec(name)
    site.client.create(spec)
    with pytest.raises(errors.EndpointNotFoundError, match=f"no endpoint '{name}s'.*'{name}'"):
        site.client.endpoint(f"{name}s")
    with pytest.raises(errors.EndpointNotFoundError, match=f"no endpoint '{name}s'"):
        site.client.replace(spec.model_copy(update={"name": f"{name}s"}))


def test_a_name_is_taken_once_and_overwritten_on_request_with_the_same_keys(site: Site, name: str) -> None:
    spec = site.spec(name).model_copy(update=KEY)
    record = site.healthy(spec)
    keys = site.client.keys(name)
    with pytest.raises(errors.EndpointExistsError, match="overwrite=True"):
        site.client.create(spec)
    with pytest.raises(errors.EndpointChangedError):
        site.client.create(spec, overwrite=True, generation=record.generation + 1)
    assert site.client.endpoint(name) == record
    other = site.spec(name, two=site.runs(script("two"))).model_copy(update=KEY)
    new = site.settle(site.client.create(other, overwrite=True, generation=record.generation))
    assert new.generation == record.generation + 1
    assert site.client.keys(name) == keys
    assert score(new.status.scoring_uri, keys[0]).json() == "two"


def test_a_change_is_in_force_when_the_state_tells_of_its_generation_and_loses_no_request(
    site: Site, name: str
) -> None:
    record = site.healthy(site.spec(name, one={**site.runs(script("one")), "limits": MANY}))
    with Load(str(record.status.scoring_uri)) as load:
        until(lambda: load.sent > 20, "the load runs")
        after = changed(record.spec, "one", **site.runs(script("new")))
        accepted = site.client.replace(after, generation=record.generation)
        assert (accepted.spec, accepted.generation) == (after, record.generation + 1)
        settled = site.settle(accepted)
        assert answers(settled.status.scoring_uri) == {"new": 40}
    assert load.failed == 0, load.results


def test_a_change_that_was_made_from_another_generation_is_refused(site: Site, name: str) -> None:
    record = site.healthy(site.spec(name))
    first = record.spec.model_copy(update={"description": "first"})
    site.settle(site.client.replace(first, generation=record.generation))
    with pytest.raises(errors.EndpointChangedError, match="Read it again"):
        site.client.replace(record.spec.model_copy(update={"description": "second"}), generation=record.generation)
    found = site.client.endpoint(name)
    assert (found.spec, found.generation) == (first, record.generation + 1)


def test_a_change_that_cannot_start_fails_with_the_log_and_leaves_the_former_replicas_serving(
    site: Site, name: str
) -> None:
    record = site.healthy(site.spec(name))
    failed = site.settle(site.client.replace(changed(record.spec, "one", **site.runs(BROKEN))))
    assert failed.status.state is EndpointState.FAILED
    assert failed.status.problem is not None
    assert "no such model" in "\n".join(failed.status.problem.last_lines)
    assert score(failed.status.scoring_uri).json() == "one"
    healed = site.settle(site.client.replace(record.spec))
    assert (healed.status.state, healed.status.problem) == (EndpointState.HEALTHY, None)


def test_a_new_endpoint_that_cannot_start_fails_with_the_log(site: Site, name: str) -> None:
    failed = site.settle(site.client.create(site.spec(name, one=site.runs(BROKEN))))
    assert failed.status.state is EndpointState.FAILED
    assert failed.status.versions["one"].state is EndpointState.FAILED
    assert "no such model" in failed.status.problem.text()
    assert "no such model" in site.client.logs(name)


def test_a_spec_for_an_unknown_target_is_refused(site: Site, name: str) -> None:
    spec = site.spec(name).model_copy(update={"compute_target": "nowhere"})
    with pytest.raises(errors.InvalidSpecError, match="nowhere"):
        site.client.create(spec)
    with pytest.raises(errors.EndpointNotFoundError):
        site.client.endpoint(name)


def test_watch_returns_on_a_change_or_after_its_timeout(site: Site, name: str) -> None:
    record = site.healthy(site.spec(name))
    began = time.monotonic()
    assert site.client.watch(name, record.resource_version, 0.3).spec == record.spec
    assert time.monotonic() - began >= 0.29
    changes: list[int] = []
    watcher = threading.Thread(
        target=lambda: changes.append(site.client.watch(name, record.resource_version, 60).resource_version)
    )
    watcher.start()
    site.client.replace(record.spec.model_copy(update={"description": "watched"}))
    watcher.join(HANG_SECONDS)
    assert changes
    assert changes[0] > record.resource_version


def test_changes_are_told_of_all_endpoints_once_each_and_of_their_removal(site: Site, name: str) -> None:
    site.client.endpoints()  # starts a control plane that does not run, which to follow changes does not
    before = site.client.changes("", 0)
    assert before.whole
    site.healthy(site.spec(name))
    names: list[str] = []
    token = before.token
    while name not in names:
        found = site.client.changes(token, 5)
        assert not found.whole
        names += [record.spec.name for record in found.records]
        token = found.token
    record = site.client.endpoint(name)
    while (found := site.client.changes(token, 0.3)).token != token:  # until nothing changes any more
        token = found.token
    assert (found.records, found.removed) == ([], [])
    site.client.replace(record.spec.model_copy(update={"description": "changed"}))
    found = site.client.changes(token, HANG_SECONDS)
    assert [item.spec.description for item in found.records if item.spec.name == name] == ["changed"]
    site.client.delete(name)
    while name not in (found := site.client.changes(found.token, HANG_SECONDS)).removed:
        assert found.records, "nothing was told within the time limit"
    assert site.client.changes("of another source.3", HANG_SECONDS).whole


def test_after_a_deletion_nothing_answers_and_the_name_is_free(site: Site, name: str) -> None:
    record = site.healthy(site.spec(name))
    site.client.delete(name)
    assert name not in [item.spec.name for item in site.client.endpoints()]
    with pytest.raises(errors.EndpointNotFoundError):
        site.client.endpoint(name)
    with suppress(httpx.TransportError):  # where nothing listens any more
        assert score(record.status.scoring_uri).status_code == 404
    again = site.healthy(site.spec(name))
    assert again.generation == 1
    assert [entry.number for entry in site.client.history(name)] == [1]


def test_a_restart_replaces_all_replicas_and_loses_no_request(site: Site, name: str) -> None:
    record = site.healthy(site.spec(name, one={**site.runs(script("one")), "limits": MANY}))
    before = {replica.id for replica in record.status.versions["one"].replicas}
    with Load(str(record.status.scoring_uri)) as load:
        until(lambda: load.sent > 20, "the load runs")
        site.settle(site.client.replace(changed(record.spec, "one", reload=1)))
    assert load.failed == 0, load.results

    def replicas() -> set[str]:
        return {replica.id for replica in site.client.endpoint(name).status.versions["one"].replicas}

    until(lambda: replicas() and not before & replicas(), "all replicas are new")
    until(lambda: site.client.logs(name).count("init of one") == 2, "both logs are shown")


def test_logs_come_in_the_order_of_time_and_can_be_narrowed(site: Site, name: str) -> None:
    record = site.healthy(two(site, name))
    for number in range(4):
        score(record.status.scoring_uri, body=str(number).encode(), version="v2")
    until(lambda: site.client.logs(name).count(" got ") == 4, "all lines are written")
    text = site.client.logs(name)
    assert [line.rpartition(" ")[2] for line in text.splitlines() if " got " in line] == list("0123")
    assert "init of v1" in text
    assert "v1" not in site.client.logs(name, version="v2")
    assert site.client.logs(name, lines=1).endswith("v2 got 3\n")
    assert "init of v2" in site.client.logs(name, lines=5, version="v2", startup=True)


def test_followed_logs_have_old_and_new_lines_and_end_with_the_endpoint(site: Site, name: str) -> None:
    record = site.healthy(site.spec(name))
    score(record.status.scoring_uri, body=b"before")
    until(lambda: "got before" in site.client.logs(name), "the line is written")
    seen: list[str] = []

    def read() -> None:
        for line in site.client.follow_logs(name, lines=10):
            seen.append(line)  # noqa: PERF402 - each line is seen as it comes

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    until(lambda: any("got before" in line for line in seen), "the old line is read")
    score(record.status.scoring_uri, body=b"after")
    until(lambda: any("got after" in line for line in seen), "the new line is read")
    site.client.delete(name)
    reader.join(HANG_SECONDS)
    assert not reader.is_alive()
    assert all(line.endswith("\n") for line in seen)


def test_requests_are_recorded_if_app_insights_is_enabled(site: Site, name: str) -> None:
    record = site.healthy(site.spec(name, one={**site.runs(script("one")), "appInsightsEnabled": True}))
    for _ in range(3):
        score(record.status.scoring_uri)

    def requests() -> list[dict[str, object]]:
        return [item for item in site.client.records(name) if item["type"] == "request"]

    until(lambda: len(requests()) == 3, "all requests are recorded")
    assert all(item["resultCode"] == 200 and float(str(item["duration"])) >= 0 for item in requests())
    assert len(site.client.records(name, count=1)) == 1


def test_metrics_count_each_request_of_each_version(site: Site, name: str) -> None:
    record = site.healthy(two(site, name))
    for version in ("v1", "v2", "v2"):
        score(record.status.scoring_uri, version=version)

    def counted() -> dict[str, int]:
        summary = site.client.metrics(name, since=300)["summary"]
        return dict(zip(summary["version"], summary["requests"], strict=True))

    until(lambda: counted() == {"v1": 1, "v2": 2}, "all requests are counted")
    report = site.client.metrics(name, since=300, every=1)
    assert (report["endpoint"], report["every"]) == (name, 1)
    assert sum(report["versions"]["requests"]) == 3
    assert {len(column) for column in report["versions"].values()} == {len(report["versions"]["time"])}
    assert sum(site.client.metrics(name, since=300, merge=True)["summary"]["requests"]) == 3
    later = site.client.metrics(name, since=300, every=1, after=report["cursor"])
    assert all(moment >= report["cursor"] for moment in later["versions"]["time"])
    with pytest.raises(errors.InvalidSpecError):
        site.client.metrics(name, since=300, every=0)


def test_only_a_key_opens_an_endpoint_and_a_replaced_one_is_refused_at_once(site: Site, name: str) -> None:
    spec = site.spec(name).model_copy(update=KEY)
    uri = site.healthy(spec, primary_key="a-key-of-my-own").status.scoring_uri
    primary, secondary = site.client.keys(name)
    assert primary == "a-key-of-my-own"
    assert score(uri, primary).status_code == score(uri, secondary).status_code == 200
    assert score(uri).status_code == score(uri, "wrong").status_code == 401
    site.client.regenerate_key(name, "primary")
    assert score(uri, primary).status_code == 401
    assert score(uri, site.client.keys(name)[0]).status_code == 200
    site.client.regenerate_key(name, "secondary", "another-of-my-own")
    assert score(uri, secondary).status_code == 401
    assert score(uri, "another-of-my-own").status_code == 200
    assert primary not in repr(site.client.endpoint(name))


def check_open_inference(base: str, name: str, key: str) -> None:
    """Check that the Open Inference Protocol is answered beside `/score`: with a key only, by the replica's reason."""

    def ask(method: str, path: str, **headers: str) -> tuple[int, Any]:
        answer = httpx.request(method, base + path, headers=headers, timeout=HANG_SECONDS)
        return answer.status_code, answer.json() if answer.content else None

    authorised = {"authorization": f"Bearer {key}"}
    assert ask("GET", "v2/health/ready", **authorised)[0] == 200
    assert ask("GET", f"v2/models/{name}/ready", **authorised)[0] == 200
    status, body = ask("GET", f"v2/models/{name}")
    assert (status, list(body)) == (401, ["error"])
    status, body = ask("POST", f"v2/models/{name}/infer", **authorised)
    assert (status, list(body)) == (400, ["error"])
    assert "has no schema" in body["error"]


def test_answers_in_pieces_pass_the_router_one_by_one_and_the_interface_needs_no_key(site: Site, name: str) -> None:
    if site.name == "fake":
        return  # its replicas are functions of the test, without the scoring server
    limits = {**MANY, "scoringTimeoutMs": 30_000}
    spec = site.spec(name, one={**site.runs(STREAMS), "limits": limits}).model_copy(update=KEY)
    status = site.healthy(spec).status
    document = httpx.get(str(status.swagger_uri)).json()
    prefix = f"/api/v1/service/{name}"
    assert list(document["paths"]) == [f"{prefix}/", f"{prefix}/score", f"{prefix}/swagger.json"]
    assert (document["info"]["title"], document["info"]["version"], document["schemes"]) == (name, "1.0", ["http"])
    uri, key = str(status.scoring_uri), site.client.keys(name)[0]
    assert score(uri).status_code == 401
    check_open_inference(uri.removesuffix("score"), name, key)
    with httpx.Client(headers={"authorization": f"Bearer {key}"}, timeout=HANG_SECONDS) as client:
        with client.stream("POST", uri, content="go") as answer:
            pieces = answer.iter_raw()
            assert next(pieces) == b"first"
            assert score(uri, key, b"open").json() == "open"
            assert b"".join(pieces) == b"last"
        with (
            pytest.raises(httpx.RemoteProtocolError),
            client.stream("POST", uri, content="cut") as answer,
        ):
            answer.read()
        with client.stream("POST", uri, content="endless") as answer:
            assert next(answer.iter_raw()).startswith(b"more")
    until(lambda: "the client has left" in site.client.logs(name), "the end of the generator")
    assert Webservice(site.workspace, name).run("go") == "firstlast"


def test_a_key_against_the_rule_is_refused_without_being_shown(site: Site, name: str) -> None:
    spec = site.spec(name).model_copy(update=KEY)
    with pytest.raises(errors.InvalidSpecError, match="8 to 256 printable") as caught:
        site.client.create(spec, primary_key="se cret")
    assert "se cret" not in str(caught.value)
    site.healthy(spec)
    with pytest.raises(errors.InvalidSpecError, match="8 to 256 printable"):
        site.client.regenerate_key(name, "primary", "short")


def test_without_authentication_there_are_neither_keys_nor_tokens(site: Site, name: str) -> None:
    site.healthy(site.spec(name))
    with pytest.raises(errors.KeysNotAvailableError, match="key authentication is off"):
        site.client.keys(name)
    with pytest.raises(errors.KeysNotAvailableError):
        site.client.regenerate_key(name, "primary")
    with pytest.raises(errors.TokensNotAvailableError, match="no token authentication"):
        site.client.token(name)


def test_a_token_opens_an_endpoint_and_says_when_it_ends(site: Site, name: str) -> None:
    uri = site.healthy(site.spec(name).model_copy(update=TOKEN)).status.scoring_uri
    token = site.client.token(name, "somebody")
    assert time.time() < token["refreshAfter"] < token["expires"]
    assert score(uri, token["token"]).status_code == 200
    assert score(uri).status_code == score(uri, token["token"][:-5] + "wrong").status_code == 401


def test_requests_are_divided_by_percentiles_unless_they_name_a_version(site: Site, name: str) -> None:
    record = site.healthy(two(site, name))
    uri = record.status.scoring_uri
    assert answers(uri) == {"v1": 40}
    assert score(uri, version="v2").json() == "v2"
    record = site.settle(site.client.replace(changed(record.spec, "v2", trafficPercentile=50)))
    assert {version: status.weight for version, status in record.status.versions.items()} == {"v1": 50, "v2": 50}
    assert 20 <= answers(uri, 100)["v2"] <= 80


def test_a_rollout_raises_the_share_step_by_step_and_promotes(site: Site, name: str) -> None:
    record = site.healthy(two(site, name))
    with Load(str(record.status.scoring_uri)) as load:
        started = site.client.start_rollout(
            name, plan(10, 60, 100, every=2, guard="errors<5%", leastRequests=10, promote=True)
        )
        assert (started.rollout.phase, started.rollout.share) == (RolloutPhase.RUNNING, 10)
        shares = [started.rollout.share]
        while (record := site.client.watch(name, record.resource_version, 5)).rollout.active:
            shares.append(record.rollout.share)
        until(lambda: set(answers(record.status.scoring_uri)) == {"v2"}, "the new version has all requests")
    assert load.failed == 0, load.results
    assert sorted(set(shares)) == [10, 60, 100]
    assert shares == sorted(shares)
    record = site.client.endpoint(name)
    assert (record.rollout.phase, record.spec.default_version) == (RolloutPhase.COMPLETED, "v2")
    assert site.client.history(name)[-1].spec == record.spec


def test_a_rollout_goes_back_when_its_guard_is_broken(site: Site, name: str) -> None:
    record = site.healthy(two(site, name, script("bad", run="raise ValueError('it always fails')")))
    with Load(str(record.status.scoring_uri)):
        site.client.start_rollout(name, plan(50, 100, every=600, guard="errors<10%", leastRequests=10))
        until(lambda: not site.client.endpoint(name).rollout.active, "the rollout ends")
    found = site.client.endpoint(name)
    assert found.rollout.phase is RolloutPhase.RETURNED
    assert "the guard is errors<10%" in found.rollout.reason
    assert (found.spec, found.generation) == (record.spec, record.generation)
    until(lambda: answers(found.status.scoring_uri) == {"v1": 40}, "requests are divided as before")


def test_a_rollout_is_paused_resumed_and_aborted_and_refuses_changes_meanwhile(site: Site, name: str) -> None:
    record = site.healthy(two(site, name))
    site.client.start_rollout(name, plan(20, 80, every=600))
    assert site.client.control_rollout(name, "pause").rollout.phase is RolloutPhase.PAUSED
    with pytest.raises(errors.RolloutRefusedError):
        site.client.control_rollout(name, "pause")
    for change in (
        lambda: site.client.start_rollout(name, plan(50)),
        lambda: site.client.promote(name, "v2"),
        lambda: site.client.replace(changed(record.spec, "v2", trafficPercentile=30)),
    ):
        with pytest.raises(errors.RolloutInProgressError):
            change()
    assert site.client.control_rollout(name, "resume").rollout.phase is RolloutPhase.RUNNING
    assert site.client.control_rollout(name, "abort").rollout.phase is RolloutPhase.ABORTED
    with pytest.raises(errors.RolloutRefusedError):
        site.client.control_rollout(name, "abort")
    assert site.client.endpoint(name).spec == record.spec
    until(lambda: answers(record.status.scoring_uri) == {"v1": 40}, "requests are divided as before")


def test_a_rollout_that_cannot_be_made_is_refused(site: Site, name: str) -> None:
    site.healthy(two(site, name, trafficPercentile=40))
    with pytest.raises(errors.RolloutRefusedError, match="default version"):
        site.client.start_rollout(name, plan(50).model_copy(update={"version": "v1"}))
    with pytest.raises(errors.RolloutRefusedError, match="40 %"):
        site.client.start_rollout(name, plan(10, 100))
    with pytest.raises(errors.InvalidSpecError, match="no version 'ccc'"):
        site.client.start_rollout(name, plan(50).model_copy(update={"version": "ccc"}))
    with pytest.raises(errors.InvalidSpecError, match="no version 'ccc'"):
        site.client.promote(name, "ccc")


def test_a_promotion_is_a_change_and_a_rollback_is_one_too(site: Site, name: str) -> None:
    record = site.healthy(two(site, name))
    with pytest.raises(errors.RolloutRefusedError, match="no earlier state to roll back to"):
        site.client.rollback(name)
    promoted = site.settle(site.client.promote(name, "v2"))
    assert (promoted.spec.default_version, promoted.generation) == ("v2", record.generation + 1)
    assert answers(promoted.status.scoring_uri) == {"v2": 40}
    with pytest.raises(errors.EndpointChangedError):
        site.client.rollback(name, generation=record.generation)
    with pytest.raises(errors.InvalidSpecError, match="no entry 7"):
        site.client.rollback(name, 7)
    back = site.settle(site.client.rollback(name, generation=promoted.generation))
    assert back.spec == record.spec
    assert answers(back.status.scoring_uri) == {"v1": 40}
    history = site.client.history(name)
    assert [entry.action for entry in history] == ["created", "promoted v2", "rolled back to 1"]
    assert [entry.number for entry in history] == [1, 2, 3]
    assert history[-1].spec == record.spec


def test_decisions_on_the_number_of_replicas_are_kept_with_their_reason(site: Site, name: str) -> None:
    policy = {"minReplicas": 1, "maxReplicas": 2, "refreshSeconds": 1}
    slow = site.runs(script("slow", run="time.sleep(0.3)"))
    limits = {"maxQueueWaitMs": 20_000}
    record = site.healthy(site.spec(name, one={**slow, "scaling": {"autoscale": policy}, "limits": limits}))
    with Load(str(record.status.scoring_uri), clients=4, rate=None):
        until(lambda: site.client.endpoint(name).status.replicas == "2/2", "a second replica is ready")
    decisions = site.client.scaling_history(name)
    assert [(item.version, item.before, item.after) for item in decisions][:1] == [("one", 1, 2)]
    assert decisions[0].reason
    assert site.client.scaling_history(name, "other") == []
    assert site.client.scaling_history(name, most=1) == decisions[-1:]
