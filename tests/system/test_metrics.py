"""Metrics of the real router and real replicas, as clients read them."""

from __future__ import annotations

import contextlib
import gzip
import os
import select
import signal
import socket
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from mljupyter.client.errors import InvalidSpecError, PortInUseError
from mljupyter.spec import Authentication, ConnectionLimits, EndpointKind, EndpointState, RouterSpec
from tests.fault_table import Fault
from tests.load import Load
from tests.ports import free_port
from tests.system.conftest import Machine
from tests.waiting import HANG_SECONDS, promised, wait_until

pytestmark = pytest.mark.system
SHARES_MACHINE = True

SLOW = """
    import time

    def init():
        pass

    def run(data):
        if "fail" in data:
            raise ValueError("as asked")
        if "tokens" in data:
            return tokens()
        time.sleep(0.1)
        return 1

    def tokens():
        time.sleep(0.1)
        yield "first"
        time.sleep(0.4)
        yield "second"
    """
Table = dict[str, list[Any]]


def read(machine: Machine, name: str, until: Callable[[Table], bool], **query: Any) -> Table:
    """Return the versions of a report as soon as it says what it should."""
    table: Table = {}

    def look() -> bool:
        nonlocal table
        table = machine.client.metrics(name, since=600, every=1, **query)["versions"]
        return until(table)

    try:
        wait_until(look, "the metrics say so")
    except AssertionError:
        raise AssertionError(f"{table}\n{machine.client.controller_log(20)}") from None
    return table


def sums(table: Table, version: str) -> dict[str, float]:
    """Return the sums of all counts of one version."""
    chosen = [position for position, name in enumerate(table["version"]) if name == version]
    names = ("requests", "client_errors", "server_errors", "refused", "timeouts", "resets", "retries", "mirrored")
    return {name: sum(table[name][position] for position in chosen) for name in names}


def denied(machine: Machine) -> float:
    """Return how many requests the router has refused since it started."""
    families = {family.name: family for family in text_string_to_metric_families(machine.client.exposition())}
    family = families.get("mljupyter_router_unauthorized_requests")
    return sum(float(sample.value) for sample in family.samples) if family else 0.0


def test_each_request_counts_once_in_its_version_and_class_with_its_latency(machine: Machine) -> None:
    limits = {"maxQueueWaitMs": 2000, "maxQueueLength": 100}
    spec = machine.spec("pair", SLOW, kind=EndpointKind.AKS_ENDPOINT, authentication=Authentication.KEY, limits=limits)
    other = spec.versions["pair"].model_copy(update={"traffic_percentile": 0})
    spec = spec.model_copy(update={"versions": {"pair": spec.versions["pair"], "other": other}})
    record = machine.healthy(spec)
    uri, key = record.status.scoring_uri, machine.client.keys("pair")[0]
    assert uri is not None
    each = 15  # six seconds: the levels are read once a second
    with Load(uri, key=key, clients=4, limit=each) as load:
        wait_until(lambda: load.sent == 4 * each)
    assert load.results == {"200": 4 * each}
    denied_before = denied(machine)
    headers = {"authorization": f"Bearer {key}"}
    with httpx.Client(headers=headers) as client:
        for _ in range(3):
            assert client.post(uri, content=b'"fail"', headers={"azureml-model-deployment": "other"}).status_code == 500
        assert client.get(uri.replace("/score", "/swagger.json") + "?version=9").status_code == 404
        streamed = {"azureml-model-deployment": "other", "accept": "text/event-stream"}
        assert client.post(uri, content=b'"tokens"', headers=streamed).text.startswith('data: "first"\n\n')
    assert httpx.post(uri, content=b"1").status_code == 401

    table = read(machine, "pair", lambda found: sum(found["requests"]) >= 4 * each + 6)
    clean = dict.fromkeys(("client_errors", "server_errors", "refused", "timeouts", "resets", "mirrored"), 0)
    first, second = sums(table, "pair"), sums(table, "other")
    assert first.pop("retries") >= 0
    assert first == {**clean, "requests": 4 * each + 2, "client_errors": 2}, "the router's 401 counts, too"
    assert second == {**clean, "requests": 4, "server_errors": 3, "retries": 0}

    def whole_stream() -> Any:
        """Return the summary when the run that streams has ended: its first piece is counted before."""
        found = machine.client.metrics("pair", since=600)["summary"]
        return found if found["run_mean_ms"][found["version"].index("other")] * 4 > 480 else None

    summary = wait_until(whole_stream, "the run that streams is counted")
    position = summary["version"].index("pair")
    slower = promised(1)  # times than an idle machine
    assert 95 <= summary["run_mean_ms"][position] <= 160 * slower
    # Four clients, one replica, 100 ms each: whoever comes waits for the other three.
    assert 150 <= summary["wait_mean_ms"][position] <= 600 * slower
    assert 300 <= summary["latency_p90_ms"][position] <= 900 * slower
    assert summary["traffic_observed"][position] == pytest.approx(100 * (4 * each + 2) / (4 * each + 6), rel=1e-3)
    assert (summary["streamed"][position], summary["first_byte_mean_ms"][position]) == (0, None)
    streaming = summary["version"].index("other")
    assert summary["streamed"][streaming] == 1
    first_byte = summary["first_byte_mean_ms"][streaming]
    # The first piece comes 400 ms before the end of run(), and later on a busy machine.
    assert 95 <= first_byte <= summary["run_mean_ms"][streaming] * 4 - 100, "the first piece, not the whole answer"
    assert summary["traffic_configured"] == [100 if name == "pair" else 0 for name in summary["version"]]
    rows = zip(table["version"], table["busy_mean"], table["seconds"], strict=True)
    worked = sum(busy * seconds for name, busy, seconds in rows if name == "pair" and busy is not None)
    assert 0.095 * 4 * each <= worked <= 0.16 * 4 * each * slower, "the share of the time that run() takes"
    assert max(table["running"]) == 1
    assert max(table["waiting"]) in (2, 3)
    # It was sent last: the next reading of the router has it.
    wait_until(lambda: denied(machine) > denied_before, "the request without a key is counted")
    assert denied(machine) == denied_before + 1


