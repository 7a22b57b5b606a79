"""A compute target in memory: replicas are functions of the test process, requests come through real sockets.

It is a whole target of a third party and knows only what such a party may know: `mljupyter.targets.base`, the
documents, the errors of endpoint clients, the artifact store and the decisions in `mljupyter.engine`. `FakeTarget` is
what its entry point returns; it asks the `FakeControlPlane`, which lives in the test process, over a Unix socket, so
that the command line finds the same endpoints from a process of its own.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import tempfile
import threading
import time
import traceback
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any, Self

from mljupyter.client import errors
from mljupyter.engine.changes import Changes
from mljupyter.engine.replicas.revision import revision
from mljupyter.engine.rollout import canary
from mljupyter.engine.rollout.request_counts import RequestCounts
from mljupyter.engine.rollout.rules import rollback_target
from mljupyter.engine.rollout.traffic import weights
from mljupyter.registry.artifacts.store import ArtifactStore
from mljupyter.spec import (
    Authentication,
    EndpointChanges,
    EndpointKind,
    EndpointRecord,
    EndpointSpec,
    EndpointState,
    EndpointStatus,
    Problem,
    ReplicaPhase,
    ReplicaStatus,
    RolloutPhase,
    RolloutPlan,
    ScalingDecision,
    VersionSpec,
    VersionStatus,
)
from mljupyter.spec.collected import CollectedFile
from mljupyter.spec.difference import difference_lines
from mljupyter.spec.history import HistoryEntry
from mljupyter.targets.base import Needs, Target, TargetContext
from mljupyter.telemetry.metrics.histogram import Histogram
from mljupyter.telemetry.metrics.report import Period, report
from mljupyter.telemetry.metrics.samples import Counts, Interval, Levels

ADDRESS = "MLJUPYTER_FAKE_TARGET"
"""Environment variable: the path of the control plane's socket. Without it there is no such target."""
_TICK = 0.05
_TOKEN_SECONDS = 3600


def targets(context: TargetContext) -> Iterable[Target]:
    """Return the target ``fake`` of a workspace: what the entry point names."""
    return [FakeTarget(context)] if ADDRESS in os.environ else []


class FakeTarget(Target):
    """A place to run endpoints that exists only in tests."""

    name = "fake"
    type = "Fake"
    about = "Functions of a test."
    needs = Needs.INTERPRETER
    ignored_arguments = frozenset({"location", "vnet_name", "cpu_cores_limit"})

    def __init__(self, context: TargetContext) -> None:
        self._directory = str(context.directory)

    def availability(self) -> str | None:
        """Return what the control plane says of itself."""
        return self.endpoints().availability()

    def endpoints(self) -> FakeClient:
        """Return the client: one object for each control plane and workspace."""
        address = os.environ[ADDRESS]
        return _clients.setdefault((address, self._directory), FakeClient(address, self._directory))


class FakeClient:
    """The endpoint client: each method is a message to the control plane."""

    def __init__(self, address: str, directory: str) -> None:
        self._address = address
        self._directory = directory

    def __getattr__(self, method: str) -> Any:
        if method.startswith("_"):
            raise AttributeError(method)
        return partial(self._ask, method)

    def follow_logs(
        self, name: str, *, lines: int = 100, version: str | None = None, names: bool = False
    ) -> Iterator[str]:
        """Yield the last lines of the log, then each new line."""
        after = max(self._ask("log_length", name) - lines, 0)
        while True:
            try:
                found = self._ask("log_lines", name, after, 1.0)
            except errors.EndpointNotFoundError:
                return
            after += len(found)
            yield from (line for wrote, line in found if version in (None, wrote))

    def collected_files(self, name: str) -> list[CollectedFile]:
        """Return no files: functions of the test process collect nothing."""
        self.endpoint(name)
        return []

    def read_collected(self, name: str, file: CollectedFile) -> Iterator[bytes]:
        """Refuse: there are no files."""
        raise errors.CollectedDataError(f"{file.path!r} does not exist.")

    def _ask(self, method: str, *args: Any, **kwargs: Any) -> Any:
        try:
            with Client(self._address, "AF_UNIX") as connection:
                connection.send((self._directory, method, args, kwargs))
                succeeded, result = connection.recv()
        except (OSError, EOFError):
            raise errors.ControllerStartError("the control plane of 'fake' cannot be reached.") from None
        if not succeeded:
            raise result
        return result


