"""Rows of docs/faults.md on an attached cluster: damaged objects, hanging processes, wrong clocks, hostile input.

The cluster is real, as are operator, routers and replicas. All tests but those of new endpoints share one endpoint.
"""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mljupyter.client.errors import ControllerError
from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.objects.published import LISTENING_KEY, ROUTE_KEY
from mljupyter.kubernetes.objects.replicas import REPLICA_KEY
from mljupyter.kubernetes.operator.documents import STATE_KEY
from mljupyter.spec import Authentication, EndpointRecord, EndpointState
from tests.conformance.conftest import CLUSTER, Site, changed, score, script, until
from tests.fault_table import Fault
from tests.kubernetes.cluster import many_variables
from tests.kubernetes.test_cluster_faults import MANY, Cluster, loaded, put, settled
from tests.steady_load import REQUESTS_ON, SteadyLoad
from tests.system.faults.test_bursts import BURST_SECONDS, BUSY
from tests.system.faults.test_clocks import Clock, faketime_library
from tests.system.faults.test_fuzz import ANYTHING, METHODS, PATHS
from tests.system.targets import DOCKERFILE
from tests.system.test_scale_to_zero import may_sleep
from tests.system.test_tokens import forged, forged_tokens, key_in
from tests.waiting import COMMAND_SECONDS, HANG_SECONDS

pytestmark = pytest.mark.system
MERGE = "application/merge-patch+json"
GARBAGE = base64.b64encode(b"\xff\x00{" * 50).decode()
_LIBRARY = "/opt/libfaketime.so.1"
WITH_A_CLOCK = DOCKERFILE.replace(
    "COPY score.py",
    f"RUN pip install --quiet libfaketime && cp $(find / -name libfaketime.so.1 | head -1) {_LIBRARY}\nCOPY score.py",
)
CLOCK = {
    "LD_PRELOAD": _LIBRARY,
    "FAKETIME_TIMESTAMP_FILE": "/tmp/offset",
    "FAKETIME_CACHE_DURATION": "1",  # seconds; to read the file each time slows a replica down
    "FAKETIME_DONT_FAKE_MONOTONIC": "1",
}
HOUR = 3600
TELLS_TIME = script("one", run="if data == 'time': return time.time()")
SECOND = script("two")
GREEDY = script("one", run="if data == 'memory': return len(b'x' * (1 << 31))")


@pytest.fixture(scope="module", params=[CLUSTER])
def cluster(attached: Site) -> Cluster:
    return Cluster(attached)


@pytest.fixture(scope="module")
def endpoint(cluster: Cluster) -> Iterator[EndpointRecord]:
    """The endpoint that all tests share: two replicas, keys, and a clock that tests can set."""
    site = cluster.site
    name = f"e{next(site.numbers)}-endpoint"
    version = {**site.runs(TELLS_TIME, WITH_A_CLOCK), "limits": MANY, "scaling": {"replicas": 2}}
    version["environmentVariables"] = CLOCK
    yield site.healthy(site.spec(name, one=version).model_copy(update={"authentication": Authentication.KEY}))
    site.discard(name)


@pytest.fixture
def other(cluster: Cluster) -> Iterator[str]:
    """The name of another endpoint, which is deleted after the test."""
    name = f"e{next(cluster.site.numbers)}-endpoint"
    yield name
    cluster.site.discard(name)


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout


def running(container: str) -> bool:
    return container in docker("ps", "--quiet", "--no-trunc")


def read(secret: dict[str, Any], key: str) -> str:
    return base64.b64decode(secret["data"][key]).decode()


def secret(cluster: Cluster, name: str) -> str:
    """Return the path of a Secret."""
    return f"{names.secrets(cluster.namespace)}/{name}"


def write(cluster: Cluster, name: str, key: str, content: str) -> None:
    """Replace a value of a Secret, given in base64, as kubectl does."""
    cluster.api.call("PATCH", secret(cluster, name), {"data": {key: content}}, content_type=MERGE)