def test_metrics_survive_the_death_of_the_controller_with_at_most_two_seconds_missing(machine: Machine) -> None:
    uri = machine.healthy(machine.spec(limits={"maxConcurrentRequests": 2})).status.scoring_uri
    assert uri is not None
    with Load(uri, clients=2) as load:
        read(machine, "echo", lambda table: len(table["time"]) >= 3 and sum(table["requests"]) > 10)
        (pid,) = machine.controllers()
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not machine.controllers(), "the controller is gone")
        before = load.sent
        wait_until(lambda: load.sent > before + 100, "requests pass without a controller")
        machine.client.ensure()
        read(machine, "echo", lambda table: max(table["time"]) > time.time() - 2)
    assert load.failed == 0
    table = read(machine, "echo", lambda found: sum(found["requests"]) >= load.sent)
    assert sum(table["requests"]) == load.sent
    covered, wall = sum(table["seconds"]), table["time"][-1] + 1 - table["time"][0]
    assert wall - 2 <= covered <= wall + 2
    latencies = machine.client.metrics("echo", since=600)["summary"]["latency_mean_ms"][0]
    assert latencies is not None
    assert table["time"] == sorted(set(table["time"]))


ANSWERS = """
    import pathlib
    import time
    from azureml.contrib.services.aml_response import AMLResponse

    def init():
        pass

    def run(data):
        if data == "bad":
            return AMLResponse("no", 400)
        if data == "fail":
            raise ValueError("as asked")
        if data == "slow":
            time.sleep(0.4)
        if data == "stream":
            return AMLResponse(pieces(), 200)
        if data.startswith("held "):
            folder = pathlib.Path(data.removeprefix("held "))
            (folder / "begun").touch()
            until = time.monotonic() + 600
            while not (folder / "gone").exists() and time.monotonic() < until:
                time.sleep(0.01)
        return 1

    def pieces():
        for number in range(10):
            yield f"{number} "
            time.sleep(0.1)
    """


def by_class(statuses: Counter[int]) -> dict[str, int]:
    """Return the columns of the metrics for what clients have counted."""

    def of(first: int, last: int) -> int:
        return sum(number for status, number in statuses.items() if first <= status <= last)

    found = {"requests": statuses.total(), "client_errors": of(400, 499), "refused": of(503, 503)}
    return {**found, "timeouts": of(504, 504), "server_errors": of(500, 599) - of(503, 504)}


