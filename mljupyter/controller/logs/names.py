"""Names of versions and replicas in the lines of a log that several replicas write."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from mljupyter.runtimes.base import LogPart, ReplicaLog

_HEAD = re.compile(r"^(\S+ [DIWEC] \[\d+)\]")


def with_names(logs: Sequence[ReplicaLog], versions: Mapping[str, str]) -> list[ReplicaLog]:
    """Return logs whose lines name their replica beside the process id; a single log stays as it is.

    Parameters:
        logs: the logs of an endpoint.
        versions: version by replica; it is named too if there are several and the name of the replica lacks it.

    """
    if len(logs) < 2:
        return list(logs)
    several = len(set(versions.values())) > 1
    return [_named(log, _name(log.replica_id, versions.get(log.replica_id, "") if several else "")) for log in logs]


def _name(replica: str, version: str) -> str:
    return replica if f"-{version}-" in f"-{replica}-" or not version else f"{version} {replica}"


def _named(log: ReplicaLog, name: str) -> ReplicaLog:
    name_line = _naming(name)

    def lines() -> Iterator[str]:
        return map(name_line, log.lines())

    def after(cursor: str | None, most_bytes: int | None = None, tail: int | None = None) -> LogPart:
        part = log.after(cursor, most_bytes, tail)
        return replace(part, lines=[name_line(line) for line in part.lines])

    return replace(log, lines=lines, after=after)


def _naming(name: str) -> Callable[[str], str]:
    return lambda line: _HEAD.sub(lambda head: f"{head[1]} {name}]", line, count=1)
