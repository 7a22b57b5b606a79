"""Merge the newest request records of several replicas into one list."""

from __future__ import annotations

import heapq
import json
from collections import deque
from collections.abc import Iterable, Iterator

from mljupyter.outside import json_value
from mljupyter.runtimes.base import ReplicaLog


def newest_records(logs: Iterable[ReplicaLog], count: int) -> str:
    """Return the last records of all replicas by time, one JSON object per line, each with the replica's id."""
    streams = [_timed(deque(log.lines(), maxlen=count), log.replica_id) for log in logs]
    newest = deque(heapq.merge(*streams, key=lambda item: item[0]), maxlen=count)
    return "".join(line + "\n" for _, line in newest)


def _timed(lines: Iterable[str], replica_id: str) -> Iterator[tuple[str, str]]:
    for line in lines:
        try:
            record = json_value(line)
            text = json.dumps(record | {"replica": replica_id})
            if isinstance(record["time"], str):
                yield record["time"], text
        except (ValueError, KeyError, TypeError):
            continue  # cut off by the end of the replica, or an imitation written by a script
