"""Measure operator and router agents with many endpoints and pods, on a real API server with simulated nodes.

``python -m benchmarks.kubernetes_scale`` needs a kubeconfig whose user may create nodes and namespaces, such as that of
a test cluster, and prints a table. The API server, the controllers of Kubernetes and its scheduler are those of the
cluster. Nodes and kubelets are simulated here: each pod on them is "running" as soon as it is scheduled, with an
address under 127.0.0.0/8, where one small server answers for all of them. Operator, router agent and Envoy are
processes of this machine, with the code of the pods. At the end, everything is removed again.

Measured are the times from a custom resource to its Deployment, and from a pod whose containers are ready to the first
request that it answers through the router, and the cost of operator, agent and Envoy while all is created, while pods
are replaced, and idle.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import ipaddress
import itertools
import json
import os
import random
import secrets
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psutil

from mljupyter.controller.router import process as router_process
from mljupyter.engine.envoy.listener import SERVICE_PREFIX
from mljupyter.kubernetes.api_server.connection import ApiError, ApiServer, Object
from mljupyter.kubernetes.api_server.informer import Informer
from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.objects.crd import custom_resource_definition
from mljupyter.kubernetes.operator import documents, lifecycle
from mljupyter.kubernetes.operator.settings import OperatorSettings
from mljupyter.kubernetes.router_agent import __main__ as router_agent
from mljupyter.spec import Authentication, EndpointSpec, ReplicaDefaults, VersionSpec
from mljupyter.spec.version import Scaling

SIMULATED = "mljupyter.io/simulated"
TARGET = "scale"
ROUTER_ADDRESS = "127.77.0.1"
PODS_PER_NODE = 100
_NOT_FOUND, _CONFLICT = 404, 409
_HEARTBEAT = 5.0
_LOOK_EVERY = 0.01
_CREATED_AT_A_TIME = 16
_PROBES = 8  # requests at a time, of which one is likely to reach the new pod
_TOLERATION = {"key": SIMULATED, "operator": "Exists", "effect": "NoSchedule"}


def main() -> None:
    """Measure, and print a table."""
    if sys.argv[1:2] in (["operator"], ["agent"]):
        role(sys.argv[1], sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--endpoints", type=int, default=1000)
    parser.add_argument("--pods", type=int, default=10_000, help="replicas of all endpoints together")
    parser.add_argument("--kubeconfig", type=Path, default=os.environ.get("KUBECONFIG"))
    parser.add_argument(
        "--stages", type=_numbers, default=[], help="smaller numbers of endpoints to measure on the way"
    )
    parser.add_argument("--rate", type=float, default=10.0, help="endpoints created per second")
    parser.add_argument("--changes", type=int, default=50, help="pods that are deleted, one after the other")
    parser.add_argument("--idle", type=float, default=60.0, help="seconds without a change")
    parser.add_argument("--limit", type=float, default=3600.0, help="seconds after which the measurement is given up")
    parser.add_argument("--json", type=Path, help="file for the results")
    given = parser.parse_args()
    if given.kubeconfig is None:
        parser.error("give --kubeconfig, or set KUBECONFIG")
    if given.pods < given.endpoints or given.endpoints < 1:
        parser.error("there must be at least one pod for each endpoint")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # it is ignored in a job of a shell without a terminal
    signal.signal(signal.SIGTERM, lambda _number, _frame: signal.raise_signal(signal.SIGINT))  # all is removed
    found: list[dict[str, Any]] = []
    finished = True
    try:
        asyncio.run(measured(given, found.append))
    except TimeoutError:
        finished = False
    print("\n\n".join(map(table, found)))
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=2) + "\n")
    if not finished:
        sys.exit(f"not finished within {given.limit:g} s: give a greater --limit, or fewer endpoints")


def role(name: str, arguments: list[str]) -> None:
    """Be the operator or the router agent, and write the number of API calls to a file each second."""
    calls, send = Counter[str](), ApiServer._send

    async def counted(self: ApiServer, *arguments: Any) -> Any:
        calls["all"] += 1
        return await send(self, *arguments)

    ApiServer._send = counted  # type: ignore[assignment, method-assign]
    file, names.REPLICA_PORT = Path(arguments[0]), int(arguments[1])

    def write() -> None:
        while True:
            file.write_text(str(calls["all"]))
            time.sleep(1)

    threading.Thread(target=write, daemon=True).start()
    if name == "agent":
        sys.argv = ["router_agent", *arguments[2:]]
        sys.exit(router_agent.main())
    namespace, kubeconfig, directory, port = arguments[2:]
    replicas = ReplicaDefaults.parse({"nodeSelector": {SIMULATED: "true"}, "tolerations": [_TOLERATION]})
    settings = OperatorSettings(
        namespace,
        "operator-1",
        TARGET,
        "scale",
        "api",
        "internal",
        replicas,
        Path(directory),
        int(port),
        _free_port(),
        Path(kubeconfig),
    )
    asyncio.run(lifecycle.run(settings))


class Nodes:
    """Simulated nodes with their kubelets: pods on them run at once, and end at once.

    Attributes:
        ready: the time at which the containers of a pod became ready, by the pod's name.
        addresses: the addresses of pods by their names.

    """

    def __init__(self, api: ApiServer, namespace: str, count: int) -> None:
        self._api = api
        self._names = [f"{namespace}-{number}" for number in range(count)]
        self._path = names.pods(namespace)
        self.pods = Informer(api, self._path, labels=f"{names.REVISION_LABEL}", changed=self._seen)
        self._numbers = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._at_a_time = asyncio.Semaphore(32)
        self.ready: dict[str, float] = {}
        self.addresses: dict[str, str] = {}
        self.passed: set[str] = set()

    async def add(self) -> None:
        """Create the nodes."""
        for name in self._names:
            node = {
                "metadata": {"name": name, "labels": {SIMULATED: "true", "kubernetes.io/hostname": name}},
                "spec": {"taints": [{"key": SIMULATED, "value": "true", "effect": "NoSchedule"}]},
            }
            await self._api.create(names.nodes(), node)
            await self._beat(name)

    async def run(self) -> None:
        """Follow the pods, and keep the nodes alive, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.pods.run())
            tasks.create_task(self._keep_alive())

    async def remove(self) -> None:
        """Delete the nodes."""
        for name in self._names:
            await self._api.delete(f"{names.nodes()}/{name}")

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(_HEARTBEAT)
            for name in self._names:
                with contextlib.suppress(ApiError):
                    await self._beat(name)

    async def _beat(self, name: str) -> None:
        size = {"cpu": "1000", "memory": "4000Gi", "pods": str(PODS_PER_NODE + 10)}
        condition = {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": _now()}
        status = {"capacity": size, "allocatable": size, "conditions": [condition]}
        await self._api.patch(f"{names.nodes()}/{name}/status", {"status": status}, kind="strategic")

    def _seen(self, kind: str, pod: Object) -> None:
        name, metadata = pod["metadata"]["name"], pod["metadata"]
        if kind == "DELETED" or pod["spec"].get("nodeName") not in self._names:
            return
        conditions = {item["type"]: item["status"] for item in pod["status"].get("conditions") or ()}
        if "deletionTimestamp" in metadata:
            self._aside(self._end(name))
        elif conditions.get("ContainersReady") != "True" and name not in self.addresses:
            self.addresses[name] = str(ipaddress.ip_address("127.128.0.0") + next(self._numbers))
            self._aside(self._begin(name))
        elif conditions.get(names.SERVING_CONDITION) == "True" and name not in self.passed:
            self.passed.add(name)
            self._aside(self._pass(name))

    async def _begin(self, name: str) -> None:
        address = self.addresses[name]
        running = {"name": "replica", "ready": True, "started": True, "restartCount": 0, "image": "simulated"}
        running |= {"imageID": "simulated", "state": {"running": {"startedAt": _now()}}}
        status = {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": [
                {"type": "ContainersReady", "status": "True"},
                {"type": "Ready", "status": "False", "reason": "ReadinessGatesNotReady"},
            ],
            "containerStatuses": [running],
        }
        async with self._at_a_time:
            self.ready[name] = time.monotonic()
            await self._patch(name, status)

    async def _pass(self, name: str) -> None:
        async with self._at_a_time:
            await self._patch(name, {"conditions": [{"type": "Ready", "status": "True", "reason": None}]})

    async def _patch(self, name: str, status: Object) -> None:
        try:
            await self._api.patch(f"{self._path}/{name}/status", {"status": status}, kind="strategic")
        except ApiError as error:
            if error.status != _NOT_FOUND:
                raise

    async def _end(self, name: str) -> None:
        async with self._at_a_time:
            with contextlib.suppress(ApiError):
                await self._api.delete(f"{self._path}/{name}", gracePeriodSeconds="0")

    def _aside(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class Answers:
    """The server of all simulated pods. Each answer says at which address it was reached."""

    def __init__(self) -> None:
        self.port = _free_port()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen at all addresses of this machine."""
        self._server = await asyncio.start_server(self._serve, "0.0.0.0", self.port)

    async def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = writer.get_extra_info("sockname")[0].encode()
        answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(address), address)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                await reader.readexactly(int(length[0].partition(b":")[2]) if length else 0)
                writer.write(answer)
                await writer.drain()
        writer.close()


class Cost:
    """The CPU time, API calls and memory of processes, between two moments."""

    def __init__(self, processes: dict[str, int], counters: dict[str, Path]) -> None:
        self._processes = {name: psutil.Process(pid) for name, pid in processes.items()}
        self._counters = counters
        self._began = time.monotonic()
        self._before = self._read()

    def document(self) -> dict[str, Any]:
        """Return the cost since it was made."""
        seconds = time.monotonic() - self._began
        used = {name: value - self._before[name] for name, value in self._read().items()}
        found = {
            name: {
                "cores": round(used[name] / seconds, 4),
                "memory_mb": round(process.memory_info().rss / 1e6, 1),
            }
            for name, process in self._processes.items()
        }
        for name in self._counters:
            found[name]["api_calls_per_second"] = round(used[f"{name} calls"] / seconds, 2)
        return {"seconds": round(seconds, 1), **found}

    def _read(self) -> dict[str, float]:
        times = {name: process.cpu_times() for name, process in self._processes.items()}
        calls = {f"{name} calls": float(path.read_text() or 0) for name, path in self._counters.items()}
        return {**{name: time.user + time.system for name, time in times.items()}, **calls}


async def measured(given: argparse.Namespace, report: Callable[[dict[str, Any]], None]) -> None:
    """Measure, and report the results of each stage. Everything that was created is removed, whatever happens."""
    namespace = f"mljupyter-scale-{secrets.token_hex(3)}"
    api = await ApiServer.connect(given.kubeconfig)
    nodes = Nodes(api, namespace, -(-given.pods // PODS_PER_NODE) + 1)
    answers = Answers()
    created_crd = False
    kubelets: asyncio.Task[None] | None = None
    with tempfile.TemporaryDirectory(prefix="mlj") as directory:
        try:
            async with asyncio.timeout(given.limit):
                await answers.start()
                created_crd = await _install(api, namespace)
                await nodes.add()
                kubelets = asyncio.create_task(nodes.run())
                with _control_plane(Path(directory), namespace, given.kubeconfig, answers.port) as control_plane:
                    await _measured(api, namespace, nodes, control_plane, given, report)
        finally:
            await _removed(api, namespace, nodes, kubelets, crd=created_crd)
            await answers.close()
            await api.close()


async def _measured(
    api: ApiServer,
    namespace: str,
    nodes: Nodes,
    control_plane: ControlPlane,
    given: argparse.Namespace,
    report: Callable[[dict[str, Any]], None],
) -> None:
    await control_plane.ready(api, namespace)
    endpoints = [f"endpoint-{number:05d}" for number in range(given.endpoints)]
    share, more = divmod(given.pods, given.endpoints)
    wanted = {name: share + (number < more) for number, name in enumerate(endpoints)}
    stages = [*(number for number in sorted(given.stages) if number < given.endpoints), given.endpoints]
    async with (
        httpx.AsyncClient(base_url=control_plane.url, timeout=10.0) as client,
        _following(api, namespace) as seen,
    ):
        for before, stage in itertools.pairwise([0, *stages]):
            there, new = endpoints[:stage], endpoints[before:stage]
            pods = sum(wanted[name] for name in there)
            _say(f"creating {len(new)} endpoints: {stage} with {pods} pods then")
            cost = control_plane.cost()
            asked = await _created(api, namespace, {name: wanted[name] for name in new}, given.rate)
            await _until(functools.partial(_all_answer, control_plane, client, nodes, there, pods), 1.0)
            creating = cost.document()
            _say("nothing changes")
            await asyncio.sleep(5)
            cost = control_plane.cost()
            await asyncio.sleep(given.idle)
            idle = cost.document()
            _say(f"replacing {given.changes} pods")
            cost = control_plane.cost()
            routed = [await _replaced(api, namespace, client, nodes) for _ in range(given.changes)]
            changing = cost.document()
            paths = list(control_plane.configuration.glob("*.json"))
            found = {
                "endpoints": stage,
                "pods": pods,
                "rate": given.rate,
                "cores_of_machine": os.cpu_count(),
                "load_average": [round(value, 1) for value in os.getloadavg()],
                "time": _now(),
                "spec_to_deployment_seconds": _spread([seen[name] - asked[name] for name in new]),
                "ready_to_routed_seconds": _spread(routed),
                "created_within_seconds": creating["seconds"],
                "creating": creating,
                "idle": idle,
                "replacing": changing,
                "configuration": {
                    "files": len(paths),
                    "megabytes": round(sum(path.stat().st_size for path in paths) / 1e6, 2),
                },
            }
            report(found)
            _say(json.dumps(found))


async def _created(api: ApiServer, namespace: str, wanted: Mapping[str, int], rate: float) -> dict[str, float]:
    """Create endpoints at a rate, and return the time at which each was asked for. Many calls may be on their way."""
    asked: dict[str, float] = {}
    at_a_time = asyncio.Semaphore(_CREATED_AT_A_TIME)

    async def create(name: str, replicas: int) -> None:
        async with at_a_time:
            asked[name] = time.monotonic()
            await api.create(names.mlendpoints(namespace), documents.resource(_spec(name, replicas), namespace, None))

    began = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        for number, (name, replicas) in enumerate(wanted.items()):
            await asyncio.sleep(max(began + number / rate - time.monotonic(), 0))
            tasks.create_task(create(name, replicas))
    return asked


class ControlPlane:
    """The processes of operator and router agent."""

    def __init__(self, directory: Path, namespace: str, kubeconfig: Path, replica_port: int) -> None:
        self._replica_port = replica_port
        self.configuration = directory / "agent" / "router"
        self._directory = directory
        self._counters = {name: directory / f"{name}.calls" for name in ("operator", "agent")}
        for name in ("operator", "agent"):
            (directory / name).mkdir()
        (directory / "secret").write_text("internal")
        port, operator_port = _free_port(), _free_port()
        self.url = f"http://127.0.0.1:{port}{SERVICE_PREFIX}"
        agent = [
            *("--namespace", namespace, "--directory", str(directory / "agent"), "--port", str(port)),
            *("--address", ROUTER_ADDRESS, "--secret-file", str(directory / "secret")),
            *("--kubeconfig", str(kubeconfig)),
        ]
        operator = [namespace, str(kubeconfig), str(directory / "operator"), str(operator_port)]
        self._processes = {"operator": self._start("operator", operator), "agent": self._start("agent", agent)}

    def cost(self) -> Cost:
        """Begin to measure."""
        pids = {name: process.pid for name, process in self._processes.items()}
        envoys = router_process.running(self.configuration)
        return Cost({**pids, "envoy": envoys[-1].identity.pid}, self._counters)

    async def ready(self, api: ApiServer, namespace: str) -> None:
        """Let the operator know the router, and return when both work."""
        pod = {
            "metadata": {"name": "router-1", "labels": names.labels(names.COMPONENT_ROUTER)},
            "spec": {"schedulerName": "nobody", "containers": [{"name": "router", "image": "simulated"}]},
        }
        await api.create(names.pods(namespace), pod)
        conditions = [{"type": "Ready", "status": "True"}]
        status = {"phase": "Running", "podIP": ROUTER_ADDRESS, "conditions": conditions}
        await api.patch(f"{names.pods(namespace)}/router-1/status", {"status": status}, kind="strategic")
        async with httpx.AsyncClient() as client:

            async def works() -> bool:
                self.check()
                leads = (self._directory / "operator" / "scale").exists()
                return leads and await _answers(client, f"http://{ROUTER_ADDRESS}:{names.AGENT_PORT}/readyz")

            await _until(works, 0.2)

    def check(self) -> None:
        """Raise an error if a process has ended: what is waited for would never come."""
        for name, process in self._processes.items():
            if process.poll() is not None:
                sys.exit(f"the {name} has ended:\n{(self._directory / f'{name}.log').read_text()[-2000:]}")

    def end(self) -> None:
        """End the processes."""
        for process in self._processes.values():
            process.kill()
            process.wait()
        for envoy in router_process.running(self.configuration):
            psutil.Process(envoy.identity.pid).kill()

    def _start(self, name: str, arguments: list[str]) -> subprocess.Popen[bytes]:
        own = [name, str(self._counters[name]), str(self._replica_port)]
        command = [sys.executable, "-m", "benchmarks.kubernetes_scale", *own, *arguments]
        self._counters[name].write_text("0")
        with (self._directory / f"{name}.log").open("wb") as log:
            return subprocess.Popen(command, stdout=log, stderr=log)


@contextlib.contextmanager
def _control_plane(directory: Path, namespace: str, kubeconfig: Path, replica_port: int) -> Iterator[ControlPlane]:
    control_plane = ControlPlane(directory, namespace, kubeconfig, replica_port)
    try:
        yield control_plane
    finally:
        control_plane.end()


@contextlib.asynccontextmanager
async def _following(api: ApiServer, namespace: str) -> AsyncIterator[dict[str, float]]:
    """Yield the times at which Deployments of endpoints were seen first."""
    seen: dict[str, float] = {}

    def note(kind: str, deployment: Object) -> None:
        if kind == "ADDED":
            seen.setdefault(deployment["metadata"]["labels"].get(names.ENDPOINT_LABEL, ""), time.monotonic())

    following = asyncio.create_task(Informer(api, names.deployments(namespace), changed=note).run())
    try:
        yield seen
    finally:
        following.cancel()


async def _install(api: ApiServer, namespace: str) -> bool:
    """Create the namespace. Return whether the kind of custom resources had to be created, too."""
    created = True
    try:
        await api.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", custom_resource_definition())
    except ApiError as error:
        if error.status != _CONFLICT:
            raise
        created = False
    await api.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
    account = {"metadata": {"name": names.REPLICA}, "automountServiceAccountToken": False}
    await api.create(f"/api/v1/namespaces/{namespace}/serviceaccounts", account)

    async def served() -> bool:
        with contextlib.suppress(ApiError):
            await api.list(names.mlendpoints(namespace))
            return True
        return False

    await _until(served, 0.2)
    return created


async def _removed(
    api: ApiServer, namespace: str, nodes: Nodes, kubelets: asyncio.Task[None] | None, *, crd: bool
) -> None:
    """Delete everything, and wait until it is gone: the kubelets must end the pods."""
    _say("removing everything")

    async def gone() -> bool:
        try:
            await api.get(f"/api/v1/namespaces/{namespace}")
        except ApiError as error:
            return error.status == _NOT_FOUND
        return False

    found: list[Object] = []
    with contextlib.suppress(ApiError):
        found, _ = await api.list(names.mlendpoints(namespace))
    for one in found:  # the operator, which would remove its finalizer, has ended
        with contextlib.suppress(ApiError):
            path = f"{names.mlendpoints(namespace)}/{one['metadata']['name']}"
            await api.patch(path, {"metadata": {"finalizers": None}}, kind="merge")
    with contextlib.suppress(ApiError):
        await api.delete(f"/api/v1/namespaces/{namespace}")
    with contextlib.suppress(TimeoutError, ApiError):
        async with asyncio.timeout(900):
            await api.delete(f"{names.pods(namespace)}/router-1", gracePeriodSeconds="0")
            await _until(gone, 1.0)
    if kubelets is not None:
        kubelets.cancel()
        await asyncio.gather(kubelets, return_exceptions=True)
    with contextlib.suppress(ApiError):
        await nodes.remove()
        if crd:
            name = custom_resource_definition()["metadata"]["name"]
            await api.delete(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}")


async def _all_answer(
    control_plane: ControlPlane, client: httpx.AsyncClient, nodes: Nodes, endpoints: list[str], pods: int
) -> bool:
    """Return whether all pods are ready, and all endpoints answer."""
    control_plane.check()
    if len(nodes.ready) < pods:
        return False
    for name in reversed(endpoints):
        if not await _answers(client, f"/{name}/score"):
            return False
    return True


async def _replaced(api: ApiServer, namespace: str, client: httpx.AsyncClient, nodes: Nodes) -> float:
    """Delete a pod, and return the seconds from when its successor is ready until it answers a request."""
    victim = random.choice([pod for name, pod in nodes.pods.objects.items() if name in nodes.passed])
    endpoint = victim["metadata"]["labels"][names.ENDPOINT_LABEL]
    before = set(nodes.ready)
    await api.delete(f"{names.pods(namespace)}/{victim['metadata']['name']}", gracePeriodSeconds="0")
    while True:
        # There may be several successors: Kubernetes replaces the pod at once, and the operator, which counts, too.
        successors = {nodes.addresses[name]: name for name in nodes.ready.keys() - before}
        if successors:
            found = await asyncio.gather(*(client.post(f"/{endpoint}/score", content=b"{}") for _ in range(_PROBES)))
            answered = [answer.text for answer in found if answer.text in successors]
            if answered:
                return time.monotonic() - nodes.ready[successors[answered[0]]]
        await asyncio.sleep(_LOOK_EVERY)


async def _answers(client: httpx.AsyncClient, url: str) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return (await client.get(url) if url.endswith("/readyz") else await client.post(url, content=b"{}")).is_success
    return False


async def _until(condition: Callable[[], Awaitable[bool]], every: float) -> None:
    while True:
        if await condition():
            return
        await asyncio.sleep(every)


def _spec(name: str, replicas: int) -> EndpointSpec:
    version = VersionSpec(image="simulated", scaling=Scaling(replicas=replicas))
    return EndpointSpec(
        name=name,
        compute_target=TARGET,
        default_version="one",
        versions={"one": version},
        authentication=Authentication.NONE,
    )


def _spread(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {
        "p50": round(statistics.median(ordered), 3),
        "p99": round(ordered[min(int(len(ordered) * 0.99), len(ordered) - 1)], 3),
        "most": round(ordered[-1], 3),
        "count": len(ordered),
    }


def table(found: dict[str, Any]) -> str:
    """Return the results as a table."""
    size = f"{found['endpoints']} endpoints, {found['pods']} pods, {found['rate']:g} endpoints created per second"
    lines = [
        f"{size}; {found['cores_of_machine']} cores, load average {found['load_average'][0]}",
        "",
        "| | p50 | p99 | most |",
        "|---|---|---|---|",
    ]
    for name, title in (
        ("spec_to_deployment_seconds", "from spec to Deployment"),
        ("ready_to_routed_seconds", "from pod ready to its first answer"),
    ):
        spread = found[name]
        lines.append(f"| {title} | {spread['p50']} s | {spread['p99']} s | {spread['most']} s |")
    lines += ["", "| process | while | CPU, % of a core | API calls/s | memory |", "|---|---|---|---|---|"]
    for phase in ("creating", "replacing", "idle"):
        for process in ("operator", "agent", "envoy"):
            one = found[phase][process]
            calls = one.get("api_calls_per_second", "")
            lines.append(f"| {process} | {phase} | {one['cores'] * 100:.1f} | {calls} | {one['memory_mb']:.0f} MB |")
    files = found["configuration"]
    lines += ["", f"Configuration of Envoy: {files['files']} files, {files['megabytes']} MB."]
    return "\n".join(lines)


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
