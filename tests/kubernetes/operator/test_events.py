"""What the control plane records about an endpoint becomes an Event of its custom resource, on a real API server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mljupyter.controller.storage.history import Change
from mljupyter.kubernetes.api_server.connection import ApiServer
from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.objects.events import Happening
from mljupyter.kubernetes.operator import documents
from mljupyter.kubernetes.operator.cluster_store import ClusterStore
from mljupyter.kubernetes.operator.events import EventRecorder
from mljupyter.spec import (
    EndpointSpec,
    EndpointStatus,
    Problem,
    Rollout,
    RolloutPhase,
    RolloutPlan,
    ScalingDecision,
    VersionSpec,
    VersionStatus,
)
from tests.kubernetes.cluster import own_namespace
from tests.testbed import needed
from tests.waiting import HANG_SECONDS

TIME = datetime(2026, 1, 1, tzinfo=UTC)


def spec(**fields: Any) -> EndpointSpec:
    versions = {"one": VersionSpec(image="registry.example/iris:1")}
    return EndpointSpec(name="iris", compute_target="team", default_version="one", versions=versions, **fields)


def test_what_the_control_plane_stores_is_recorded_and_what_the_api_server_has_is_not(tmp_path: Path) -> None:
    recorded: list[str] = []
    store = ClusterStore(
        tmp_path / "endpoints.db", lambda name, part: None, lambda name, what: recorded.append(f"{name} {what.reason}")
    )
    store.put(spec(), EndpointStatus(), None, Change("ada", ""))
    store.put(spec(description="better"), EndpointStatus(), None)
    store.put(spec(description="better"), EndpointStatus(), None)
    crashed = VersionStatus(revision="r", problem=Problem(code="ReplicaCrashed", message="it was killed."))
    store.put_status("iris", EndpointStatus(versions={"one": crashed}, problem=crashed.problem))
    ready = VersionStatus(revision="r", ready_revision="r", replicas_ready=1, replicas_wanted=1)
    store.put_status("iris", EndpointStatus(versions={"one": ready}))
    numbers = {"demand": 3.0, "needed": 3, "min_replicas": 1, "max_replicas": 9, "target_utilization": 70}
    decision = ScalingDecision(
        time=TIME, version="one", before=1, after=3, admitted=3, reason="demand 3", max_concurrent_requests=1, **numbers
    )
    store.scaling.add("iris", decision)
    plan = RolloutPlan(version="one", steps=[10, 50], every_seconds=60)
    rollout = Rollout(plan=plan, started_time=TIME, step_time=TIME)
    store.put_rollout("iris", rollout)
    ended = rollout.model_copy(update={"phase": RolloutPhase.ABORTED})
    store.put(spec(description="best"), EndpointStatus(), None, rollout=ended)
    expected = ["Created", "Updated", "ReplicaCrashed", "VersionReady", "Scaled"]
    expected += ["RolloutStarted", "Updated", "RolloutAborted"]
    assert recorded == [f"iris {reason}" for reason in expected]
    assert store.scaling.of("iris") == [decision]
    store.restore("iris", store.rows("iris"))
    assert len(recorded) == len(expected)


class Home:
    """A namespace with an endpoint's resource, and a recorder that runs."""

    def __init__(self, api: ApiServer, namespace: str) -> None:
        self.api = api
        self.namespace = namespace
        self.resource: dict[str, Any] | None = None
        self.recorder = EventRecorder(api, namespace, "operator-1", self._owner)

    def _owner(self, name: str) -> dict[str, Any] | None:
        return documents.owner_of(self.resource) if self.resource is not None and name == "iris" else None

    async def create(self) -> None:
        body = documents.resource(spec(), self.namespace, None)
        del body["metadata"]["finalizers"]
        self.resource = await self.api.create(names.mlendpoints(self.namespace), body)

    async def delete(self) -> None:
        await self.api.delete(f"{names.mlendpoints(self.namespace)}/iris")
        self.resource = None

    async def events(self, count: int, times: int) -> list[dict[str, Any]]:
        """The events of the present resource, when they are that many and stand for so many things together."""
        async with asyncio.timeout(HANG_SECONDS):
            while True:
                uid = self.resource["metadata"]["uid"] if self.resource is not None else ""
                found, _ = await self.api.list(names.events(self.namespace), fields=f"involvedObject.uid={uid}")
                if len(found) == count and sum(event["count"] for event in found) == times:
                    return found
                await asyncio.sleep(0.02)


@pytest.fixture
async def home() -> AsyncIterator[Home]:
    async with own_namespace(Path(needed("TESTBED_KUBECONFIG"))) as cluster:
        await cluster.serve_endpoints()
        home = Home(cluster.api, cluster.namespace)
        running = asyncio.create_task(home.recorder.run())
        yield home
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await home.delete()


@pytest.mark.system
async def test_an_event_waits_for_its_resource_and_equal_ones_are_counted_in_one_object(home: Home) -> None:
    happening = Happening("ReplicaCrashed", "it was killed.", warning=True)
    home.recorder.record("iris", happening)
    await home.create()
    found = await home.events(1, 1)
    assert (found[0]["reason"], found[0]["type"], found[0]["message"]) == (
        "ReplicaCrashed",
        "Warning",
        "it was killed.",
    )
    home.recorder.record("iris", happening)
    home.recorder.record("iris", Happening("VersionReady", "it is ready."))
    later = await home.events(2, 3)
    assert found[0]["metadata"]["name"] in [event["metadata"]["name"] for event in later if event["count"] == 2]


@pytest.mark.system
async def test_an_event_that_is_gone_and_one_of_an_earlier_resource_are_written_anew(home: Home) -> None:
    happening = Happening("ReplicaCrashed", "it was killed.", warning=True)
    await home.create()
    home.recorder.record("iris", happening)
    first = await home.events(1, 1)
    await home.api.delete(f"{names.events(home.namespace)}/{first[0]['metadata']['name']}")
    home.recorder.record("iris", happening)
    await home.events(1, 2)
    await home.delete()
    await home.create()
    home.recorder.record("iris", happening)
    await home.events(1, 1)