def route_damages(text: str) -> list[str]:
    """Return the document of a route with damages: no JSON, nothing, no route for Envoy, weights of zero."""
    document = json.loads(text)
    versions = [{**version, "weight": 0} for version in document["route"]["versions"]]
    found = [
        "{",
        "",
        json.dumps({**document, "version": "bad", "route": {**document["route"], "stickyHeader": "not a\nheader"}}),
        json.dumps({**document, "version": "zero", "route": {**document["route"], "versions": versions}}),
    ]
    return [base64.b64encode(one.encode()).decode() for one in found]


@pytest.mark.faults(20, "published route: no JSON, empty, refused by Envoy, weights of zero")
def test_a_damaged_route_is_published_again_and_costs_no_request(
    cluster: Cluster, endpoint: EndpointRecord, fault: Fault
) -> None:
    name = names.route_secret(endpoint.spec.name)
    before = cluster.api.get(secret(cluster, name))

    def act() -> None:
        for damage in route_damages(read(before, ROUTE_KEY)):
            write(cluster, name, ROUTE_KEY, damage)
            until(lambda: cluster.api.get(secret(cluster, name))["data"] == before["data"], "it is published again")

    loaded(cluster, endpoint, fault, act, note="all four")


@pytest.mark.faults(33, "Secrets of operator and routers garbage, and the status of the endpoint")
def test_secrets_that_are_damaged_under_an_operator_that_runs_are_stored_again(
    cluster: Cluster, endpoint: EndpointRecord, fault: Fault
) -> None:
    name = endpoint.spec.name
    resource = f"{names.mlendpoints(cluster.namespace)}/{name}"
    labels = names.selector(component=names.COMPONENT_REPLICA, endpoint=name)
    (revision,) = cluster.api.items(names.secrets(cluster.namespace), labels=labels)
    damages = (
        (revision["metadata"]["name"], REPLICA_KEY),
        (names.state_secret(name), STATE_KEY),
        (names.route_secret(name), ROUTE_KEY),
        (names.LISTENING_SECRET, LISTENING_KEY),
        (names.KEYS_SECRET, "replica-key"),
        (names.KEYS_SECRET, "settings.json"),
    )
    keys = cluster.site.client.keys(name)
    before = {one: cluster.api.get(secret(cluster, one))["data"] for one, _ in damages}

    def act() -> None:
        for one, key in damages:
            write(cluster, one, key, GARBAGE)
        status = {"status": {"state": "Failed", "versions": {}, "scoringUri": "http://nowhere"}}
        cluster.api.call("PATCH", f"{resource}/status", status, content_type=MERGE)
        for one in before:
            until(lambda one=one: cluster.api.get(secret(cluster, one))["data"] == before[one], f"{one} is as before")

    loaded(cluster, endpoint, fault, act)
    assert cluster.site.client.keys(name) == keys


@contextlib.contextmanager
def without_operator(cluster: Cluster) -> Iterator[None]:
    cluster.change(names.COMPONENT_OPERATOR, {"replicas": 0})
    path, labels = names.pods(cluster.namespace), names.selector(component=names.COMPONENT_OPERATOR)
    until(lambda: not cluster.api.items(path, labels=labels), "the operator has ended")
    try:
        yield
    finally:
        cluster.change(names.COMPONENT_OPERATOR, {"replicas": 1})


@pytest.mark.faults(9, "state of the endpoint and of the operator garbage, while no operator runs")
def test_an_operator_recovers_an_endpoint_whose_state_was_damaged(
    cluster: Cluster, endpoint: EndpointRecord, fault: Fault
) -> None:
    client, name = cluster.site.client, endpoint.spec.name
    keys, before, spec = client.keys(name), cluster.uids(endpoint=name), client.endpoint(name).spec

    def act() -> None:
        with without_operator(cluster):
            write(cluster, names.state_secret(name), STATE_KEY, GARBAGE)
            for key in ("replica-key", "settings.json", "token-keys.json"):
                write(cluster, names.KEYS_SECRET, key, GARBAGE)
        settled(cluster, name, 2)

    loaded(cluster, endpoint, fault, act)
    assert (client.keys(name), cluster.uids(endpoint=name)) == (keys, before)
    assert client.endpoint(name).spec == spec
    assert [entry.action for entry in client.history(name)] == ["recovered"]
    client.rotate_token_keys()  # type: ignore[attr-defined]  # the command that the message about token keys names


