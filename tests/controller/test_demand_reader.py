"""The demand is read as a whole while requests begin and end, and as a short summary otherwise."""

from __future__ import annotations

import json
import re

from mljupyter.controller.router.demand import DemandReader
from mljupyter.controller.router.local_http import LocalHttp
from mljupyter.telemetry.metrics.router_statistics import SUMMARY

MOST = {"iris.one": 10, "rose.one": 10}


class Admin(LocalHttp):
    """An admin interface with the counts of one version; the other one has never had a request."""

    def __init__(self) -> None:
        super().__init__("unix:/nowhere", 1)
        self.total = self.active = self.clients = self.whole = 0

    async def get(self, path: str, **query: str) -> tuple[int, bytes]:
        if query == SUMMARY:
            found = {"http.router.downstream_rq_total": self.total, "http.router.downstream_rq_active": self.clients}
        elif path == "/stats/prometheus":
            labels = 'envoy_cluster_name="iris"'
            lines = [f'envoy_cluster_one_upstream_rq_time_bucket{{{labels},le="1"}} {self.total}']
            lines.append(f"envoy_cluster_one_upstream_rq_time_sum{{{labels}}} {self.total}")
            return 200, "\n".join(lines).encode()
        else:
            self.whole += 1
            own = {"cluster.stream.upstream_rq_active": 1, "cluster.no-grpc.upstream_rq_active": 1}
            remaining = "circuit_breakers.default.remaining_retries"
            found = {f"cluster.{name}.{remaining}": 10 for name in MOST}
            found |= {
                "cluster.iris.one.upstream_rq_active": self.active,
                "cluster.iris.one.upstream_rq_total": self.total,
                **own,
            }
            found = {name: count for name, count in found.items() if re.search(query["filter"], name)}
        stats = [{"name": name, "value": count} for name, count in found.items()]
        return 200, json.dumps({"stats": stats}).encode()


async def test_without_requests_the_readings_stay_the_same_object() -> None:
    admin = Admin()
    reader = DemandReader(admin)
    for _ in range(2):
        first = await reader.read(MOST)
    whole = admin.whole
    for _ in range(10):
        assert await reader.read(MOST) is first
    assert admin.whole == whole


async def test_a_version_without_any_request_has_a_reading_of_zero() -> None:
    reading = (await DemandReader(Admin()).read(MOST))["rose.one"]
    assert (reading.present, reading.count) == (0, 0)


async def test_a_request_is_read_at_once_and_again_until_its_duration_is_there() -> None:
    admin = Admin()
    reader = DemandReader(admin)
    for _ in range(3):
        await reader.read(MOST)
    admin.total = admin.active = admin.clients = 1
    assert (await reader.read(MOST))["iris.one"].present == 1
    admin.active = admin.clients = 0
    await reader.read(MOST)
    assert (await reader.read(MOST))["iris.one"].count == 1


async def test_another_version_is_read_although_no_request_has_come() -> None:
    reader = DemandReader(Admin())
    for _ in range(3):
        await reader.read({"iris.one": 10})
    assert "rose.one" in await reader.read(MOST)


async def test_a_request_that_its_client_sends_slowly_is_read_when_it_reaches_a_version() -> None:
    admin = Admin()
    reader = DemandReader(admin)
    admin.total = admin.clients = 1
    for _ in range(5):
        assert (await reader.read(MOST))["iris.one"].present == 0
    admin.active = 1  # the summary stays as it is
    assert (await reader.read(MOST))["iris.one"].present == 1


async def test_clusters_that_the_router_has_for_itself_are_no_versions() -> None:
    assert set(await DemandReader(Admin()).read({"iris.one": 10, "rose.one": 10})) == {"iris.one", "rose.one"}
