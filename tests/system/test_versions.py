"""Versions behind an endpoint, through real sockets: who gets which share, while versions come, go, change and die."""

from __future__ import annotations

import http.client
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from mljupyter.client.errors import EndpointBusyError, EndpointChangedError
from mljupyter.spec import EndpointSpec, EndpointState
from tests.load import Load
from tests.system.conftest import Machine
from tests.system.targets import Target
from tests.waiting import HANG_SECONDS, wait_until

pytestmark = pytest.mark.system
SHARES_MACHINE = True
WHO = """
    import os

    def init():
        pass

    def run(data):
        return os.environ["WHO"]
    """
SLOW = WHO.replace("return", "import time; time.sleep(0.01); return")
BROKEN = "def init(): raise ValueError('no such model')\ndef run(data): return 1"
MANY = {"maxConcurrentRequests": 16, "maxQueueWaitMs": 20_000}
HEADER = "azureml-model-deployment"
ONE_TARGET = pytest.mark.parametrize("target", ["local"], indirect=True)  # where the router alone decides


def endpoint(target: Target, percentiles: Mapping[str, int], **fields: object) -> EndpointSpec:
    """Describe an endpoint with these versions, the first of which is the default; each answers with its name."""
    runs = target.runs(WHO)
    versions = {name: version(name, runs, trafficPercentile=share) for name, share in percentiles.items()}
    return EndpointSpec.parse(
        {
            "name": "shared",
            "kind": "AKSENDPOINT",
            "computeTarget": target.name,
            "defaultVersion": next(iter(percentiles)),
            "versions": versions,
        }
        | fields
    )


def version(name: str, runs: Mapping[str, object], **fields: object) -> dict[str, object]:
    return {
        **runs,
        "environmentVariables": {"WHO": name},
        "limits": MANY,
        **fields,
    }


def changed(spec: EndpointSpec, name: str, **fields: object) -> EndpointSpec:
    document = spec.document()
    document["versions"].setdefault(name, {}).update(fields)
    return EndpointSpec.parse(document)


def without(spec: EndpointSpec, name: str) -> EndpointSpec:
    document = spec.document()
    del document["versions"][name]
    return EndpointSpec.parse(document)


def answers(
    uri: str,
    count: int,
    clients: int = 4,
    header: Callable[[int], dict[str, str]] | None = None,
    data: bytes = b"x",
) -> list[str]:
    """Send `count` requests over connections that are kept, and return the answers in any order.

    Raises:
        OSError: a request was not answered within HANG_SECONDS, or its connection was lost.

    """
    found: list[str] = []
    parts = urlsplit(uri)

    def send(first: int) -> None:
        connection = http.client.HTTPConnection(parts.netloc, timeout=HANG_SECONDS)
        for number in range(first, count, clients):
            connection.request("POST", parts.path, data, header(number) if header else {})
            response = connection.getresponse()
            body = response.read().decode()
            found.append(body.strip('"') if response.status == 200 else str(response.status))
        connection.close()

    with ThreadPoolExecutor(clients) as sending:
        list(sending.map(send, range(clients)))
    return found


def close(found: list[str], expected: Mapping[str, float], points: float) -> None:
    counts = {name: 100 * count / len(found) for name, count in Counter(found).items()}
    assert counts == pytest.approx(dict(expected), abs=points)