@contextlib.contextmanager
def no_more_secrets(cluster: Cluster) -> Iterator[None]:
    """Let the API server refuse each new Secret of the namespace, as with a full quota."""
    quotas = f"/api/v1/namespaces/{cluster.namespace}/resourcequotas"
    hard = {"count/secrets": "0"}  # those that are there stay
    cluster.api.create(quotas, {"metadata": {"name": "full"}, "spec": {"hard": hard}})
    try:
        until(lambda: cluster.api.get(f"{quotas}/full").get("status", {}).get("used"), "the quota is in force")
        yield
    finally:
        cluster.api.delete(f"{quotas}/full")


@pytest.mark.faults(8, "the API server stores no more: a full quota, an endpoint that is too large")
def test_what_cannot_be_stored_is_refused_with_the_reason_and_the_rest_serves_on(
    cluster: Cluster, endpoint: EndpointRecord, other: str, fault: Fault
) -> None:
    site, client, name = cluster.site, cluster.site.client, endpoint.spec.name
    path = f"{names.mlendpoints(cluster.namespace)}/{other}"
    version = {**site.runs(SECOND), "environmentVariables": many_variables()}

    def act() -> None:
        with pytest.raises(ControllerError, match=f"does not accept endpoint '{other}'"):
            client.create(site.spec(other, one=version, two={**version, "environmentVariables": many_variables()}))
        until(lambda: cluster.api.find(path) is None, "nothing is left of it")
        with no_more_secrets(cluster):
            with pytest.raises(ControllerError, match="exceeded quota"):
                client.create(site.spec(other))
            until(lambda: cluster.api.find(path) is None, "nothing is left of it")
            client.replace(changed(endpoint.spec, "one", environmentVariables={**CLOCK, "WHO": "quota"}))
            until(lambda: "quota full" in str(client.endpoint(name).status.problem), "the status says so")
        put(cluster, endpoint.spec)

    loaded(cluster, endpoint, fault, act, note="with the quota")


@pytest.fixture
def two_operators(cluster: Cluster) -> Iterator[None]:
    """Two operators instead of one."""
    cluster.change(names.COMPONENT_OPERATOR, {"replicas": 2})
    yield
    cluster.change(names.COMPONENT_OPERATOR, {"replicas": 1})


@pytest.mark.usefixtures("two_operators")
@pytest.mark.faults(19, "two operators, of which the leader hangs until the other one leads")
def test_an_operator_that_has_hung_changes_nothing_when_it_continues(
    cluster: Cluster, endpoint: EndpointRecord, fault: Fault
) -> None:
    client, name = cluster.site.client, endpoint.spec.name
    before = cluster.uids(endpoint=name)

    def leaders() -> list[str]:
        """Return the containers of the operators that the Service leads to."""
        found = cluster.pods(component=names.COMPONENT_OPERATOR)
        return [cluster.container(pod) for pod in found if names.LEADER_LABEL in pod["metadata"]["labels"]]

    def act() -> None:
        (container,) = leaders()
        docker("pause", container)
        try:
            until(lambda: leaders() and container not in leaders(), "the other one leads")
            wanted = put(cluster, endpoint.spec.model_copy(update={"description": "by the second"})).spec
            client.regenerate_key(name, "secondary")
            keys = client.keys(name)
        finally:  # on a slow machine, its node has ended it by now
            subprocess.run(["docker", "unpause", container], check=False, capture_output=True)
        until(lambda: not running(container), "it has ended, since it does not lead any more")
        assert (client.keys(name), client.endpoint(name).spec) == (keys, wanted)
        assert len(leaders()) == 1

    loaded(cluster, endpoint, fault, act)
    assert cluster.uids(endpoint=name) == before
    put(cluster, endpoint.spec)


