"""What the router tells of the demand for each version: requests that run, requests that wait, time spent."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from mljupyter.controller.errors import ControllerError
from mljupyter.controller.local_http import UNREACHABLE, LocalHttp

_GAUGES = r"^cluster\..*\.(upstream_rq_active|circuit_breakers\.default\.remaining_retries)$"
_ACTIVE = ".upstream_rq_active"
_REMAINING = ".circuit_breakers.default.remaining_retries"
_TIMES = re.compile(r'^envoy_cluster_upstream_rq_time_sum\{.*envoy_cluster_name="([^"]+)".*\} (\d+)', re.MULTILINE)


@dataclass(frozen=True)
class Demand:
    """The demand for one version: requests that run, tries again that are left, and all request time in seconds."""

    running: int
    remaining_tries: int
    request_seconds: float


async def read(admin: LocalHttp) -> dict[str, Demand]:
    """Return the demand of every cluster of the router.

    Raises:
        ControllerError: when the router does not answer.

    """
    try:
        _, gauges = await admin.get("/stats", format="json", filter=_GAUGES, type="Gauges")
        _, times = await admin.get("/stats/prometheus", filter=r"upstream_rq_time$")
    except UNREACHABLE as error:
        raise ControllerError(f"the router does not answer: {type(error).__name__}.") from None
    values = {item["name"].removeprefix("cluster."): int(item["value"]) for item in json.loads(gauges)["stats"]}
    spent = {name: int(milliseconds) / 1000 for name, milliseconds in _TIMES.findall(times.decode())}
    clusters = [name.removesuffix(_ACTIVE) for name in values if name.endswith(_ACTIVE)]
    return {
        name: Demand(
            running=values[name + _ACTIVE],
            remaining_tries=values.get(name + _REMAINING, 0),
            request_seconds=spent.get(name, 0.0),
        )
        for name in clusters
    }
