"""The router's counts of requests to a version: answered, failed, and their latencies."""

from __future__ import annotations

import json
import re
from typing import Any, Protocol

from mljupyter.client.errors import ControllerError
from mljupyter.controller.router.local_http import UNREACHABLE, LocalHttp
from mljupyter.engine.rollout.request_counts import RequestCounts

_NAMES = r"upstream_rq_(completed|4xx|5xx|time)$"


class RequestStatistics(Protocol):
    """Has the counts of a version's requests since the router started."""

    async def counts(self, cluster: str) -> RequestCounts:
        """Return the counts of one version, by the router's name for it."""
        ...


async def read(admin: LocalHttp, cluster: str) -> RequestCounts:
    """Return the router's counts of one cluster since it started.

    A retried request counts once, by its last answer. Answers of the router itself, such as 504, count too.

    Raises:
        ControllerError: when the router does not answer.

    """
    pattern = rf"^cluster\.{re.escape(cluster)}\.{_NAMES}"
    try:
        # The router merges the measurements of its threads on request, but after its answer. So a second request sees
        # the result of the first one.
        await admin.get("/stats", filter="^$")
        _, body = await admin.get("/stats", format="json", filter=pattern, histogram_buckets="detailed")
    except UNREACHABLE as error:
        raise ControllerError(f"the router does not answer: {type(error).__name__}.") from None
    return counts_of(json.loads(body)["stats"])


def counts_of(statistics: list[dict[str, Any]]) -> RequestCounts:
    """Return the counts of one cluster from the router's JSON."""
    values = {item["name"].rpartition(".")[2]: int(item["value"]) for item in statistics if "name" in item}
    details = [detail for item in statistics for detail in item.get("histograms", {}).get("details", ())]
    buckets = [bucket for detail in details for bucket in detail["totals"]]
    return RequestCounts(
        requests=values.get("upstream_rq_completed", 0),
        errors=values.get("upstream_rq_5xx", 0),
        client_errors=values.get("upstream_rq_4xx", 0),
        latencies={(float(bucket["lower_bound"]), float(bucket["width"])): bucket["count"] for bucket in buckets},
    )
