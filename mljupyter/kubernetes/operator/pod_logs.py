"""PodLogs: the logs of replicas in pods. Those of ended containers are kept here, since their pods go away."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from mljupyter.kubernetes.api_server.connection import ApiError, ApiServer
from mljupyter.kubernetes.objects import names
from mljupyter.runtimes.base import ReplicaLog, RunningReplica
from mljupyter.runtimes.timed_log import entries, part_after, seconds

KEPT = 3
_MOST_LINES = "5000"
_MOST_BYTES = str(1 << 20)
_ANSWER_WITHIN = 30.0
_MOST_ATTEMPTS, _PAUSE = 4, 0.2
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT")


class PodLogs:
    """Reads logs of running containers from the API server, and those of ended ones from its files.

    Parameters:
        api: the API server.
        namespace: the namespace of the operator, and of pods for which no other one is given.
        directory: where logs of ended containers are kept: the newest `KEPT` of each version.

    """

    def __init__(self, api: ApiServer, namespace: str, directory: Path) -> None:
        self._api = api
        self._namespace = namespace
        self._directory = directory
        self._loop = asyncio.get_running_loop()

    async def keep(
        self, replica: RunningReplica, restarts: int, count: int, *, previous: bool, namespace: str | None = None
    ) -> list[str]:
        """Keep the log of a container, as far as it has been written. Return its last lines.

        Parameters:
            replica: the replica that ran in it.
            restarts: how often a container of its pod had ended before.
            count: the number of lines to return.
            previous: whether another container may have been started in its place.
            namespace: that of its pod, if it is not the operator's.

        """
        query = {"timestamps": "true", "tailLines": _MOST_LINES, "limitBytes": _MOST_BYTES}
        path = self._path(replica.id, namespace)
        text = ""
        for attempt in range(_MOST_ATTEMPTS):  # while kubelet replaces a container, it finds neither log for a moment
            for of_previous in ("true", "false") if previous else ("false",):
                with contextlib.suppress(ApiError):  # the container or the pod is gone
                    text = text or _log(await self._api.text(path, previous=of_previous, **query))
            if text or not previous:
                break
            await asyncio.sleep(_PAUSE * attempt)
        directory = self._directory / replica.endpoint / replica.version
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = directory / f"{replica.started_time:.3f}@{restarts}@{replica.id}"
        if text or not file.exists():
            file.write_text(text, encoding="utf-8")
        for old in sorted(directory.iterdir(), key=lambda one: one.stat().st_mtime)[:-KEPT]:
            old.unlink(missing_ok=True)
        found = [line for _, line in entries(text.splitlines(keepends=True), None, records=False, ended=lambda: True)]
        return [line.rstrip("\n") for line in found if line is not None][-count:]

    def running(self, replica: RunningReplica, *, records: bool, namespace: str | None = None) -> ReplicaLog:
        """Return the log of a replica that runs, without the records of requests, or these records alone."""
        read = partial(self._live, self._path(replica.id, namespace), records=records)
        return _replica_log(replica.id, replica.started_time, read)

    def ended(
        self, endpoint: str, version: str | None, running: Mapping[str, int], *, records: bool
    ) -> list[ReplicaLog]:
        """Return the kept logs of replicas of an endpoint, or of one version.

        Parameters:
            endpoint, version: the endpoint; the version, None for all.
            running: the replicas whose log is still to be had from the API server, with their restarts.
            records: as in `running`.

        """
        found = []
        for path in sorted(self._directory.glob(f"{endpoint}/{version or '*'}/*")):
            started, restarts, replica_id = path.name.split("@")
            if running.get(replica_id) == int(restarts):
                continue
            name = f"{replica_id}@{restarts}" if replica_id in running else replica_id
            found.append(_replica_log(name, float(started), partial(_kept, path, records=records)))
        return found

    def forget(self, endpoint: str) -> None:
        """Remove the kept logs of an endpoint."""
        for path in self._directory.glob(f"{endpoint}/*/*"):
            path.unlink(missing_ok=True)

    def _path(self, pod: str, namespace: str | None) -> str:
        return f"{names.pods(namespace or self._namespace)}/{pod}/log"

    def _live(self, path: str, cursor: str | None, *, records: bool) -> Iterator[tuple[str, str | None]]:
        """Yield the entries of a running pod's log. It is called in a thread."""
        query = {"timestamps": "true", "tailLines": _MOST_LINES}
        if cursor is not None:
            since = datetime.fromtimestamp(seconds(cursor), UTC)
            query = {"timestamps": "true", "sinceTime": f"{since:%Y-%m-%dT%H:%M:%S.%f}Z"}
        asked = self._api.text(path, container="server", **query)
        try:
            text = _log(asyncio.run_coroutine_threadsafe(asked, self._loop).result(_ANSWER_WITHIN))
        except (ApiError, TimeoutError):
            return  # it has not started yet, or is gone
        yield from entries(text.splitlines(keepends=True), cursor, records=records, ended=lambda: False)


def _log(answer: str) -> str:
    """Return an answer if it is a log: for a container that is gone, kubelet answers 200 with its own error."""
    return answer if _STAMP.match(answer) else ""


def _kept(path: Path, cursor: str | None, *, records: bool) -> Iterator[tuple[str, str | None]]:
    try:
        text = path.read_text(errors="replace", encoding="utf-8")
    except OSError:
        return
    yield from entries(text.splitlines(keepends=True), cursor, records=records, ended=lambda: True)


def _replica_log(replica_id: str, started_time: float, read: partial[Iterator[tuple[str, str | None]]]) -> ReplicaLog:
    return ReplicaLog(
        replica_id,
        started_time,
        lines=lambda: (line for _, line in read(None) if line is not None),
        after=partial(part_after, read),
    )
