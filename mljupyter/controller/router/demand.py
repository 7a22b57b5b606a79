"""Read the router's counters for the demand of each version: running and waiting requests, and their duration."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Mapping

from mljupyter.client.errors import ControllerError
from mljupyter.controller.router.local_http import UNREACHABLE, LocalHttp
from mljupyter.engine.scaling.demand import Reading
from mljupyter.telemetry.metrics.router_statistics import SUMMARY, is_quiet

_ACTIVE, _PENDING, _TOTAL = ".upstream_rq_active", ".upstream_rq_pending_active", ".upstream_rq_total"
_REMAINING = ".circuit_breakers.default.remaining_retries"
_GAUGES = (  # of versions: the router has clusters of its own, whose names have no dot
    r"^cluster\.[^.]+\.[^.]+(\.mirror)?"
    r"\.(upstream_rq_(active|pending_active|total)|circuit_breakers\.default\.remaining_retries)$"
)
_TIMES = re.compile(
    r'^envoy_cluster_(?P<rest>\w+)_upstream_rq_time_(?P<kind>bucket|sum)\{envoy_cluster_name="(?P<first>[^"]+)"'
    r'(?:,le="(?P<upper>[^"]+)")?\} (?P<value>\d+)',
    re.MULTILINE,
)
_BUSY = re.compile(r"^.+?::(?P<address>.+)::rq_active::[1-9]\d*$", re.MULTILINE)


class DemandReader:
    """Reads the router's counters. While no request begins or ends, it reads a short summary alone.

    Parameters:
        admin: a client of the router's admin interface.

    """

    def __init__(self, admin: LocalHttp) -> None:
        self._admin = admin
        self._totals: dict[str, int] = {}
        self._again = False
        self._times: dict[str, tuple[tuple[tuple[float, int], ...], float]] = {}
        self._summary = b""
        self._settled = False
        self._most_again: Mapping[str, int] = {}
        self._readings: dict[str, Reading] = {}

    async def read(self, most_again: Mapping[str, int]) -> dict[str, Reading]:
        """Return the router's counters for every version, by cluster: the same object while nothing changes.

        The router has no counters of a cluster before its first request: those in `most_again` are zero then.

        Parameters:
            most_again: the limit of concurrent retries, by cluster.

        Raises:
            ControllerError: when the router does not answer.

        """
        summary = await self._get("/stats", **SUMMARY)
        if self._settled and summary == self._summary and most_again == self._most_again:
            return self._readings
        self._settled = False
        body = await self._get("/stats", format="json", filter=_GAUGES)
        # The monotonic time of the answer, which is when the counters were valid.
        now = time.monotonic()
        values = {
            item["name"].removeprefix("cluster."): int(item["value"])
            for item in json.loads(body)["stats"]
            if "name" in item
        }
        counted = [name.removesuffix(_ACTIVE) for name in values if name.endswith(_ACTIVE)]
        clusters = list(dict.fromkeys((*counted, *most_again)))
        totals = {name: values.get(name + _TOTAL, 0) for name in clusters}
        active = {name: values.get(name + _ACTIVE, 0) + values.get(name + _PENDING, 0) for name in clusters}
        changed = totals != self._totals or any(active.values())
        if changed or self._again:
            # The router merges its histograms after its answer, so the next reading has the rest.
            self._times = _times(
                await self._get("/stats/prometheus", filter=r"^cluster\..*\.upstream_rq_time$"), clusters
            )
            self._totals, self._again = totals, changed
        readings: dict[str, Reading] = {}
        for name in clusters:
            finished, seconds = self._times.get(name, ((), 0.0))
            remaining = values.get(name + _REMAINING)
            again = 0 if remaining is None else max(most_again.get(name, remaining) - remaining, 0)
            readings[name] = Reading(now, active[name], again, finished, seconds)
        moving = self._again or any(reading.present for reading in readings.values())
        self._settled = summary == self._summary and is_quiet(summary) and not moving
        self._summary, self._most_again, self._readings = summary, most_again, readings
        return readings

    async def busy(self) -> frozenset[str]:
        """Return the addresses of the replicas with requests, in the form of the router's configuration.

        Raises:
            ControllerError: when the router does not answer.

        """
        text = (await self._get("/clusters")).decode()
        found = (match["address"] for match in _BUSY.finditer(text))
        return frozenset(f"unix:{address}" if address.startswith("/") else address for address in found)

    async def _get(self, path: str, **query: str) -> bytes:
        try:
            _, body = await self._admin.get(path, **query)
        except UNREACHABLE as error:
            raise ControllerError(f"the router does not answer: {type(error).__name__}.") from None
        return body


def _times(body: bytes, clusters: list[str]) -> dict[str, tuple[tuple[tuple[float, int], ...], float]]:
    """Return the durations of requests by cluster: counts by upper bound in seconds, and the total in seconds.

    This format of the statistics splits a cluster's name at dots and replaces dashes. If two names become equal, both
    are left out.
    """
    known = {_mangled(name): name for name in clusters}
    ambiguous = {name for name, count in Counter(map(_mangled, clusters)).items() if count > 1}
    buckets: dict[str, list[tuple[float, int]]] = {}
    sums: dict[str, float] = {}
    for match in _TIMES.finditer(body.decode()):
        mangled = (match["first"], match["rest"])
        if mangled not in known or mangled in ambiguous:
            continue
        name, value = known[mangled], int(match["value"])
        if match["kind"] == "sum":
            sums[name] = value / 1000
        else:
            buckets.setdefault(name, []).append((float(match["upper"]) / 1000, value))
    return {name: (tuple(sorted(found)), sums.get(name, 0.0)) for name, found in buckets.items()}


def _mangled(cluster: str) -> tuple[str, str]:
    first, _, rest = cluster.partition(".")
    return first, rest.replace(".", "_").replace("-", "_")
