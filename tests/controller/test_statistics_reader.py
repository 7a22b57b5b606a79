"""The router's counts are read as a whole while requests begin and end, and as a short summary otherwise."""

from __future__ import annotations

import json
from typing import Any

from mljupyter.controller.router.local_http import LocalHttp
from mljupyter.controller.router.statistics_reader import RouterReader
from mljupyter.telemetry.metrics.router_statistics import QUESTION


class Admin(LocalHttp):
    """An admin interface that answers with the counts of two versions."""

    def __init__(self) -> None:
        super().__init__("unix:/nowhere", 1)
        self.requests = {"iris.one": 3, "rose.one": 2}
        self.active = {"iris.one": 0, "rose.one.mirror": 0}
        self.whole = self.short = self.clients = 0

    async def get(self, path: str, **query: str) -> tuple[int, bytes]:
        if query == QUESTION:
            self.whole += 1
            found = {f"cluster.{name}.upstream_rq_completed": count for name, count in self.requests.items()}
            found |= {f"cluster.{name}.upstream_rq_active": count for name, count in self.active.items()}
        else:
            self.short += 1
            found = {"http.router.downstream_rq_total": sum(self.requests.values())}
            found["http.router.downstream_rq_active"] = self.clients
        stats: list[dict[str, Any]] = [{"name": name, "value": count} for name, count in found.items()]
        return 200, json.dumps({"stats": stats}).encode()


async def test_without_requests_only_the_summary_is_read() -> None:
    admin = Admin()
    reader = RouterReader(admin)
    first = await reader.read()
    assert first.clusters["iris.one"].counts.requests == 3
    await reader.read()
    whole = admin.whole
    for _ in range(10):
        assert await reader.read() is first
    assert admin.whole == whole == reader.whole_readings
    assert admin.short == 12


async def test_a_request_of_one_version_leaves_the_objects_of_the_others() -> None:
    admin = Admin()
    reader = RouterReader(admin)
    first = await reader.read()
    await reader.read()
    admin.requests["iris.one"] += 1
    second = await reader.read()
    assert second.clusters["iris.one"].counts.requests == 4
    assert second.clusters["rose.one"] is first.clusters["rose.one"]


async def test_as_long_as_a_copy_is_on_its_way_all_counts_are_read() -> None:
    admin = Admin()
    admin.active["rose.one.mirror"] = 1
    reader = RouterReader(admin)
    for _ in range(5):
        await reader.read()
    admin.active["rose.one.mirror"] = 0
    assert (await reader.read()).clusters["rose.one.mirror"].active == 0


async def test_another_router_is_read_as_a_whole_although_its_summary_is_the_same() -> None:
    admin = Admin()
    reader = RouterReader(admin)
    for _ in range(3):
        await reader.read("one")
    admin.requests = {"iris.one": 1, "rose.one": 4}
    assert (await reader.read("two")).clusters["iris.one"].counts.requests == 1


async def test_after_a_change_of_the_configuration_counts_of_removed_versions_go() -> None:
    admin = Admin()
    reader = RouterReader(admin)
    for _ in range(3):
        await reader.read()
    reader.expect_change()
    await reader.read()
    await reader.read()
    admin.requests["rose.one"] += admin.requests.pop("iris.one")  # the summary stays as it is
    assert (await reader.read()).clusters["rose.one"].counts.requests == 5


async def test_as_long_as_a_client_waits_all_counts_are_read() -> None:
    admin = Admin()
    admin.clients = 1
    reader = RouterReader(admin)
    for _ in range(5):
        await reader.read()
    admin.active["iris.one"] = 1  # the client has sent its request; the summary stays as it is
    assert (await reader.read()).clusters["iris.one"].active == 1