@pytest.mark.parametrize(
    ("target", "percentiles", "expected"),
    [
        ("local", {"aaa": 0, "bbb": 20, "ccc": 10}, {"aaa": 70, "bbb": 20, "ccc": 10}),
        ("docker", {"aaa": 0, "bbb": 20, "ccc": 10}, {"aaa": 70, "bbb": 20, "ccc": 10}),
        (
            "local",
            {"aaa": 10, "bbb": 5, "ccc": 10, "ddd": 15, "eee": 20, "fff": 30},
            {"aaa": 20, "bbb": 5, "ccc": 10, "ddd": 15, "eee": 20, "fff": 30},
        ),
    ],
    indirect=["target"],
)
@pytest.mark.faults(22, "traffic divided by percentile")
def test_requests_are_divided_by_percentile_and_the_rest_goes_to_the_default(
    machine: Machine, target: Target, percentiles: dict[str, int], expected: dict[str, int]
) -> None:
    record = machine.healthy(endpoint(target, percentiles))
    assert {name: status.weight for name, status in record.status.versions.items()} == expected
    found = answers(record.status.scoring_uri, target.measured)
    try:
        close(found, expected, target.points)
    except AssertionError:  # one sample of a few hundred is that far off by chance; one of four times the size is not
        more = answers(record.status.scoring_uri, 3 * target.measured)
        close([*found, *more], expected, target.points)


@ONE_TARGET
def test_a_faster_version_does_not_get_more_requests(machine: Machine, target: Target) -> None:
    spec = changed(endpoint(target, {"slow": 50, "fast": 50}), "slow", **target.runs(SLOW))
    record = machine.healthy(spec)
    close(answers(record.status.scoring_uri, 3000, clients=8), {"slow": 50, "fast": 50}, points=4)


def test_a_header_picks_a_version_whatever_its_percentile(machine: Machine, target: Target) -> None:
    record = machine.healthy(endpoint(target, {"aaa": 100, "bbb": 0}))
    assert set(answers(record.status.scoring_uri, 200)) == {"aaa"}
    assert set(answers(record.status.scoring_uri, 200, header=lambda _: {HEADER: "bbb"})) == {"bbb"}


@ONE_TARGET
def test_the_same_value_of_the_sticky_header_meets_the_same_version(machine: Machine, target: Target) -> None:
    spec = endpoint(target, {"aaa": 0, "bbb": 30}, stickyHeader="X-User-Id")
    uri = machine.healthy(spec).status.scoring_uri

    def met(users: int) -> list[str]:
        return [answers(uri, 1, 1, lambda _, user=user: {"x-user-id": f"user {user}"})[0] for user in range(users)]

    first = met(300)
    assert met(300) == first
    close(first, {"aaa": 70, "bbb": 30}, points=10)
    close(answers(uri, 2000), {"aaa": 70, "bbb": 30}, points=5)  # without the header: anywhere, by weight
    machine.settle(machine.client.replace(changed(spec, "bbb", trafficPercentile=60)))
    moved = met(300)
    assert all(after == "bbb" for before, after in zip(first, moved, strict=True) if before == "bbb")
    assert moved != first


def test_copies_reach_the_mirror_without_the_key_and_only_the_others_answer(machine: Machine, target: Target) -> None:
    counting = """
        def init(): pass
        def run(data, request_headers):
            print("copy", data, "authorization" in [name.lower() for name in request_headers])
            raise ValueError("nobody sees this")
        """

    def copies() -> Counter[str]:
        lines = machine.client.logs("shared", version="shadow", lines=100_000).splitlines()
        return Counter(line[line.index("copy") :].rstrip('"}') for line in lines if "copy" in line)

    spec = endpoint(target, {"aaa": 0, "shadow": 0}, authentication="key")
    spec = changed(spec, "shadow", **target.runs(counting), mirrorPercentile=50)
    record = machine.healthy(spec)
    key = {"authorization": f"Bearer {machine.client.keys('shared')[0]}"}
    assert set(answers(record.status.scoring_uri, 1000, header=lambda _: key)) == {"aaa"}
    wait_until(lambda: 400 < copies().total() < 600, "half of the requests are copied")
    assert set(copies()) == {"copy x False"}
    assert record.status.versions["shadow"].weight == 0


