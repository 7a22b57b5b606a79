"""Decisions of batch scoring: the size of parts, how many are sent at once, and what follows a failed part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from mljupyter.sizes import readable_size
from mljupyter.spec import EndpointRecord, VersionSpec

LONGEST_OUTAGE_SECONDS = 60.0
"""A batch ends when temporary failures last for this time and no request is answered."""
MOST_HOPELESS_ROWS = 20
"""Rows that fail before any row succeeds: the batch ends then, the input is wrong as a whole."""
_PART_BYTES = 1_000_000
_MOST_ROWS = 5000
_MOST_AT_ONCE = 64
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.2, 8.0
_TEMPORARY = (408, 425, 429, 502, 503)
_FOR_ALL = (401, 403, 404, 405, 411, 415)


@dataclass(frozen=True)
class Retry:
    """Send the part again.

    Parameters:
        after: seconds to wait before.

    """

    after: float


Decision = Retry | Literal["split", "fail", "stop"]
"""What follows a failed part: again, in two halves, its only row has failed, or the batch ends."""


def after_failure(status: int | None, attempts: int, rows: int, idle: float = 0.0) -> Decision:
    """Return what follows a request that failed.

    A temporary failure is repeated. Any other may be due to a single row, or to the size or duration of the part: it
    is halved, until the row is found. A failure that concerns every request ends the batch.

    Parameters:
        status: the HTTP status; None if the answer has not one result for each row.
        attempts: the requests for this part so far.
        rows: the rows in it.
        idle: the seconds since the last answer to any request of the batch.

    Example:
        >>> after_failure(503, 1, 100), after_failure(400, 1, 100), after_failure(400, 1, 1), after_failure(401, 1, 9)
        (Retry(after=0.2), 'split', 'fail', 'stop')

    """
    if status in _TEMPORARY:
        if idle > LONGEST_OUTAGE_SECONDS:
            return "stop"
        return Retry(min(_SHORTEST_PAUSE * 2 ** (min(attempts, 10) - 1), _LONGEST_PAUSE))
    if status in _FOR_ALL:
        return "stop"
    return "split" if rows > 1 else "fail"


def rows_for_part(row_bytes: float, limit: int) -> int:
    """Return the number of rows in a part if the user gives none: about 1 MB, at most half of the limit.

    Parameters:
        row_bytes: the mean size of a row as JSON, in bytes.
        limit: the largest request body, in bytes.

    Example:
        >>> rows_for_part(200.0, 100_000_000), rows_for_part(5e6, 100_000_000)
        (5000, 1)

    """
    return max(1, min(_MOST_ROWS, int(min(_PART_BYTES, limit / 2) / max(row_bytes, 1.0))))


def parts_at_once(record: EndpointRecord, version: str | None = None) -> int:
    """Return how many parts are sent at the same time: as many as the ready replicas can run, at least one.

    Parameters:
        record: the endpoint as it is now.
        version: the only version that gets the requests; None for all that have a share.

    """
    names = [version] if version is not None else list(record.spec.versions)
    able = sum(
        record.status.versions[name].replicas_ready * record.spec.versions[name].limits.max_concurrent_requests
        for name in names
        if name in record.status.versions and name in record.spec.versions
        if version is not None or record.status.versions[name].weight > 0
    )
    return max(1, min(able, _MOST_AT_ONCE))


def body_limit(record: EndpointRecord, version: str | None = None) -> int:
    """Return the largest request body in bytes that every version accepts which may get the request."""
    versions = record.spec.versions
    asked = [versions[version]] if version is not None and version in versions else list(versions.values())
    return min(item.limits.max_body_bytes for item in asked)


def size_problem(size: int, limit: int, name: str) -> str | None:
    """Return why a body cannot be sent, and the ways out; None if it can.

    Parameters:
        size: the body, in bytes.
        limit: the largest body, in bytes.
        name: the name of the endpoint.

    Example:
        >>> print(size_problem(300_000_000, 104_857_600, "iris").splitlines()[0])
        The request has 300 MB (300,000,000 bytes); 'iris' takes at most 105 MB (104,857,600 bytes).

    """
    if size <= limit:
        return None
    return (
        f"The request has {readable_size(size)} ({size:,} bytes); "
        f"{name!r} takes at most {readable_size(limit)} ({limit:,} bytes).\n"
        f"Send a table in parts: %invoke {name} DATA --batch-rows 1000 -o result, or score_batch(service, data).\n"
        "Or raise the limit: maxBodyBytes below limits of the version, in the specification of the endpoint (%%deploy)."
    )


def results_of(answer: Any, rows: int) -> list[Any] | None:
    """Return the results of the rows in an answer; None if it has not one for each row.

    An answer is a list, or an object with a single list of this length, such as ``{"result": [...]}``.

    Example:
        >>> results_of({"predictions": [1, 2]}, 2), results_of([1], 2)
        ([1, 2], None)

    """
    if isinstance(answer, list):
        return answer if len(answer) == rows else None
    if isinstance(answer, dict):
        lists = [value for value in answer.values() if isinstance(value, list) and len(value) == rows]
        return lists[0] if len(lists) == 1 else None
    return None


def state_of(versions: dict[str, VersionSpec], asked: str | None) -> list[dict[str, Any]]:
    """Return what the results of a batch depend on: code, models and settings of the versions, without their size.

    Parameters:
        versions: the versions of the endpoint.
        asked: the only version that gets the requests; None for all.

    """
    fields = {"code", "image", "image_id", "models", "no_code", "interpreter", "environment_variables"}
    return [
        {"version": name, **spec.model_dump(mode="json", include=fields)}
        for name, spec in sorted(versions.items())
        if asked in (None, name)
    ]
