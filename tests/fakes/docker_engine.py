"""A Docker engine in memory, with the parts of the SDK's client that the runtime of containers uses."""

from __future__ import annotations

import copy
import queue
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from docker.errors import APIError, ImageNotFound, NotFound
from requests import ConnectionError as EngineGoneError

SERVER_LABELS = {"mljupyter/plan": "p", "mljupyter/replica-key": "1"}
_BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


class FakeContainer:
    """A container: its attributes are those that an engine reports."""

    def __init__(self, engine: FakeEngine, image: FakeImage, name: str, options: dict[str, Any]) -> None:
        self._engine = engine
        self.name = name
        self.options = options
        self.labels: dict[str, str] = options["labels"]
        self.image = image
        self.status = "created"
        self.signals: list[str] = []
        self.output: list[bytes] = []
        ((_, asked_for),) = options["ports"].values()
        self.attrs: dict[str, Any] = {
            "Image": image.id,
            "Config": {"Env": [f"{key}={value}" for key, value in options["environment"].items()]},
            "HostConfig": {
                "PortBindings": {"5001/tcp": [{"HostPort": str(asked_for) if asked_for else ""}]},
                "Memory": options.get("mem_limit", 0),
            },
            "NetworkSettings": {"Ports": {}},
            "State": {"Running": False, "StartedAt": "0001-01-01T00:00:00Z", "ExitCode": 0, "Error": ""},
        }

    def start(self) -> None:
        if self._engine.networks_at_starts:
            self._engine.network_ids = self._engine.networks_at_starts.pop(0)
        name, found = self.options["network"], len(self._engine.network_ids)
        if not found:
            raise NotFound(f"network {name} not found")
        if found > 1:
            raise refusal(f"network {name} is ambiguous ({found} matches found on name)")
        if self._engine.start_failures:
            raise self._engine.start_failures.pop(0)
        self.status = "running"
        (asked_for,) = self.attrs["HostConfig"]["PortBindings"]["5001/tcp"]
        self.attrs["NetworkSettings"]["Ports"] = {"5001/tcp": [{"HostPort": asked_for["HostPort"] or "49153"}]}
        self.attrs["State"] |= {"Running": True, "StartedAt": self._engine.next_time().isoformat()}

    def reload(self) -> None:
        self._engine.check()

    def remove(self, **_: Any) -> None:
        self._engine.containers_by_name.pop(self.name)

    def logs(self, **_: Any) -> Iterator[bytes]:
        self._engine.check()
        if self.status == "removing":
            raise refusal("can not get logs from container which is dead or marked for removal", 409)
        for line in self.output:
            self._engine.look_up(self.name)
            yield line

    def end(self, status: int = 0, *, out_of_memory: bool = False, error: str = "") -> None:
        """Let the container end, and tell those who listen to the engine's events."""
        self.status = "exited"
        self.attrs["State"] |= {"Running": False, "ExitCode": status, "OOMKilled": out_of_memory, "Error": error}
        self._engine.tell(self)


class FakeImage:
    """An image with labels, under any number of names."""

    def __init__(self, engine: FakeEngine, id: str, labels: dict[str, str]) -> None:
        self._engine = engine
        self.id = id
        self.labels = labels

    def tag(self, reference: str) -> None:
        self._engine.image_names[reference] = self