@pytest.mark.faults(19, "Deployment without an endpoint")
def test_replicas_that_belong_to_no_endpoint_are_removed(
    cluster: Cluster, endpoint: EndpointRecord, fault: Fault
) -> None:
    path = f"/apis/apps/v1/namespaces/{cluster.namespace}/deployments"
    (present,) = cluster.api.items(path, labels=names.selector(endpoint=endpoint.spec.name))
    labels = names.replica_labels("nobody", "one", "r1")
    metadata = {
        "name": names.deployment_name("nobody", "one", "r1"),
        "labels": labels,
        "annotations": present["metadata"]["annotations"],
    }
    spec = {
        "replicas": 2,
        "selector": {"matchLabels": labels},
        "template": {**present["spec"]["template"], "metadata": {"labels": labels}},
    }

    def act() -> None:
        cluster.api.create(path, {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec})
        mine = names.selector(endpoint="nobody")
        until(lambda: not cluster.api.items(path, labels=mine), "the Deployment is gone")
        until(lambda: not cluster.pods(endpoint="nobody"), "its pods are gone")

    loaded(cluster, endpoint, fault, act)


def clock_files(cluster: Cluster, pods: list[dict[str, Any]]) -> list[Clock]:
    """Return the clocks of pods: files in their volumes, which the node has."""
    found = []
    for pod in pods:
        mounts = json.loads(docker("inspect", "--format", "{{json .Mounts}}", cluster.container(pod)))
        (tmp,) = (mount["Source"] for mount in mounts if mount["Destination"] == "/tmp")
        found.append(Clock(Path(tmp) / "offset"))
    return found


@pytest.fixture
def operator_with_a_clock(cluster: Cluster, tmp_path: Path) -> Iterator[None]:
    """An operator that goes by a clock of the tests."""
    container = cluster.api.get(cluster.deployment(names.COMPONENT_OPERATOR))["spec"]["template"]["spec"]["containers"][
        0
    ]
    (tmp_path / "libfaketime.so.1").write_bytes(faketime_library().read_bytes())
    (tmp_path / "Dockerfile").write_text(f"FROM {container['image']}\nCOPY libfaketime.so.1 {_LIBRARY}\n")
    image = docker("build", "--quiet", str(tmp_path)).strip()

    def use(image: str, variables: list[dict[str, str]]) -> None:
        one = {"name": container["name"], "image": image, "imagePullPolicy": "IfNotPresent", "env": variables}
        cluster.change(names.COMPONENT_OPERATOR, {"template": {"spec": {"containers": [one]}}})

    use(image, [{"name": name, "value": value} for name, value in CLOCK.items()])
    yield
    use(container["image"], [{"name": name, "$patch": "delete"} for name in CLOCK])


@pytest.mark.usefixtures("operator_with_a_clock")
@pytest.mark.faults(25, "clocks of operator and replicas jump by an hour, and by eight while all are paused")
def test_clocks_that_jump_cost_nothing(cluster: Cluster, endpoint: EndpointRecord, fault: Fault) -> None:
    client, name = cluster.site.client, endpoint.spec.name
    key = client.keys(name)[0]
    settled(cluster, name, 2)
    pods = [*cluster.pods(endpoint=name), *cluster.pods(component=names.COMPONENT_OPERATOR)]
    clocks, before = clock_files(cluster, pods), cluster.uids(endpoint=name)

    def jump(seconds: float) -> None:
        for clock in clocks:
            clock.jump(seconds)

    def told() -> float:
        return float(score(endpoint.status.scoring_uri, key, b"time").json()) - time.time()

    def act() -> None:
        for seconds in (HOUR, -HOUR):
            jump(seconds)
            until(lambda seconds=seconds: told() == pytest.approx(seconds, abs=60), "the replica's clock has jumped")
            client.regenerate_key(name, "secondary")
        paused = [cluster.container(pod) for pod in pods]
        docker("pause", *paused)
        jump(8 * HOUR)
        docker("unpause", *paused)
        until(lambda: told() == pytest.approx(8 * HOUR, abs=60), "it is eight hours later")
        client.regenerate_key(name, "secondary")
        jump(0)

    loaded(cluster, endpoint, fault, act, note="all three")
    assert cluster.uids(endpoint=name) == before
    assert not client.scaling_history(name)
    assert client.endpoint(name).status.state is EndpointState.HEALTHY