@ONE_TARGET
@pytest.mark.faults(23, "mirror hangs, mirror killed")
def test_a_mirror_that_hangs_or_is_gone_slows_nobody(machine: Machine, target: Target) -> None:
    spec = endpoint(target, {"aaa": 0, "shadow": 0})
    uri = machine.healthy(spec).status.scoring_uri
    before = machine.client.endpoint("shared")
    machine.settle(machine.client.replace(changed(spec, "shadow", mirrorPercentile=100)))
    target.signal(before, "shadow", signal.SIGSTOP)
    try:
        # The mirror answers nothing: a request that waits for it takes until the time limit of its client.
        assert set(answers(uri, 3000)) == {"aaa"}
    finally:
        target.signal(before, "shadow", signal.SIGKILL)
    assert set(answers(uri, 500)) == {"aaa"}  # from the moment the replica dies until another one is a mirror


def test_versions_come_go_and_change_their_share_under_load_without_a_lost_request(
    machine: Machine, target: Target
) -> None:
    spec = endpoint(target, {"aaa": 0})
    record = machine.healthy(spec)
    bbb = version("bbb", target.runs(WHO), trafficPercentile=50)
    with Load(record.status.scoring_uri) as load:
        for wanted in (
            changed(spec, "bbb", **bbb),
            changed(spec, "bbb", **{**bbb, "trafficPercentile": 100}),
            changed(spec, "bbb", **{**bbb, "trafficPercentile": 10}),
            spec,
            changed(changed(spec, "bbb", **bbb), "ccc", **{**bbb, "mirrorPercentile": 100, "trafficPercentile": 0}),
            changed(spec, "bbb", **bbb).model_copy(update={"default_version": "bbb"}),
            EndpointSpec.parse({**spec.document(), "defaultVersion": "bbb", "versions": {"bbb": bbb}}),
        ):
            sent = load.sent
            wait_until(lambda sent=sent: load.sent > sent + 100, "the load goes on")
            settled = machine.settle(machine.client.replace(wanted))
            assert settled.status.state is EndpointState.HEALTHY, settled.status.problem
    assert load.failed == 0, load.results
    assert set(answers(record.status.scoring_uri, 50)) == {"bbb"}
    wait_until(lambda: len(target.replicas()) == 1, "the replicas of the other versions are gone")


@ONE_TARGET
def test_requests_that_wait_for_a_version_that_is_deleted_are_answered_by_it(machine: Machine, target: Target) -> None:
    spec = endpoint(target, {"aaa": 0})
    record = machine.healthy(spec)
    one_by_one = {"maxConcurrentRequests": 1, "maxQueueWaitMs": 20_000}
    slow = target.runs(WHO.replace("return", "import time; time.sleep(0.3); return"))
    with_slow = changed(spec, "slow", **version("slow", slow, trafficPercentile=100, limits=one_by_one))
    for _ in range(3):
        machine.settle(machine.client.replace(with_slow))
        with Load(record.status.scoring_uri, clients=5) as load:
            wait_until(lambda load=load: load.sent > 5, "requests wait for the slow version")
            machine.settle(machine.client.replace(spec))
            sent = load.sent
            wait_until(lambda load=load, sent=sent: load.sent > sent + 100, "the other version answers")
        assert load.failed == 0, load.results
    wait_until(lambda: len(target.replicas()) == 1, "the replicas of the slow version are gone")


def test_a_version_that_cannot_start_gets_nothing_and_the_default_keeps_serving(
    machine: Machine, target: Target
) -> None:
    spec = endpoint(target, {"aaa": 0})
    uri = machine.healthy(spec).status.scoring_uri
    broken = version("bbb", target.runs(BROKEN), trafficPercentile=50)
    with Load(uri) as load:
        failed = machine.settle(machine.client.replace(changed(spec, "bbb", **broken)))
        assert failed.status.state is EndpointState.FAILED
        assert "no such model" in "\n".join(failed.status.versions["bbb"].problem.last_lines)
        also_default = changed(spec, "bbb", **broken).model_copy(update={"default_version": "bbb"})
        failed = machine.settle(machine.client.replace(also_default))
        wait_until(lambda sent=load.sent: load.sent > sent + 100, "the load goes on")
    assert load.failed == 0, load.results
    assert {name: item.weight for name, item in failed.status.versions.items()} == {"aaa": 100, "bbb": 0}
    assert failed.status.default_version == "aaa"
    healed = machine.settle(machine.client.replace(spec))
    assert healed.status.state is EndpointState.HEALTHY