_clients: dict[tuple[str, str], FakeClient] = {}


class FakeControlPlanes:
    """Answers all clients: one control plane for each workspace. Use it as a context manager."""

    def __init__(self) -> None:
        self.address = tempfile.mktemp(prefix="mlj-fake-", dir="/tmp")
        self.unavailable: str | None = None
        self._planes: dict[str, FakeControlPlane] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._listener = Listener(self.address, "AF_UNIX", backlog=64)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        for plane in self._planes.values():
            plane.close()

    def _accept(self) -> None:
        while True:
            try:
                connection = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=[connection], daemon=True).start()

    def _answer(self, connection: Connection) -> None:
        with connection:
            try:
                directory, method, args, kwargs = connection.recv()
            except (EOFError, OSError):  # the client has gone
                return
            with self._lock:
                if directory not in self._planes:
                    self._planes[directory] = FakeControlPlane(directory)
                plane = self._planes[directory]
            try:
                result = self.unavailable if method == "availability" else getattr(plane, method)(*args, **kwargs)
                answer = (True, result)
            except Exception as error:
                answer = (False, error)
            with suppress(OSError):  # the client has gone
                connection.send(answer)


class _Endpoint:
    """Everything that the control plane keeps of one endpoint."""

    def __init__(self, record: EndpointRecord) -> None:
        self.record = record
        self.keys: tuple[str, str] = ("", "")
        self.tokens: set[str] = set()
        self.history: list[HistoryEntry] = []
        self.scaling: list[ScalingDecision] = []
        self.log: list[tuple[str, str]] = []  # version and line
        self.requests: list[tuple[float, str, int, float]] = []  # time, version, status, milliseconds
        self.replicas: dict[str, Any] = {}  # run() of each version
        self.busy: dict[str, int] = {}
        self.step_began = 0.0
        self.server: ThreadingHTTPServer | None = None