@pytest.mark.faults(22, "traffic divided by percentile")
@pytest.mark.faults(23, "mirror hangs, mirror killed")
def test_a_second_version_gets_its_share_and_as_a_mirror_slows_nobody(
    cluster: Cluster, endpoint: EndpointRecord, fault: Fault
) -> None:
    name = endpoint.spec.name
    key = cluster.site.client.keys(name)[0]
    two = {**cluster.site.runs(SECOND), "limits": MANY}

    def act() -> None:
        put(cluster, changed(endpoint.spec, "two", **two, trafficPercentile=30))
        with httpx.Client(headers={"authorization": f"Bearer {key}"}) as client:
            uri = str(endpoint.status.scoring_uri)
            counts = Counter(client.post(uri, content=b"x").json() for _ in range(200))
        assert counts["two"] / 2 == pytest.approx(30, abs=12)
        put(cluster, changed(endpoint.spec, "two", **two, mirrorPercentile=100))
        (mirror,) = cluster.pods(endpoint=name, version="two")
        docker("pause", cluster.container(mirror))
        with httpx.Client(headers={"authorization": f"Bearer {key}"}) as client:
            assert {client.post(uri, content=b"x").json() for _ in range(40)} == {"one"}
        docker("unpause", cluster.container(mirror))
        docker("kill", cluster.container(mirror))
        with httpx.Client(headers={"authorization": f"Bearer {key}"}) as client:
            assert {client.post(uri, content=b"x").json() for _ in range(40)} == {"one"}
        put(cluster, endpoint.spec)

    loaded(cluster, endpoint, fault, act)


@pytest.mark.faults(2, "router pod deleted while a request wakes a version that sleeps")
def test_a_request_to_a_router_that_leaves_still_wakes_a_version(cluster: Cluster, other: str, fault: Fault) -> None:
    site = cluster.site
    spec = site.spec(other, one={**site.runs(script("one")), "limits": MANY, "scaling": may_sleep()})
    uri = str(site.healthy(spec).status.scoring_uri)

    def asleep() -> bool:
        version = site.client.endpoint(other).status.versions["one"]
        return not version.replicas and not version.replicas_wanted

    with httpx.Client() as client:
        assert client.post(uri, content=b"x").status_code == 200
        until(asleep, "it sleeps")
        # A connection to the router that leaves; nobody is woken by what the router answers itself.
        assert client.get(str(httpx.URL(uri).join("/nothing"))).status_code == 404
        (router,) = cluster.pods(component=names.COMPONENT_ROUTER)
        cluster.delete(router)
        began = time.monotonic()
        answer = client.post(uri, content=b"x")
        fault.answered(1, answer.status_code != 200)
        fault.recovered(time.monotonic() - began, "until answered")
    assert answer.status_code == 200, answer.text