class FakeEngine:
    """The engine and, for it, the SDK's client.

    Attributes:
        away: set while nothing answers.
        start_failures: the errors with which the next containers fail to start.
        network_ids: the networks of replicas.
        networks_at_starts: the networks that others leave before each of the next containers is started.
        asked_for_usage: names of the containers whose usage was asked for.
        inspected, refused: how often a container was inspected, and how often nothing answered.

    """

    def __init__(self) -> None:
        self.containers_by_name: dict[str, FakeContainer] = {}
        self.image_names: dict[str, FakeImage] = {}
        self.images_by_id: dict[str, FakeImage] = {}
        self.away = threading.Event()
        self.start_failures: list[Exception] = []
        self.asked_for_usage: list[str] = []
        self.network_ids: list[str] = []
        self.networks_at_starts: list[list[str]] = []
        self._networks_made = 0
        self.inspected = self.refused = 0
        self._listeners: list[queue.Queue[dict[str, Any] | None]] = []
        self._time = _BEGAN
        self.containers = SimpleNamespace(create=self._create, list=self._list)
        self.images = SimpleNamespace(get=self._image)
        self.networks = SimpleNamespace(list=self._networks, create=self._create_network)
        self.api = SimpleNamespace(
            inspect_container=self._inspect,
            kill=lambda name, signal: self.look_up(name).signals.append(signal),
            logs=lambda name, tail: b"".join(self.look_up(name).output[-tail:]),
            stats=self._stats,
            containers=lambda **_: list(self.containers_by_name),
        )

    def check(self) -> None:
        """Fail as the SDK does, while the engine is away."""
        if self.away.is_set():
            self.refused += 1
            raise EngineGoneError("the engine is away")

    def next_time(self) -> datetime:
        self._time += timedelta(seconds=1)
        return self._time

    def add_image(self, reference: str, labels: dict[str, str]) -> FakeImage:
        image = FakeImage(self, f"sha256:{len(self.images_by_id)}", labels)
        self.image_names[reference] = self.images_by_id[image.id] = image
        return image

    def ping(self) -> bool:
        self.check()
        return True

    def info(self) -> dict[str, Any]:
        self.check()
        return {"NCPU": 4, "MemTotal": 16 << 30, "Name": "engine"}

    def events(self, **_: Any) -> EventStream:
        listener: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._listeners.append(listener)
        return EventStream(listener)

    def tell(self, container: FakeContainer) -> None:
        for listener in self._listeners:
            listener.put({"Actor": {"Attributes": container.labels}})

    def drop_connections(self) -> None:
        """End the streams of events, as an engine that is restarted does."""
        for listener in self._listeners:
            listener.put(None)
        self._listeners.clear()

    @property
    def listeners(self) -> int:
        """How many streams of events are open."""
        return len(self._listeners)

    def _create(self, image: FakeImage, command: Any, *, name: str, **options: Any) -> FakeContainer:
        self.check()
        container = FakeContainer(self, image, name, {**options, "command": command})
        self.containers_by_name[name] = container
        return container

    def _list(self, filters: dict[str, list[str]], **_: Any) -> list[FakeContainer]:
        self.check()
        wanted = [tuple(label.split("=", 1)) for label in filters["label"]]
        found = list(self.containers_by_name.values())
        return [one for one in found if all(one.labels.get(key) == value for key, value in wanted)]

    def look_up(self, name: str) -> FakeContainer:
        self.check()
        if name not in self.containers_by_name:
            raise NotFound(f"No such container: {name}")
        return self.containers_by_name[name]

    def _inspect(self, name: str) -> dict[str, Any]:
        attributes = copy.deepcopy(self.look_up(name).attrs)
        self.inspected += 1
        return attributes

    def _image(self, reference: str) -> FakeImage:
        self.check()
        found = self.image_names.get(reference) or self.images_by_id.get(reference)
        if found is None:
            raise ImageNotFound(f"No such image: {reference}")
        return found

    def _stats(self, name: str, **_: Any) -> dict[str, Any]:
        self.look_up(name)
        self.asked_for_usage.append(name)
        return {
            "cpu_stats": {"cpu_usage": {"total_usage": 1_500_000_000}},
            "memory_stats": {"usage": 3000, "stats": {"inactive_file": 1000}},
        }

    def _networks(self, **_: Any) -> list[Any]:
        self.check()
        return [self._network(network_id) for network_id in self.network_ids]

    def _create_network(self, *_: Any, **__: Any) -> Any:
        self._networks_made += 1
        self.network_ids.append(f"network-{self._networks_made}")
        return self._network(self.network_ids[-1])

    def _network(self, network_id: str) -> Any:
        options = {"com.docker.network.bridge.enable_icc": "false"}
        attributes = {"Driver": "bridge", "Options": options, "Labels": {"mljupyter/network": "replicas"}}
        return SimpleNamespace(
            id=network_id,
            name="mljupyter-replicas",
            attrs=attributes,
            remove=lambda: self.network_ids.remove(network_id),
        )


class EventStream:
    """The engine's events until the stream is closed or the connection drops."""

    def __init__(self, events: queue.Queue[dict[str, Any] | None]) -> None:
        self._events = events

    def __iter__(self) -> Iterator[dict[str, Any]]:
        while (event := self._events.get()) is not None:
            yield event

    def close(self) -> None:
        self._events.put(None)


def refusal(text: str, status: int = 500) -> APIError:
    """Return the error of an engine that refuses a request."""
    return APIError(text, SimpleNamespace(status_code=status, reason=""), text)  # type: ignore[arg-type]
