"""One piece of the soak: endpoints under a mixed load, faults that are injected, and a record of each minute."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mljupyter import __version__
from mljupyter.client.errors import StorageError
from mljupyter.registry.artifacts.store import ArtifactStore
from mljupyter.spec import Authentication, EndpointSpec, ReplicaPhase
from mljupyter.targets.machine.client import ControllerClient
from tests.soak import judgement, usage
from tests.soak.endpoints import AT_A_TIME, LIMITS, MODEL, REPLICAS, SCRIPTS, START, STREAMS
from tests.soak.load import Load
from tests.soak.outcome import outcome
from tests.soak.plan import Kind, Planned, plan
from tests.soak.rules import Failure, Injected, explanation
from tests.system.conftest import Machine, clear_away
from tests.waiting import wait_until

MINUTE = 60.0
NEARLY_FULL = 1_000_000
"""Bytes that are left on a disk that is nearly full."""
_SETTLES_SECONDS = 120.0
"""For so long the counts of clients and metrics may differ after the last answer."""


@dataclass
class Piece:
    """A running piece.

    Parameters:
        directory: an empty directory, for the workspace.
        seconds: for how long the load is sent.
        seed: of times, victims and distances.
        write: called with each record.
        small_disk: whether the directory is a disk of its own, that may be filled; otherwise the reason.

    """

    directory: Path
    seconds: float
    seed: int
    write: Callable[[dict[str, Any]], None]
    small_disk: bool | str = True
    faults: list[Injected] = field(default_factory=list)
    records: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        workspace = self.directory / "workspace"
        workspace.mkdir(mode=0o700)
        self.machine = Machine(workspace, ControllerClient(workspace), ArtifactStore(workspace / "artifacts"))
        self._filler = self.directory / "filler"
        self._chance = random.Random(self.seed)
        self._stop = threading.Event()
        self._updates = 0
        self._keys: dict[str, int] = {}
        self._minute = 0
        self._failures: list[Failure] = []
        self._failed_injections: list[str] = []
        self._faults_written = 0
        self._before: tuple[Counter[str], dict[str, Counter[int]]] = (Counter(), defaultdict(Counter))

    def stop(self) -> None:
        """End the load as soon as possible, and close the records as usual."""
        self._stop.set()

    def run(self) -> list[str]:
        """Run the piece; return what does not hold of it."""
        try:
            uris = {name: str(self.machine.healthy(spec).status.scoring_uri) for name, spec in self._specs().items()}
            keys = {name: self.machine.client.keys(name)[0] for name in uris}
            self._keys = dict.fromkeys(uris, 0)
            self._started()
            with Load(STREAMS, uris, keys, self.seed) as load:
                self._began = time.monotonic()
                self._go_on(load)
            self._record(load)
            return self._ended(load)
        finally:
            self._filler.unlink(missing_ok=True)
            clear_away(self.machine)

    def _specs(self) -> dict[str, EndpointSpec]:
        self._codes = {
            name: [self.machine.code(f"{START}{script}\n# {turn}\n") for turn in ("one", "other")]
            for name, script in SCRIPTS.items()
        }
        keyed, scaling = Authentication.KEY, {"replicas": REPLICAS}
        specs = {
            name: self.machine.spec(
                name,
                code=codes[0],
                authentication=keyed,
                scaling=scaling,
                limits={**LIMITS, "maxConcurrentRequests": AT_A_TIME.get(name, 1)},
            )
            for name, codes in self._codes.items()
        }
        version = {
            "noCode": "sklearn",
            "models": [self._model()],
            "interpreter": sys.executable,
            "scaling": scaling,
            "limits": LIMITS,
        }
        parts = {"name": MODEL, "authentication": keyed, "defaultVersion": MODEL, "versions": {MODEL: version}}
        return {**specs, MODEL: EndpointSpec.parse(parts)}

    def _model(self) -> dict[str, Any]:
        import joblib
        from sklearn.tree import DecisionTreeRegressor

        path = self.machine.directory / "model.joblib"
        joblib.dump(DecisionTreeRegressor().fit([[0.0], [1.0]], [0.0, 1.0]), path)
        return {"name": MODEL, "version": 1, "digest": self.machine.store.put(path).digest, "entry": path.name}

    def _go_on(self, load: Load) -> None:
        """Inject what is planned, and record each minute, until the piece is over or stopped."""
        planned = plan(self.seconds, self.seed)
        while not self._stop.is_set() and (passed := time.monotonic() - self._began) < self.seconds:
            if planned and planned[0].at <= passed:
                self._inject(planned.pop(0), load)
            elif passed >= (self._minute + 1) * MINUTE:
                self._record(load)
            else:
                due = min([self.seconds, (self._minute + 1) * MINUTE, *(one.at for one in planned[:1])])
                self._stop.wait(due - passed)

    def _inject(self, planned: Planned, load: Load) -> None:
        """Inject a fault; the disk may refuse what is to be kept on it while it is nearly full."""
        begun, full = time.time(), self._filler.exists()
        endpoint = about = ""
        try:
            endpoint, about = self._injections[planned.kind](self, load)
        except StorageError as error:
            about = f"refused: {error.message.splitlines()[0]}"
            if not full:
                self._failed_injections.append(f"{planned.kind}: {about}")
        except Exception as error:
            about = f"{type(error).__name__}: {error}"
            self._failed_injections.append(f"{planned.kind} at {planned.at:.0f} s: {about}")
        self.faults.append(Injected(planned.kind, endpoint, begun, time.time(), about))

    def _update(self, load: Load) -> tuple[str, str]:
        names = list(SCRIPTS)
        name = names[self._updates % len(names)]
        spec = self.machine.client.endpoint(name).spec
        version = spec.versions[name]
        code = next(code for code in self._codes[name] if code != version.code)
        self._updates += 1
        versions = {name: version.model_copy(update={"code": code})}
        self.machine.client.replace(spec.model_copy(update={"versions": versions}))
        return name, ""

    def _regenerate(self, load: Load) -> tuple[str, str]:
        """Regenerate the key that is not in use, and use it from now on."""
        name = self._chance.choice([*SCRIPTS, MODEL])
        other = 1 - self._keys[name]
        self.machine.client.regenerate_key(name, ("primary", "secondary")[other])
        load.use(name, self.machine.client.keys(name)[other])
        self._keys[name] = other
        return name, ("primary", "secondary")[other]

    def _kill(self, load: Load) -> tuple[str, str]:
        """Kill one of several replicas that are ready."""
        names = list(SCRIPTS)
        self._chance.shuffle(names)
        for name in names:
            replicas = self.machine.client.endpoint(name).status.versions[name].replicas
            ready = [one.pid for one in replicas if one.phase is ReplicaPhase.READY and one.pid]
            if len(ready) >= REPLICAS:
                victim = self._chance.choice(ready)
                os.kill(victim, signal.SIGKILL)
                return name, f"pid {victim}"
        return "", "none, since no version has several that are ready"

    def _replace_router(self, load: Load) -> tuple[str, str]:
        self.machine.client.replace_router()
        return "", ""

    def _fill(self, load: Load) -> tuple[str, str]:
        if self.small_disk is not True:
            return "", f"not possible: {self.small_disk}"
        found = os.statvfs(self.directory)
        with self._filler.open("wb", buffering=0) as file:
            for _ in range((found.f_bavail * found.f_frsize - NEARLY_FULL) // 65_536):
                file.write(bytes(65_536))
        return "", f"{NEARLY_FULL / 1e6:.0f} MB left"

    def _free(self, load: Load) -> tuple[str, str]:
        self._filler.unlink(missing_ok=True)
        return "", ""

    _injections = {
        Kind.UPDATE: _update,
        Kind.KEY: _regenerate,
        Kind.KILL: _kill,
        Kind.ROUTER: _replace_router,
        Kind.DISK_FILLED: _fill,
        Kind.DISK_FREED: _free,
    }

    def _write(self, record: dict[str, Any]) -> None:
        record = {"time": _time(time.time()), **record}
        self.records.append(record)
        self.write(record)

    def _started(self) -> None:
        self._write(
            {
                "record": "start",
                "planned_seconds": self.seconds,
                "seed": self.seed,
                "release": __version__,
                "python": ".".join(map(str, sys.version_info[:3])),
                "cpus": os.cpu_count(),
                "small_disk": self.small_disk,
                "rates": {stream.name: round(stream.rate, 2) for stream in STREAMS},
            }
        )

    def _record(self, load: Load) -> None:
        """Record what has happened since the last record, and what is used now."""
        self._minute += 1
        passed = time.monotonic() - self._began
        sent, statuses = load.sent(), load.statuses()
        known = len(self._failures)
        self._failures += load.failures(known)
        self._write(
            {
                "record": "minute",
                "seconds": round(passed, 1),
                "sent": dict(sent - self._before[0]),
                "statuses": {name: _numbers(found - self._before[1][name]) for name, found in statuses.items()},
                "failures": [self._explained(failure) for failure in self._failures[known:]],
                "faults": [_shown(fault) for fault in self.faults[self._faults_written :]],
                "processes": usage.processes(self.machine),
                "disk": usage.disk(self.machine.directory, self._filler),
                "load_average": round(os.getloadavg()[0], 2),
            }
        )
        self._before, self._faults_written = (sent, statuses), len(self.faults)

    def _explained(self, failure: Failure) -> dict[str, Any]:
        cause = explanation(failure, self.faults)
        shown = {**asdict(failure), "sent": _time(failure.sent), "at": _time(failure.at)}
        return {**shown, "explained_by": None if cause is None else f"{cause.kind} at {_time(cause.begun)}"}

    def _ended(self, load: Load) -> list[str]:
        clients = {name: judgement.by_class(found) for name, found in load.statuses().items()}
        metrics = self._metrics_like(clients)
        self._write(
            {
                "record": "end",
                "stopped": self._stop.is_set(),
                "clients": clients,
                "metrics": metrics,
                "failed_injections": self._failed_injections,
            }
        )
        return outcome(self.records).problems

    def _metrics_like(self, clients: dict[str, dict[str, int]]) -> dict[str, dict[str, float]]:
        """Return the counts of the metrics, once they are those of the clients or have had the time to be."""
        deadline = time.monotonic() + _SETTLES_SECONDS

        def read() -> dict[str, dict[str, float]] | None:
            found = {name: self._counts(name) for name in clients}
            same = not judgement.differences(clients, found)
            return found if same or time.monotonic() > deadline else None

        return wait_until(read, "the metrics are read")

    def _counts(self, name: str) -> dict[str, float]:
        since = time.monotonic() - self._began + 600
        table = self.machine.client.metrics(name, since=since, merge=True)["versions"]
        return {column: sum(table[column]) for column in judgement.by_class({})}


def _numbers(statuses: Counter[int]) -> dict[str, int]:
    return {str(status): number for status, number in statuses.items()}


def _shown(fault: Injected) -> dict[str, Any]:
    return {**asdict(fault), "begun": _time(fault.begun), "done": _time(fault.done)}


def _time(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")


@contextlib.contextmanager
def stopped_by_signals(piece: Piece) -> Iterator[None]:
    """Let ``kill`` and Ctrl-C end a piece as if its time were over."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: piece.stop()) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def appended(path: Path, piece: str) -> Callable[[dict[str, Any]], None]:
    """Return a function that appends a record of a piece to the file of results."""
    path.parent.mkdir(parents=True, exist_ok=True)

    def write(record: dict[str, Any]) -> None:
        line = json.dumps({"piece": piece, **record}, separators=(",", ":"))
        with path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    return write