@pytest.mark.faults(5, "operator killed when a deploy is accepted, when its Deployment is there, when its pod is ready")
def test_an_operator_that_dies_during_a_deploy_leaves_what_serves_and_converges(
    cluster: Cluster, endpoint: EndpointRecord, fault: Fault
) -> None:
    client, name = cluster.site.client, endpoint.spec.name
    path = f"/apis/apps/v1/namespaces/{cluster.namespace}/deployments"
    took = []

    def deployments() -> int:
        return len(cluster.api.items(path, labels=names.selector(endpoint=name)))

    def act() -> None:
        for number in range(3):
            settled(cluster, name, 2)
            until(lambda: deployments() == 1, "the revision before is gone")
            ready = cluster.ready(endpoint=name)
            wanted = changed(endpoint.spec, "one", environmentVariables={**CLOCK, "WHO": str(number)})
            generation = client.replace(wanted).generation
            if number > 0:
                until(lambda: deployments() == 2, "its Deployment is there")
            if number > 1:
                until(lambda ready=ready: cluster.ready(endpoint=name) - ready, "a pod of it is ready")
            cluster.delete(cluster.pods(component=names.COMPONENT_OPERATOR)[0], grace=0)
            began = time.monotonic()
            until(
                lambda generation=generation: client.endpoint(name).status.observed_generation >= generation,
                "the next operator tells of it: until then, the status is that of the revision before",
            )
            settled(cluster, name, 2)
            took.append(time.monotonic() - began)
            assert client.endpoint(name).spec.versions["one"].environment_variables["WHO"] == str(number)
        put(cluster, endpoint.spec)
        until(lambda: deployments() == 1, "nothing is left behind")

    loaded(cluster, endpoint, fault, act)
    fault.recovered(max(took), "the longest")


DEPLOYS = """
import sys
from mljupyter.core import Workspace
from mljupyter.spec import EndpointSpec

site = Workspace.get(sys.argv[1]).context.target("kubernetes").endpoints()
site.create(EndpointSpec.parse(sys.argv[2]))
print("accepted", flush=True)
sys.stdin.read()
"""


@pytest.mark.faults(6, "kill -9 of the notebook's kernel while it deploys")
def test_an_endpoint_outlives_the_process_that_deployed_it(cluster: Cluster, other: str, fault: Fault) -> None:
    site = cluster.site
    spec = site.spec(other)
    arguments = [sys.executable, "-c", DEPLOYS, site.workspace.name, spec.json_text()]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as kernel:
        assert kernel.stdout is not None
        assert kernel.stdout.readline() == "accepted\n"
        kernel.kill()
        kernel.wait(COMMAND_SECONDS)
    record = site.settle(site.client.endpoint(other))
    began = time.monotonic()
    assert record.status.state is EndpointState.HEALTHY, record.status.problem
    answers = [score(record.status.scoring_uri).status_code for _ in range(20)]
    fault.answered(len(answers), len(answers) - answers.count(200))
    fault.recovered(time.monotonic() - began, "until found again")
    assert answers.count(200) == len(answers)


@pytest.mark.faults(7, "a request that needs more memory than its container may use")
def test_a_request_that_runs_out_of_memory_fails_alone(
    cluster: Cluster, endpoint: EndpointRecord, fault: Fault
) -> None:
    client, name = cluster.site.client, endpoint.spec.name
    key = client.keys(name)[0]
    greedy = {**cluster.site.runs(GREEDY), "limits": MANY}
    greedy["resources"] = {"cpu": 0.05, "memoryInGB": 0.2, "memoryInGBLimit": 0.3}

    def act() -> None:
        put(cluster, changed(endpoint.spec, "greedy", **greedy, trafficPercentile=50))
        statuses = {score(endpoint.status.scoring_uri, key, b"memory", version="greedy").status_code for _ in range(2)}
        assert statuses <= {500, 502, 503}
        until(lambda: score(endpoint.status.scoring_uri, key, version="greedy").status_code == 200, "it serves again")
        put(cluster, endpoint.spec)

    uri = str(endpoint.status.scoring_uri)
    header = "azureml-model-deployment: one"  # the other requests are not to wait for the replica that dies
    with SteadyLoad(uri, key=key, requests=REQUESTS_ON[CLUSTER], most=1_000_000, header=header) as load:
        fault.under(load)
        load.runs()
        began = time.monotonic()
        act()
        fault.recovered(time.monotonic() - began)
        load.runs()
    assert load.failed == 0, (load.results, load.failures)