@pytest.mark.faults(2, "every kind of answer, while the router is replaced twice and the version updated")
def test_clients_and_metrics_count_the_same_answers_whoever_gives_them_and_while_routers_change(
    machine: Machine, fault: Fault, tmp_path: Path
) -> None:
    limits = {"maxBodyBytes": 5000, "maxQueueWaitMs": 100, "maxQueueLength": 1}
    kind, keys = EndpointKind.AKS_ENDPOINT, Authentication.KEY
    spec = machine.spec("all", ANSWERS, kind=kind, authentication=keys, limits=limits, scaling={"replicas": 2})
    uri = str(machine.healthy(spec).status.scoring_uri)
    counted: Counter[int] = Counter()
    lock = threading.Lock()
    headers = {"authorization": f"Bearer {machine.client.keys('all')[0]}"}

    def send(client: httpx.Client, *, content: bytes = b"ok", to: str = uri, **more: str) -> None:
        answer = client.post(to, content=content, headers={**headers, **more})
        with lock:
            counted[answer.status_code] += 1

    def every_kind() -> None:
        with httpx.Client(timeout=HANG_SECONDS) as client:
            for content in (b"bad", b"fail", b"x" * 6000):
                send(client, content=content)
            send(client, **{"content-encoding": "br"})
            send(client, **{"content-encoding": "gzip"}, content=gzip.compress(b" " * 100_000))
            send(client, authorization="Bearer wrong")
            send(client, to=uri.replace("/score", "/nothing"))
            send(client, to=uri.replace("/score", "/swagger.json"))
            slow = [threading.Thread(target=send, args=(client,), kwargs={"content": b"slow"}) for _ in range(8)]
            for thread in slow:
                thread.start()
            for thread in slow:
                thread.join()
        leave()

    def leave() -> None:
        """Send a request and go once it runs; one that is refused counts as every other."""
        folder = tmp_path / uuid.uuid4().hex
        folder.mkdir()
        body = f"held {folder}".encode()
        path = httpx.URL(uri).raw_path.decode()
        lines = [f"POST {path} HTTP/1.1", "host: localhost", f"content-length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        with socket.create_connection((httpx.URL(uri).host, httpx.URL(uri).port)) as client:
            client.sendall("\r\n".join([*lines, "", ""]).encode() + body)
            port = client.getsockname()[1]
            answered = wait_until(
                lambda: (folder / "begun").exists() or select.select([client], [], [], 0)[0], "it runs or is refused"
            )
            if answered is not True:
                with lock:
                    counted[int(client.recv(12).split()[1])] += 1
        wait_until(lambda: port not in ports_of_clients(), "the router knows that the client has gone")
        (folder / "gone").touch()

    def ports_of_clients() -> set[int]:
        """Return the ports of the connections that the routers have."""
        found: set[int] = set()
        for pid in machine.routers():
            with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended
                found |= {item.raddr.port for item in psutil.Process(pid).net_connections("tcp") if item.raddr}
        return found

    def steadily() -> None:
        with httpx.Client(timeout=HANG_SECONDS) as client:
            while not done.is_set():
                send(client)

    def stream() -> None:
        """Read an answer that its router gives while another one has taken over."""
        with httpx.Client(timeout=HANG_SECONDS) as client:
            send(client, content=b"stream")

    done = threading.Event()
    steady = threading.Thread(target=steadily)
    steady.start()
    try:
        every_kind()
        for _ in range(2):
            streaming = threading.Thread(target=stream)
            streaming.start()
            machine.client.replace_router()
            every_kind()
            streaming.join()
        other = machine.spec("all", ANSWERS + "\n    # other\n", kind=kind, authentication=keys, limits=limits)
        assert machine.settle(machine.client.replace(other)).status.state is EndpointState.HEALTHY
        every_kind()
        machine.client.put_router(RouterSpec(limits=ConnectionLimits(idle_seconds=100)))  # another logger counts
        every_kind()
    finally:
        done.set()
        steady.join()
    wait_until(lambda: len(machine.routers()) == 1, "the routers before have ended")
    assert {200, 400, 401, 404, 405, 413, 415, 500, 503} <= counted.keys(), counted
    table = read(machine, "all", lambda found: sum(found["requests"]) >= counted.total())
    newest = table["time"][-1]
    table = read(machine, "all", lambda found: found["time"][-1] >= newest + 2)
    sums_of = sums(table, "all")
    assert {name: sums_of[name] for name in by_class(counted)} == by_class(counted), counted
    fault.answered(counted.total(), 0)


def test_a_router_that_is_replaced_counts_on(machine: Machine) -> None:
    uri = machine.healthy(machine.spec()).status.scoring_uri
    assert uri is not None
    with Load(uri, clients=1, limit=30) as load:
        wait_until(lambda: load.sent == 30)
    read(machine, "echo", lambda found: sum(found["requests"]) == 30)
    (pid,) = machine.routers()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: machine.routers() and pid not in machine.routers(), "another router")
    statuses: list[int] = []

    def answers() -> bool:
        try:
            statuses.append(httpx.post(uri, content=b"1").status_code)
        except httpx.HTTPError:
            return False
        return statuses[-1] == 200

    wait_until(answers)
    table = read(machine, "echo", lambda found: sum(found["requests"]) >= 30 + len(statuses))
    assert sum(table["requests"]) == 30 + len(statuses)
    assert min(table["requests"]) >= 0


def test_requests_of_a_deleted_endpoint_do_not_count_for_the_next_one_of_its_name(machine: Machine) -> None:
    for requests in (300, 5):
        uri = machine.healthy(machine.spec()).status.scoring_uri
        assert uri is not None
        with Load(uri, clients=1, limit=requests) as load:
            wait_until(lambda load=load, requests=requests: load.sent == requests)
        if requests == 300:
            machine.client.delete("echo")
    newest = max(read(machine, "echo", lambda found: sum(found["requests"]) >= 5)["time"])
    table = read(machine, "echo", lambda found: max(found["time"]) >= newest + 2)
    assert sum(table["requests"]) == 5