def test_a_version_that_is_not_ready_yet_leaves_its_share_to_the_default(machine: Machine, target: Target) -> None:
    spec = endpoint(target, {"aaa": 0})
    uri = machine.healthy(spec).status.scoring_uri
    never_ready = target.runs("import time\ndef init(): time.sleep(600)\ndef run(data): return 1")
    machine.client.replace(changed(spec, "bbb", **version("bbb", never_ready, trafficPercentile=100)))
    assert set(answers(uri, 100)) == {"aaa"}
    ready = target.runs(WHO)
    machine.settle(machine.client.replace(changed(spec, "bbb", **version("bbb", ready, trafficPercentile=100))))
    assert set(answers(uri, 100)) == {"bbb"}


@ONE_TARGET
def test_more_than_six_versions_are_refused(machine: Machine, target: Target) -> None:
    spec = machine.healthy(endpoint(target, {"aaa": 0})).spec
    versions = {f"v-{number}": spec.versions["aaa"].document() for number in range(7)}
    document = {**spec.document(), "versions": versions, "defaultVersion": "v-0"}
    response = httpx.Client(
        transport=httpx.HTTPTransport(uds=str((machine.directory / "control" / "run").resolve() / "controller.sock"))
    ).put("http://controller/v1/endpoints/shared", json={"spec": document})
    assert response.status_code == 400
    assert "at most 6" in response.json()["message"]


@ONE_TARGET
def test_a_change_made_for_an_older_generation_is_refused(machine: Machine, target: Target) -> None:
    record = machine.healthy(endpoint(target, {"aaa": 0, "bbb": 10}))
    more, less = (changed(record.spec, "bbb", trafficPercentile=share) for share in (20, 5))
    accepted = machine.client.replace(more, generation=record.generation)
    with pytest.raises(
        EndpointChangedError, match=r"read at generation 1 and is at 2(.|\n)*repeat the change"
    ) as caught:
        machine.client.replace(less, generation=record.generation)
    assert isinstance(caught.value, EndpointBusyError)
    assert caught.value.status_code == 409
    assert machine.client.endpoint("shared").spec == accepted.spec == more
    assert machine.client.replace(less, generation=accepted.generation).spec == less


CHANGES = """
import multiprocessing, sys
from mljupyter.core import Webservice, Workspace  # imported once: it takes longer than what is tested

def change(number, together):
    service = Webservice(Workspace.get("crowd"), "shared")
    together.wait()
    for step in range(3):
        service.add_tags({f"{number}-{step}": "x"})

fork = multiprocessing.get_context("fork")
together = fork.Barrier(10)
crowd = [fork.Process(target=change, args=(number, together)) for number in range(10)]
for one in crowd:
    one.start()
for one in crowd:
    one.join()
print([one.exitcode for one in crowd])
"""


def test_of_ten_processes_that_change_an_endpoint_at_once_none_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mljupyter.core import AksEndpoint, InferenceConfig, Model, Workspace

    monkeypatch.setenv("MLJUPYTER_HOME", str(tmp_path))
    workspace = Workspace.create("crowd")
    script = tmp_path / "score.py"
    script.write_text("def init(): pass\ndef run(data): return 1")
    configuration = AksEndpoint.deploy_configuration(num_replicas=1)
    Model.deploy(workspace, "shared", [], InferenceConfig(str(script)), configuration)
    try:
        crowd = subprocess.run(
            [sys.executable, "-c", CHANGES], capture_output=True, text=True, timeout=HANG_SECONDS, check=True
        )
        assert crowd.stdout == f"{[0] * 10}\n", crowd.stderr
        service = workspace.webservices["shared"]
        assert sorted(service.tags) == sorted(f"{number}-{step}" for number in range(10) for step in range(3))
        service.wait_for_deployment(timeout_sec=HANG_SECONDS)
    finally:
        workspace.delete(delete_dependent_resources=True)