class FakeControlPlane:
    """The control plane of one workspace. Its methods are those of an `EndpointClient`."""

    def __init__(self, directory: str) -> None:
        self._artifacts = ArtifactStore(Path(directory) / "artifacts")
        self._endpoints: dict[str, _Endpoint] = {}
        self._changed = threading.Condition(threading.RLock())
        self._resource_version = 0
        self._numbers = Changes(secrets.token_hex())
        self._closed = threading.Event()
        self._starting: list[threading.Thread] = []
        threading.Thread(target=self._advance_rollouts, daemon=True).start()

    def close(self) -> None:
        """End all endpoints."""
        self._closed.set()
        for name in list(self._endpoints):
            self.delete(name)
        for thread in self._starting:
            thread.join()

    def endpoints(self) -> list[EndpointRecord]:
        return [endpoint.record for endpoint in self._endpoints.values()]

    def endpoint(self, name: str) -> EndpointRecord:
        return self._find(name).record

    def create(
        self,
        spec: EndpointSpec,
        *,
        overwrite: bool = False,
        generation: int | None = None,
        primary_key: str | None = None,
        secondary_key: str | None = None,
    ) -> EndpointRecord:
        with self._changed:
            present = self._endpoints.get(spec.name)
            if overwrite and generation is not None:
                self._refuse_other_generation(spec.name, generation)
            if present is not None and not overwrite:
                raise errors.EndpointExistsError(f"an endpoint {spec.name!r} exists. Deploy with overwrite=True.")
            given = [_checked(primary_key), _checked(secondary_key)]
            record = self._put(spec, "deployed again" if present else "created")
            endpoint = self._endpoints[spec.name]
            known = zip(given, endpoint.keys, strict=True)
            endpoint.keys = tuple(key or old or secrets.token_urlsafe() for key, old in known)
            return record

    def replace(self, spec: EndpointSpec, *, generation: int | None = None) -> EndpointRecord:
        with self._changed:
            before = self._find(spec.name).record
            if generation is not None:
                self._refuse_other_generation(spec.name, generation)
            if canary.collides(before.spec, spec):
                self._refuse_during_rollout(before)
            return self._put(spec, "updated")

    def delete(self, name: str) -> None:
        with self._changed:
            endpoint = self._find(name)
            del self._endpoints[name]
            self._numbers.note(name)
            self._changed.notify_all()
        if endpoint.server is not None:
            endpoint.server.shutdown()
            endpoint.server.server_close()

    def watch(self, name: str, after: int, timeout: float) -> EndpointRecord:
        with self._changed:
            self._changed.wait_for(lambda: self._find(name).record.resource_version > after, timeout)
            return self._find(name).record

    def changes(self, after: str, timeout: float) -> EndpointChanges:
        with self._changed:
            if (known := self._numbers.number_of(after)) is not None:
                self._changed.wait_for(lambda: self._numbers.number > known, timeout)
            names = list(self._endpoints) if known is None else self._numbers.since(known)
            return EndpointChanges(
                token=self._numbers.token,
                whole=known is None,
                records=[self._endpoints[name].record for name in names if name in self._endpoints],
                removed=[name for name in names if name not in self._endpoints],
            )

    def start_rollout(self, name: str, plan: RolloutPlan) -> EndpointRecord:
        with self._changed:
            record = self._find(name).record
            self._refuse_during_rollout(record)
            _refuse_unknown(record.spec, plan.version)
            if plan.version == record.spec.default_version:
                raise errors.RolloutRefusedError(f"{plan.version!r} is the default version: nothing to roll out.")
            if record.status.versions[plan.version].state is not EndpointState.HEALTHY:
                raise errors.RolloutRefusedError(f"version {plan.version!r} is not Healthy.")
            if (share := canary.share_before(record.spec, plan.version)) > plan.steps[0]:
                raise errors.RolloutRefusedError(f"version {plan.version!r} has {share} % already.")
            return self._set_rollout(name, canary.begin(plan, datetime.now(UTC)))

    def control_rollout(self, name: str, action: str) -> EndpointRecord:
        with self._changed:
            rollout, now = self._find(name).record.rollout, datetime.now(UTC)
            wanted = {"pause": RolloutPhase.RUNNING, "resume": RolloutPhase.PAUSED}.get(action)
            if rollout is None or not (rollout.active if wanted is None else rollout.phase is wanted):
                raise errors.RolloutRefusedError(f"{name!r} has no rollout that is {wanted or 'under way'}.")
            if action == "pause":
                return self._set_rollout(name, canary.paused(rollout))
            ended = canary.aborted(rollout, now, "aborted")
            return self._set_rollout(name, canary.resumed(rollout, now) if action == "resume" else ended)

    def promote(self, name: str, version: str) -> EndpointRecord:
        with self._changed:
            record = self._find(name).record
            self._refuse_during_rollout(record)
            _refuse_unknown(record.spec, version)
            return self._put(canary.promoted(record.spec, version), f"promoted {version}")

    def rollback(self, name: str, number: int | None = None, *, generation: int | None = None) -> EndpointRecord:
        with self._changed:
            endpoint = self._find(name)
            if generation is not None:
                self._refuse_other_generation(name, generation)
            if number is None and endpoint.record.rollout is not None and endpoint.record.rollout.active:
                return self.control_rollout(name, "abort")
            entry = rollback_target(endpoint.history, endpoint.record.spec, number)
            if entry is None and number is None:
                raise errors.RolloutRefusedError(
                    f"{name!r} was not changed yet: there is no earlier state to roll back to."
                )
            if entry is None:
                raise errors.InvalidSpecError(f"the history of {name!r} has no entry {number}.")
            return self._put(entry.spec, f"rolled back to {entry.number}")

    def history(self, name: str) -> list[HistoryEntry]:
        return self._find(name).history

    def keys(self, name: str) -> tuple[str, str]:
        endpoint = self._find(name)
        if endpoint.record.spec.authentication is not Authentication.KEY:
            raise errors.KeysNotAvailableError(f"endpoint {name!r} has no keys: key authentication is off.")
        return endpoint.keys

    def regenerate_key(self, name: str, which: str, key: str | None = None) -> None:
        primary, secondary = self.keys(name)
        new = _checked(key) or secrets.token_urlsafe()
        self._find(name).keys = (new, secondary) if which == "primary" else (primary, new)

    def token(self, name: str, subject: str = "") -> dict[str, Any]:
        endpoint = self._find(name)
        if endpoint.record.spec.authentication is not Authentication.TOKEN:
            raise errors.TokensNotAvailableError(f"endpoint {name!r} has no token authentication.")
        token, now = secrets.token_urlsafe(), int(time.time())
        endpoint.tokens.add(token)
        return {"token": token, "refreshAfter": now + _TOKEN_SECONDS // 2, "expires": now + _TOKEN_SECONDS}

    def logs(
        self,
        name: str,
        *,
        lines: int = 5000,
        version: str | None = None,
        replica: str | None = None,
        startup: bool = False,
        names: bool = False,
    ) -> str:
        found = [line for wrote, line in self._find(name).log if version in (None, wrote)]
        return "".join(found[:lines] if startup else found[-lines:])

    def log_length(self, name: str) -> int:
        return len(self._find(name).log)

    def log_lines(self, name: str, after: int, timeout: float) -> list[tuple[str, str]]:
        with self._changed:
            self._changed.wait_for(lambda: len(self._find(name).log) > after, timeout)
            return self._find(name).log[after:]

    def records(self, name: str, *, count: int = 1000, version: str | None = None) -> list[dict[str, Any]]:
        endpoint = self._find(name)
        enabled = [item for item, spec in endpoint.record.spec.versions.items() if spec.app_insights_enabled]
        return [
            {"type": "request", "time": at, "resultCode": status, "duration": milliseconds, "success": status < 400}
            for at, wanted, status, milliseconds in endpoint.requests
            if wanted in enabled and version in (None, wanted)
        ][-count:]

    def metrics(
        self, name: str, *, since: float, every: int | None = None, after: int | None = None, merge: bool = False
    ) -> dict[str, Any]:
        endpoint, now = self._find(name), time.time()
        try:
            period = Period.of(now, now - since, every)
        except ValueError as error:
            raise errors.InvalidSpecError(str(error)) from None
        period = period if after is None else Period(after, period.until, period.every)
        return report(_Series(endpoint), name, period, merge=merge)

    def scaling_history(self, name: str, version: str | None = None, most: int = 1000) -> list[ScalingDecision]:
        return [item for item in self._find(name).scaling if version in (None, item.version)][-most:]

    def score(self, name: str, version: str | None, credential: str, body: str) -> tuple[int, Any]:
        """Answer a scoring request: called by the HTTP server."""
        endpoint, began = self._find(name), time.monotonic()
        spec = endpoint.record.spec
        valid = {Authentication.KEY: set(endpoint.keys), Authentication.TOKEN: endpoint.tokens}
        if credential not in valid.get(spec.authentication, {credential}):
            return 401, {"code": "Unauthorized", "message": "A valid key or token is needed."}
        shares = self._weights(endpoint.record)
        chosen = version if version in spec.versions else random.choices(list(shares), list(shares.values()))[0]
        run = endpoint.replicas.get(chosen)
        if run is None:
            return 503, {"code": "NoReplica", "message": "No replica is ready."}
        self._count(endpoint, chosen, 1)
        try:
            status, answer = 200, run(body)
        except Exception as error:
            self._write(endpoint, chosen, traceback.format_exc())
            status, answer = 500, {"code": "ScriptFailed", "message": str(error)}
        self._count(endpoint, chosen, -1)
        endpoint.requests.append((time.time(), chosen, status, (time.monotonic() - began) * 1000))
        return status, answer

    def _find(self, name: str) -> _Endpoint:
        if name in self._endpoints:
            return self._endpoints[name]
        raise errors.EndpointNotFoundError.named(name, self._endpoints)

    def _put(self, spec: EndpointSpec, action: str) -> EndpointRecord:
        """Accept a spec, and bring what runs to it on a thread of its own."""
        if spec.compute_target != FakeTarget.name:
            raise errors.InvalidSpecError(f"computeTarget is {spec.compute_target!r}: only 'fake' runs here.")
        now, endpoint = datetime.now(UTC), self._endpoints.get(spec.name)
        before = None if endpoint is None else endpoint.record
        if endpoint is None:
            empty = EndpointRecord(
                spec=spec,
                status=EndpointStatus(),
                generation=0,
                resource_version=0,
                created_time=now,
                updated_time=now,
            )
            endpoint = self._endpoints[spec.name] = _Endpoint(empty)
            endpoint.server = _serve(self, spec)
        if spec.kind is EndpointKind.LOCAL:
            spec = spec.model_copy(update={"port": endpoint.server.server_port})
        if before is None or before.spec != spec:
            lines = difference_lines(before.spec.document(), spec.document()) if before else []
            number = len(endpoint.history) + 1
            entry = HistoryEntry(number=number, time=now, user="", action=action, changes=lines, spec=spec)
            endpoint.history.append(entry)
        self._update(spec.name, spec=spec, generation=endpoint.record.generation + 1, updated_time=now)
        self._set_status(spec.name, state=EndpointState.TRANSITIONING, problem=None)
        starting = threading.Thread(target=self._start, args=[endpoint, endpoint.record.generation], daemon=True)
        self._starting = [*filter(threading.Thread.is_alive, self._starting), starting]
        starting.start()
        return endpoint.record

    def _start(self, endpoint: _Endpoint, generation: int) -> None:
        """Start replicas of the versions that have none of their revision, and note what became of them.

        The endpoint may be deleted meanwhile.
        """
        spec = endpoint.record.spec
        name = spec.name
        found: dict[str, tuple[Any, VersionStatus]] = {}
        for version, wanted in spec.versions.items():
            present = endpoint.record.status.versions.get(version, VersionStatus())
            if present.ready_revision != revision(wanted, "fake") or version not in endpoint.replicas:
                found[version] = self._started(endpoint, version, wanted)
            else:
                found[version] = endpoint.replicas[version], _scaled(present, present.replicas_wanted, wanted)
        with self._changed:
            if self._endpoints.get(name) is not endpoint or endpoint.record.generation != generation:
                return
            endpoint.replicas = {version: run or endpoint.replicas.get(version) for version, (run, _) in found.items()}
            problems = [status.problem for _, status in found.values() if status.problem is not None]
            own = spec.kind is EndpointKind.LOCAL
            path = "" if own else f"/api/v1/service/{name}"
            uri = f"http://{'localhost' if own else '127.0.0.1'}:{endpoint.server.server_port}{path}"
            self._set_status(
                name,
                state=EndpointState.FAILED if problems else EndpointState.HEALTHY,
                observed_generation=generation,
                scoring_uri=f"{uri}/score",
                swagger_uri=f"{uri}/swagger.json",
                default_version=spec.default_version,
                versions={version: status for version, (_, status) in found.items()},
                problem=problems[0] if problems else None,
            )

    def _started(self, endpoint: _Endpoint, version: str, wanted: VersionSpec) -> tuple[Any, VersionStatus]:
        """Return the run() of a version and its status, after its init()."""
        mine = revision(wanted, "fake")
        with tempfile.TemporaryDirectory() as directory:
            place = self._artifacts.fetch(wanted.code.digest, Path(directory) / "code")
            source = place if place.is_file() else place / Path(wanted.code.entry_script).name
            text = source.read_text()
        try:
            module = {"print": partial(self._print, endpoint, version)}
            exec(compile(text, wanted.code.entry_script, "exec"), module)
            module["init"]()
        except Exception:
            lines = traceback.format_exc().splitlines()
            self._write(endpoint, version, "\n".join(lines))
            problem = Problem(code="StartFailed", message=f"version {version!r} did not start.", last_lines=lines[-5:])
            return None, VersionStatus(state=EndpointState.FAILED, revision=mine, failed_revision=mine, problem=problem)
        status = VersionStatus(state=EndpointState.HEALTHY, revision=mine, ready_revision=mine)
        return module["run"], _scaled(status, wanted.scaling.initial_replicas, wanted)

    def _count(self, endpoint: _Endpoint, version: str, change: int) -> None:
        """Count the requests that run, and start a replica when there are more than replicas."""
        with self._changed:
            endpoint.busy[version] = running = endpoint.busy.get(version, 0) + change
            spec, status = endpoint.record.spec.versions[version], endpoint.record.status.versions[version]
            policy, before = spec.scaling.autoscale, status.replicas_wanted
            if policy is None or running <= before or before >= policy.max_replicas:
                return
            endpoint.scaling.append(
                ScalingDecision(
                    time=datetime.now(UTC),
                    version=version,
                    before=before,
                    after=before + 1,
                    admitted=before + 1,
                    reason="more requests than replicas",
                    demand=running,
                    needed=running,
                    min_replicas=policy.min_replicas,
                    max_replicas=policy.max_replicas,
                    target_utilization=policy.target_utilization,
                    max_concurrent_requests=spec.limits.max_concurrent_requests,
                )
            )
            versions = {**endpoint.record.status.versions, version: _scaled(status, before + 1, spec)}
            self._set_status(endpoint.record.spec.name, versions=versions)

    def _print(self, endpoint: _Endpoint, version: str, *values: object) -> None:
        self._write(endpoint, version, " ".join(map(str, values)))

    def _write(self, endpoint: _Endpoint, version: str, text: str) -> None:
        with self._changed:
            endpoint.log += [(version, f"{line}\n") for line in text.splitlines()]
            self._changed.notify_all()

    def _advance_rollouts(self) -> None:
        while not self._closed.wait(_TICK):
            with self._changed:
                for name, endpoint in self._endpoints.items():
                    rollout = endpoint.record.rollout
                    if rollout is None or not rollout.active:
                        continue
                    version = rollout.plan.version
                    statuses = [
                        status
                        for at, wanted, status, _ in endpoint.requests
                        if wanted == version and at >= rollout.step_time.timestamp()
                    ]
                    failed = sum(status >= 500 for status in statuses)
                    mistakes = sum(400 <= status < 500 for status in statuses)
                    counts = RequestCounts(len(statuses), failed, client_errors=mistakes)
                    ready = endpoint.replicas.get(version) is not None
                    after = canary.advance(rollout, datetime.now(UTC), canary.Observation(ready, counts))
                    if after != rollout:
                        self._set_rollout(name, after)
                    if after.phase is RolloutPhase.COMPLETED:
                        spec = canary.completed(endpoint.record.spec, rollout.plan)
                        self._put(spec, f"rolled out {version} to {rollout.plan.steps[-1]} %")

    def _set_rollout(self, name: str, rollout: Any) -> EndpointRecord:
        self._update(name, rollout=rollout)
        return self._set_status(name)

    def _weights(self, record: EndpointRecord) -> dict[str, int]:
        spec = canary.in_force(record.spec, record.rollout)
        return weights({name: item.traffic_percentile for name, item in spec.versions.items()}, spec.default_version)

    def _set_status(self, name: str, **fields: Any) -> EndpointRecord:
        """Change the status of an endpoint; the weights in it follow from its spec and its rollout."""
        record = self._find(name).record
        shares = self._weights(record)
        versions = {
            version: status.model_copy(update={"weight": shares.get(version, 0)})
            for version, status in fields.pop("versions", record.status.versions).items()
        }
        return self._update(name, status=record.status.model_copy(update={**fields, "versions": versions}))

    def _update(self, name: str, **fields: Any) -> EndpointRecord:
        endpoint = self._find(name)
        self._resource_version += 1
        self._numbers.note(endpoint.record.spec.name)
        endpoint.record = endpoint.record.model_copy(update={**fields, "resource_version": self._resource_version})
        self._changed.notify_all()
        return endpoint.record

    def _refuse_other_generation(self, name: str, generation: int) -> None:
        present = self._endpoints.get(name)
        if present is None or present.record.generation != generation:
            raise errors.EndpointChangedError(
                f"endpoint {name!r} was changed or deleted by another operation: it was read at generation "
                f"{generation}.\nNothing was changed now. Read it again and repeat the change."
            )

    def _refuse_during_rollout(self, record: EndpointRecord) -> None:
        if record.rollout is not None and record.rollout.active:
            raise errors.RolloutInProgressError(f"a rollout of {record.spec.name!r} is under way. Abort it first.")


class _Series:
    """The time series of one endpoint, one interval for each second."""

    def __init__(self, endpoint: _Endpoint) -> None:
        self._endpoint = endpoint

    def intervals(self, endpoint: str, after: int, until: int, *, fine: bool) -> list[Interval]:
        record = self._endpoint.record
        begun = int(max(after, record.created_time.timestamp()))
        found = []
        for second in range(begun, until):
            for version, status in record.status.versions.items():
                mine = [item for item in self._endpoint.requests if int(item[0]) == second and item[1] == version]
                counts = Counts(
                    requests=len(mine),
                    server_errors=sum(item[2] >= 500 for item in mine),
                    runs=len(mine),
                    started=len(mine),
                    run_microseconds=int(sum(item[3] for item in mine) * 1000),
                    latency=Histogram.of(item[3] for item in mine),
                )
                levels = Levels(
                    replicas_wanted=status.replicas_wanted,
                    replicas_ready=status.replicas_ready,
                    weight=status.weight,
                )
                found.append(Interval(second + 1, version, 1.0, counts, levels))
        return found

    def usages(self, endpoint: str, after: int, until: int, *, fine: bool) -> list[Any]:
        return []


def _serve(plane: FakeControlPlane, spec: EndpointSpec) -> ThreadingHTTPServer:
    """Return a running HTTP server of one endpoint, on the port of its own if it has one."""
    name = spec.name

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
            version = self.headers.get("azureml-model-deployment")
            credential = self.headers.get("authorization", "").removeprefix("Bearer ")
            self._reply(*plane.score(name, version, credential, body))

        def do_GET(self) -> None:
            self._reply(200, {"swagger": "2.0"} if self.path.endswith("swagger.json") else "Healthy")

        def _reply(self, status: int, answer: object) -> None:
            data = b"Healthy" if answer == "Healthy" else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", spec.port or 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
    return server


def _scaled(status: VersionStatus, replicas: int, wanted: VersionSpec) -> VersionStatus:
    """Return the status of a version with so many replicas, within what its scaling says."""
    count = replicas if wanted.scaling.autoscale else wanted.scaling.initial_replicas
    running = [
        ReplicaStatus(id=f"{status.revision}-{number}", phase=ReplicaPhase.READY, revision=status.revision)
        for number in range(count)
    ]
    return status.model_copy(update={"replicas_wanted": count, "replicas_ready": count, "replicas": running})


def _refuse_unknown(spec: EndpointSpec, version: str) -> None:
    if version not in spec.versions:
        listed = ", ".join(sorted(spec.versions))
        raise errors.InvalidSpecError(f"{spec.name!r} has no version {version!r}. It has {listed}.")


def _checked(key: str | None) -> str | None:
    if key is not None and (not 8 <= len(key) <= 256 or not key.isascii() or " " in key):
        raise errors.InvalidSpecError("a key was given that breaks the rule: 8 to 256 printable ASCII characters.")
    return key