def test_a_new_endpoint_with_the_name_of_a_deleted_one_has_no_metrics(machine: Machine) -> None:
    for _ in range(2):
        uri = machine.healthy(machine.spec()).status.scoring_uri
        assert uri is not None
        assert httpx.post(uri, content=b"1").status_code == 200
        table = read(machine, "echo", lambda found: sum(found["requests"]) > 0)
        assert sum(table["requests"]) == 1
        machine.client.delete("echo")


def test_cpu_and_memory_are_those_of_all_processes_of_a_replica(machine: Machine) -> None:
    script = """
        import time

        def init():
            global kept
            kept = bytearray(b"x" * 120_000_000)

        def run(data):
            end = time.process_time() + 0.5
            while time.process_time() < end:
                pass
            return 1
        """
    uri = machine.healthy(machine.spec(script=script, limits={"scoringTimeoutMs": 60000})).status.scoring_uri
    assert uri is not None
    with Load(uri, clients=1, limit=4) as load:
        wait_until(lambda: load.sent == 4)

    def used() -> bool:
        told = machine.client.metrics("echo", since=600)
        found: Table = told["replicas"]
        # The calls use 2 s of a processor. How much of one they get at a time depends on the machine.
        seconds = sum(found["cpu_cores"]) * told["every"]
        return seconds >= 1.0 and any(140 <= value <= 400 for value in found["memory_mb"])

    wait_until(used, "CPU and memory are seen")
    replica = machine.client.endpoint("echo").status.versions["echo"].replicas[0].id

    def seconds() -> float:
        families = {family.name: family for family in text_string_to_metric_families(machine.client.exposition())}
        (sample,) = families["mljupyter_replica_cpu_seconds"].samples
        assert sample.labels == {"endpoint": "echo", "version": "echo", "replica": replica}
        return float(sample.value)

    wait_until(lambda: seconds() >= 2.0, "the CPU time of all four calls is seen")


def test_prometheus_finds_the_metrics_on_the_port_asked_for_also_after_a_restart(machine: Machine) -> None:
    machine.healthy(machine.spec())
    assert machine.client.metrics_settings() == {"enabled": True, "port": None}
    port = free_port()
    assert machine.client.metrics_settings(port=port) == {"enabled": True, "port": port}

    def scraped() -> str:
        answer = httpx.get(f"http://127.0.0.1:{port}/metrics")
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        return answer.text

    wait_until(lambda: 'mljupyter_replicas_ready{endpoint="echo",version="echo"} 1' in scraped())
    assert httpx.get(f"http://127.0.0.1:{port}/v1/endpoints").status_code == 404
    (pid,) = machine.controllers()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not machine.controllers())
    machine.client.ensure()
    wait_until(lambda: "mljupyter_router_up 1" in scraped())
    with pytest.raises(PortInUseError, match=str(machine.client.ensure()["router"]["port"])):
        machine.client.metrics_settings(port=machine.client.ensure()["router"]["port"])
    assert machine.client.metrics_settings(port=None) == {"enabled": True, "port": None}
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/metrics")
    with pytest.raises(InvalidSpecError, match="port is 0"):
        machine.client.metrics_settings(port=0)


def test_requests_while_metrics_are_off_are_counted_when_they_are_turned_on_again(machine: Machine) -> None:
    uri = machine.healthy(machine.spec()).status.scoring_uri
    assert uri is not None
    read(machine, "echo", lambda table: len(table["time"]) >= 1)
    machine.client.metrics_settings(enabled=False)
    with Load(uri, clients=1, limit=20) as load:
        wait_until(lambda: load.sent == 20)
    machine.client.metrics_settings(enabled=True)
    table = read(machine, "echo", lambda found: sum(found["requests"]) >= 20)
    assert sum(table["requests"]) == 20


def test_queries_that_make_no_sense_are_refused_with_the_rule(machine: Machine) -> None:
    machine.client.create(machine.spec())
    queries: dict[str, dict[str, Any]] = {
        "at least 1": {"since": 0},
        "31 days": {"since": 1e9},
        "whole minutes": {"since": 60, "every": 90},
    }
    for rule, query in queries.items():
        with pytest.raises(InvalidSpecError, match=rule):
            machine.client.metrics("echo", **query)


def test_the_file_of_the_metrics_is_the_owners_alone(machine: Machine) -> None:
    machine.healthy(machine.spec())
    read(machine, "echo", lambda table: len(table["time"]) >= 1)
    files = list(Path(machine.directory / "control").glob("metrics.db*"))
    assert files
    assert all(path.stat().st_mode & 0o077 == 0 for path in files)
