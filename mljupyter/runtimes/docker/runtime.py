"""DockerRuntime: runs replicas as containers of a Docker engine, and finds them again by their labels.

The engine is the one that images are built on: the one ``DOCKER_HOST`` names, or that of Docker's current context.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mljupyter.build.images.docker.address import engine_address
from mljupyter.build.images.plan.layout import LABEL_REPLICA_KEY
from mljupyter.engine.replicas.replica_key import replica_key
from mljupyter.engine.scaling.accelerators import Holding
from mljupyter.engine.scaling.capacity import Capacity
from mljupyter.runtimes.accelerators import AcceleratorPool
from mljupyter.runtimes.base import (
    Ending,
    ReplicaLog,
    ReplicaOrder,
    RunningReplica,
    RuntimeUnavailableError,
    Usage,
    with_accelerators,
)
from mljupyter.runtimes.docker import TARGET, network
from mljupyter.runtimes.docker import logs as docker_logs
from mljupyter.runtimes.docker.container_spec import (
    COLLECTED,
    accelerator_options,
    arguments_of,
    capacity_of,
    connect,
    container_name,
    environment_of,
    key_of,
    limit_options,
    published_port,
    pull,
    started_time,
    translated,
)
from mljupyter.runtimes.docker.port_forward import PortForwards
from mljupyter.runtimes.docker.start import start
from mljupyter.runtimes.docker.usage import ContainerUsage
from mljupyter.runtimes.ports import LOOPBACK

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container
    from docker.models.images import Image

KEPT_AFTER_END = 3
LABEL = "mljupyter"
INSIGHTS_LABEL = f"{LABEL}/insights"
ACCELERATORS_LABEL = f"{LABEL}/accelerators"
SERVER_LABEL = f"{LABEL}/plan"  # on images whose entry point is our scoring server
_LOG_SIZE, _LOG_FILES = "10m", "3"
_RECONNECT_AFTER = 0.5
_LOOK_EVERY = 2.0

log = logging.getLogger(__name__)
Result = TypeVar("Result")


class DockerRuntime:
    """Runs each replica as a container that publishes its port on the loopback of the engine's machine only.

    Containers have no restart policy. The controller restarts replicas, with its back-off, and must notice a script
    that cannot start.

    Parameters:
        workspace: directory of the workspace; containers are labelled with its fingerprint.
        collected: directory for data that scripts collect, with one directory for each endpoint.
        sockets: returns the directory for the sockets that lead to an engine on another machine.
        workspace_key: the secret that the keys of replicas are derived from.
        connect: returns a client of the engine.
        accelerators: those of this machine, which containers of an engine on it can use.

    Its methods raise `RuntimeUnavailableError` when the Docker SDK is not installed, or no engine answers.
    """

    target = TARGET

    def __init__(
        self,
        workspace: str,
        collected: Path,
        sockets: Callable[[], Path],
        workspace_key: bytes,
        connect: Callable[[], DockerClient] = connect,
        accelerators: AcceleratorPool | None = None,
    ) -> None:
        self._collected = collected
        self._workspace_key = workspace_key
        self._sockets = sockets
        self._accelerators = accelerators if accelerators is not None else AcceleratorPool()
        self._workspace = fingerprint(workspace)
        self._connect = connect
        self._connecting = threading.Lock()
        self._threads = ThreadPoolExecutor(8, thread_name_prefix="docker")
        self._usage = ContainerUsage()
        self._changed: dict[str, asyncio.Event] = {}
        self._loop = asyncio.get_running_loop()
        self._stream: Any = None
        self._leaving = False
        threading.Thread(target=self._listen, name="docker-events", daemon=True).start()

    @cached_property
    def _client(self) -> DockerClient:
        """The engine. Only threads use it, since an engine that is far away or hangs blocks them."""
        with self._connecting:
            return self.__dict__.get("_client") or self._connect()

    @cached_property
    def _forwards(self) -> PortForwards | None:
        """The port forwarding to containers; None when the engine is on this machine."""
        address = engine_address()
        if not address.elsewhere:
            return None
        if not address.over_ssh:
            raise RuntimeUnavailableError(
                f"the Docker engine {address} is on another machine, where containers listen only on its loopback.\n"
                "Reach it by SSH: DOCKER_HOST=ssh://USER@HOST, or a context made with `docker context create`."
            )
        return PortForwards(address.url, self._sockets)

    @cached_property
    def _machine_bytes(self) -> int:
        return int(self._client.info()["MemTotal"])

    async def adopt(self) -> list[RunningReplica]:
        """Return the running containers. Remove those that were created and never started."""
        found = []
        for container in await self._in_thread(self._containers):
            if container.status == "running":
                found.append(await self._in_thread(partial(self._running, container)))
            elif container.status == "created":
                await self._in_thread(partial(container.remove, force=True))
        return found

    async def start(self, order: ReplicaOrder) -> RunningReplica:
        """Start a container of the version's image.

        Raises:
            RuntimeUnavailableError: when the image is missing, or the engine refuses.

        """
        # An engine on another machine has other accelerators, which nobody counts.
        number = order.spec.resources.gpu if not engine_address().elsewhere else 0
        accelerators = self._accelerators.take(order.id, number, (order.endpoint, order.version), order.revision)
        try:
            return await self._in_thread(partial(self._start, order, accelerators))
        except BaseException:
            self._accelerators.release(order.id)
            raise

    async def ended(self, replica: RunningReplica) -> Ending:
        """Wait until a container has ended. While the engine does not answer, the container counts as running."""
        changed = self._changed.setdefault(replica.id, asyncio.Event())
        ended = False  # stays so when the wait is cancelled: the controller leaves, and the replica continues
        try:
            while True:
                changed.clear()
                with contextlib.suppress(RuntimeUnavailableError):
                    ending = await self._in_thread(partial(self._ending, replica))
                    if ending is not None:
                        ended = True
                        self._accelerators.release(replica.id)
                        return ending
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_EVERY):
                        await changed.wait()
        finally:
            self._changed.pop(replica.id, None)
            if (forwards := self.__dict__.get("_forwards")) is not None and ended:
                forwards.close(replica.id)

    def stop(self, replica: RunningReplica) -> None:
        """Ask the replica to finish its requests and end (SIGTERM)."""
        self._threads.submit(self._signal, replica, "SIGTERM")

    def kill(self, replica: RunningReplica) -> None:
        """End the replica at once (SIGKILL)."""
        self._threads.submit(self._signal, replica, "SIGKILL")

    async def forget(self, endpoint: str, version: str | None = None) -> None:
        """Remove containers that have ended. With a version given, its newest three stay for their logs."""
        try:
            await self._in_thread(partial(self._forget, endpoint, version))
        except RuntimeUnavailableError as error:
            log.warning("containers of %s that have ended stay for now: %s", endpoint, error.message)

    async def last_lines(self, replica: RunningReplica, count: int) -> list[str]:
        """Return the last lines of a container's log."""
        try:
            return await self._in_thread(partial(self._last_lines, replica, count))
        except RuntimeUnavailableError:
            return []

    def logs(self, endpoint: str, version: str | None = None) -> list[ReplicaLog]:
        """Return the logs of an endpoint's containers, ended ones included."""
        return [_log(container, records=False) for container in self._containers(endpoint, version)]

    def records(self, endpoint: str | None = None, version: str | None = None) -> list[ReplicaLog]:
        """Return the request logs that containers write into their logs, ended containers included."""
        return [_log(container, records=True) for container in self._containers(endpoint, version)]

    async def usage(self, replicas: Sequence[RunningReplica], worker_pids: Mapping[str, int]) -> Mapping[str, Usage]:
        """Return CPU time and memory of containers. Each is measured at most every five seconds."""
        names = {replica.id: container_name(replica.id) for replica in replicas}
        usages = await self._in_thread(lambda: self._usage.measure(self._client, names))
        return with_accelerators(usages, self._accelerators)

    async def capacity(self) -> Capacity:
        """Return cores, memory and accelerators of the engine's machine. On this machine other targets share them."""
        capacity = await self._in_thread(lambda: capacity_of(self._client, self.target))
        return capacity if engine_address().elsewhere else replace(capacity, gpus=self._accelerators.number)

    async def leave(self) -> None:
        """Stop listening to the engine; containers continue to run."""
        self._leaving = True
        if self._stream is not None:
            with contextlib.suppress(Exception):
                self._stream.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _start(self, order: ReplicaOrder, accelerators: Sequence[str]) -> RunningReplica:
        spec = order.spec
        if spec.image is None:
            raise RuntimeUnavailableError(f"version {order.version!r} has no image: a container needs one.")
        with translated(f"starting a container of {spec.image}"):
            return self._started(self._image(spec.image, order), order, accelerators)

    def _started(self, image: Image, order: ReplicaOrder, accelerators: Sequence[str]) -> RunningReplica:
        from docker.types import LogConfig

        spec = order.spec
        key = self._key_for(image, order)
        container = start(
            self._client,
            image,
            arguments_of(order) if SERVER_LABEL in image.labels else None,
            engine_chooses_port=self._forwards is not None,
            name=container_name(order.id),
            labels={
                f"{LABEL}/workspace": self._workspace,
                network.REPLICA_LABEL: order.id,
                f"{LABEL}/endpoint": order.endpoint,
                f"{LABEL}/version": order.version,
                f"{LABEL}/revision": order.revision,
                **({INSIGHTS_LABEL: "true"} if spec.app_insights_enabled else {}),
                **({ACCELERATORS_LABEL: ",".join(accelerators)} if accelerators else {}),
            },
            environment=environment_of(order, key),
            log_config=LogConfig(type="json-file", config={"max-size": _LOG_SIZE, "max-file": _LOG_FILES}),
            **limit_options(spec, self._machine_bytes),
            **accelerator_options(accelerators),
            **(self._collecting(order) if spec.collect_model_data else {}),
        )
        return self._running(container)

    def _key_for(self, image: Image, order: ReplicaOrder) -> str | None:
        """Return a replica's key, or None for a scoring server of a release without keys.

        Such a server would pass the key on to the script. A server in the user's own image gets a key, and may check
        it.
        """
        if SERVER_LABEL in image.labels and LABEL_REPLICA_KEY not in image.labels:
            log.warning(
                "replica %s: image %s has a scoring server of an earlier release, which answers everybody on this "
                "machine without a key. Deploy again: the image is built with the one of this release.",
                order.id,
                order.spec.image,
            )
            return None
        return replica_key(self._workspace_key, order.id)

    def _image(self, reference: str, order: ReplicaOrder) -> Image:
        """Return the image to start from. Find a removed one through a container, or pull it."""
        from docker.errors import ImageNotFound

        try:
            return self._client.images.get(reference)
        except ImageNotFound:
            # A container of the same revision, running or ended, keeps its image, though not the image's name.
            for container in self._containers(order.endpoint, order.version):
                if container.labels.get(f"{LABEL}/revision") == order.revision:
                    log.warning("image %s was removed: taking it from container %s", reference, container.name)
                    image = self._client.images.get(container.attrs["Image"])
                    image.tag(reference)
                    return image
            return pull(self._client, reference)

    def _running(self, container: Container) -> RunningReplica:
        labels = container.labels
        replica_id = labels[f"{LABEL}/replica"]
        address = f"{LOOPBACK}:{published_port(container.attrs)}"
        if self._forwards is not None:
            self._forwards.ensure(replica_id, published_port(container.attrs))
            address = self._forwards.address(replica_id)
        accelerators = tuple(labels[ACCELERATORS_LABEL].split(",")) if labels.get(ACCELERATORS_LABEL) else ()
        endpoint, version, revision = (labels[f"{LABEL}/{name}"] for name in ("endpoint", "version", "revision"))
        self._accelerators.hold(replica_id, Holding(accelerators, (endpoint, version), revision))
        return RunningReplica(
            id=replica_id,
            endpoint=endpoint,
            version=version,
            revision=revision,
            target=self.target,
            address=address,
            pid=None,
            started_time=started_time(container),
            # The key it was given: the workspace's key may have changed since, and earlier releases gave none.
            key=key_of(container.attrs),
            accelerators=accelerators,
        )

    def _collecting(self, order: ReplicaOrder) -> dict[str, Any]:
        """Return the options with which a container writes into its endpoint's directory of collected data."""
        if self._forwards is not None:
            raise RuntimeUnavailableError(
                "collect_model_data is True, but collected data on another machine's engine cannot be fetched.\n"
                "Leave it out, or deploy to an engine on this machine."
            )
        place = self._collected / order.endpoint
        self._collected.mkdir(mode=0o700, exist_ok=True)
        place.mkdir(exist_ok=True)
        place.chmod(0o777)  # for the container's user; the directory above is closed to others
        options: dict[str, Any] = {"volumes": {str(place): {"bind": COLLECTED, "mode": "rw"}}}
        if os.getuid():
            options["user"] = f"{os.getuid()}:{os.getgid()}"  # so that the files belong to the user who reads them
        return options

    def _ending(self, replica: RunningReplica) -> Ending | None:
        from docker.errors import NotFound

        with translated():
            try:
                container = self._client.api.inspect_container(container_name(replica.id))
            except NotFound:
                return Ending(reason="was removed from the Docker engine")
        state = container["State"]
        if state["Running"]:
            if self._forwards is not None:
                self._forwards.ensure(replica.id, published_port(container))
            return None
        if state.get("OOMKilled"):
            limit = container["HostConfig"].get("Memory") or 0
            of = f" of {limit / (1 << 20):.0f} MiB" if limit else ""
            return Ending(state["ExitCode"], f"was killed by the system: it used more memory than its limit{of}")
        return Ending(state["ExitCode"], state.get("Error") or None)

    def _signal(self, replica: RunningReplica, name: str) -> None:
        try:
            with translated():
                self._client.api.kill(container_name(replica.id), signal=name)
        except RuntimeUnavailableError as error:  # it has ended, or the engine does not answer: `ended` notices both
            log.info("replica %s: %s", replica.id, error.message)

    def _forget(self, endpoint: str, version: str | None) -> None:
        with translated():
            ended = [item for item in self._containers(endpoint, version) if item.status in ("exited", "dead")]
            ended.sort(key=started_time, reverse=True)
            for container in ended[KEPT_AFTER_END if version is not None else 0 :]:
                container.remove(v=True, force=True)
            if version is None:
                network.remove_unused(self._client)

    def _last_lines(self, replica: RunningReplica, count: int) -> list[str]:
        with translated():
            text: bytes = self._client.api.logs(container_name(replica.id), tail=count)
        return list(deque(text.decode(errors="replace").splitlines(), maxlen=count))

    def _containers(self, endpoint: str | None = None, version: str | None = None) -> list[Container]:
        labels = [f"{LABEL}/workspace={self._workspace}"]
        labels += [f"{LABEL}/endpoint={endpoint}"] if endpoint is not None else []
        labels += [f"{LABEL}/version={version}"] if version is not None else []
        with translated():
            found: list[Container] = self._client.containers.list(
                all=True,
                filters={"label": labels},
                ignore_removed=True,
            )
        return found

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        return await self._loop.run_in_executor(self._threads, work)

    def _listen(self) -> None:
        """Wake the tasks that wait for the end of a container, and all of them when the engine is back."""
        filters = {"label": f"{LABEL}/workspace={self._workspace}", "event": ["die", "destroy", "oom"]}
        while not self._leaving:
            with contextlib.suppress(Exception):  # whatever broke the connection, the next turn makes another one
                self._client.ping()
                self._stream = self._client.events(decode=True, filters=filters)
                self._notify(None)
                for event in self._stream:
                    self._notify(event["Actor"]["Attributes"].get(f"{LABEL}/replica"))
            time.sleep(_RECONNECT_AFTER)

    def _notify(self, replica_id: str | None) -> None:
        def notify() -> None:
            for name, changed in self._changed.items():
                if replica_id in (None, name):
                    changed.set()

        with contextlib.suppress(RuntimeError):  # the loop is closed: the controller leaves
            self._loop.call_soon_threadsafe(notify)


def fingerprint(workspace: str) -> str:
    """Return the label value of a workspace's containers, derived from its directory."""
    return hashlib.sha256(workspace.encode()).hexdigest()[:16]


def record_logs(client: DockerClient, workspace: str) -> list[ReplicaLog]:
    """Return the request logs of all containers of a workspace that write one, ended ones included.

    Raises:
        RuntimeUnavailableError: when the engine does not answer.

    """
    labels = [f"{LABEL}/workspace={fingerprint(workspace)}", f"{INSIGHTS_LABEL}=true"]
    with translated():
        found: list[Container] = client.containers.list(all=True, filters={"label": labels}, ignore_removed=True)
    return [_log(container, records=True) for container in found]


def _log(container: Container, *, records: bool) -> ReplicaLog:
    name = container.labels[f"{LABEL}/replica"]
    return docker_logs.replica_log(container, name, started_time(container), records=records, guard=translated)