@pytest.mark.faults(16, "tokens of another endpoint, key, time, algorithm")
def test_a_token_opens_its_endpoint_and_no_other_and_nothing_else_does(
    cluster: Cluster, other: str, fault: Fault
) -> None:
    site, client = cluster.site, cluster.site.client
    record = site.healthy(site.spec(other).model_copy(update={"authentication": Authentication.TOKEN}))
    token = client.token(other)["token"]
    assert score(record.status.scoring_uri, token).status_code == 200
    key, issuer = key_in(read(cluster.api.get(secret(cluster, names.KEYS_SECRET)), "token-keys.json"))
    refused = forged_tokens(token, key, issuer, aud=other)
    for case, bad in refused.items():
        assert score(record.status.scoring_uri, bad).status_code == 401, case
    assert score(record.status.scoring_uri, forged(key, issuer, aud="another")).status_code == 403
    fault.answered(len(refused) + 2)


@pytest.mark.faults(24, "load times fifty at once")
def test_in_a_burst_queues_stay_bounded_and_the_autoscaler_goes_up_only(
    cluster: Cluster, other: str, fault: Fault
) -> None:
    site = cluster.site
    limits = {"maxQueueWaitMs": 300, "maxQueueLength": 10}
    version = {**site.runs(BUSY), "limits": limits, "scaling": {"autoscale": {"maxReplicas": 3}}}
    uri = str(site.healthy(site.spec(other, one=version)).status.scoring_uri)
    with SteadyLoad(uri, clients=1, one_shot=0, requests=20, pause=0.2):
        began = time.time()
        with SteadyLoad(uri, clients=50, one_shot=10, requests=100, pause=0.01) as burst:
            fault.under(burst)
            refused = until(lambda: (answer := score(uri)).status_code != 200 and answer, "a request is refused")
            until(lambda: time.time() - began > BURST_SECONDS, "the burst is over")
            until(lambda: site.client.scaling_history(other), "the autoscaler has decided")
        sent = time.time()
        until(lambda: score(uri).status_code == 200, "it serves")
    assert refused.status_code in (429, 503)
    assert int(refused.headers["retry-after"]) >= 1
    assert set(burst.results) <= {"200", "429", "503"}, burst.results
    decisions = [item for item in site.client.scaling_history(other) if item.time.timestamp() < sent]
    assert decisions
    assert [item.after > item.before for item in decisions] == [True] * len(decisions), "no way back in between"
    fault.recovered(decisions[0].time.timestamp() - began, "until decided; refused requests get `Retry-After`")


@pytest.mark.faults(29, "any request to the operator's interface, any bytes as the body of a request")
def test_any_request_to_operator_and_replicas_is_answered_or_refused_with_a_reason(
    cluster: Cluster, endpoint: EndpointRecord, fault: Fault
) -> None:
    name = endpoint.spec.name
    before = cluster.uids(endpoint=name) | cluster.uids(component=names.COMPONENT_OPERATOR)
    headers = {"authorization": f"Bearer {cluster.site.client.keys(name)[0]}"}
    transport: Any = cluster.site.client._transport  # type: ignore[attr-defined]
    quick = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))

    @quick
    @given(METHODS, PATHS.filter(lambda path: path != "/v1/router"), st.text(max_size=12), ANYTHING)
    def ask(method: str, path: str, word: str, body: Any) -> None:
        fault.answered(1)
        try:
            transport.ask(method, path.format(quote(word, safe="")), body=body)
        except ControllerError as error:
            assert "Traceback" not in error.message

    @quick
    @given(st.binary(max_size=500), st.sampled_from(["application/json", "text/csv", "x", ""]))
    def send(body: bytes, content_type: str) -> None:
        answer = client.post(str(endpoint.status.scoring_uri), content=body, headers={"content-type": content_type})
        fault.answered(1, answer.status_code >= 500)
        assert answer.status_code in (200, 400, 415), (body, answer.text)

    ask()
    with httpx.Client(headers=headers, timeout=HANG_SECONDS) as client:
        send()
    (operator,) = cluster.pods(component=names.COMPONENT_OPERATOR)
    assert "Traceback" not in docker("logs", cluster.container(operator))
    assert cluster.uids(endpoint=name) | cluster.uids(component=names.COMPONENT_OPERATOR) == before
