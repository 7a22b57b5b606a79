"""Endpoints and custom resources stay equal, on a real API server: whatever is refused there has not happened."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mljupyter.client.errors import ControllerError, EndpointChangedError, InvalidSpecError
from mljupyter.controller.storage.history import Change
from mljupyter.controller.storage.keys import Keys
from mljupyter.engine.envoy.routing import EndpointRoute
from mljupyter.kubernetes.api_server.connection import ApiError, ApiServer
from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.objects.published import PublishedRoute
from mljupyter.kubernetes.operator import documents, leadership
from mljupyter.kubernetes.operator.cluster_store import ClusterStore
from mljupyter.kubernetes.operator.documents import STATE_KEY, rows_of
from mljupyter.kubernetes.operator.leadership import Leadership, LeadershipLostError
from mljupyter.kubernetes.operator.persistence import Persistence
from mljupyter.spec import Authentication, EndpointSpec, EndpointState, EndpointStatus, Toleration, VersionSpec
from tests.kubernetes.cluster import Cluster, many_variables, own_namespace
from tests.testbed import needed
from tests.waiting import HANG_SECONDS

pytestmark = pytest.mark.system
TARGET = "team"


def spec(name: str = "iris", **fields: Any) -> EndpointSpec:
    versions = {"one": VersionSpec(image="registry.example/iris:1")}
    return EndpointSpec(name=name, compute_target=TARGET, default_version="one", versions=versions, **fields)


class Home:
    """A store with its persistence, and what custom resources asked for."""

    def __init__(self, api: ApiServer, namespace: str, path: Path) -> None:
        self.api = api
        self.path = names.mlendpoints(namespace)
        self.secrets = names.secrets(namespace)
        self.accepted: list[tuple[EndpointSpec, Change]] = []
        self.deleted: list[str] = []
        self.refuses = ""
        self.persistence = Persistence(
            api,
            namespace,
            TARGET,
            accept=self._accept,
            delete=self._delete,
            stored=lambda name: None,
        )
        self.store = ClusterStore(path, self.persistence.changes)

    def _accept(self, wanted: EndpointSpec, change: Change) -> None:
        if self.refuses:
            raise InvalidSpecError(self.refuses)
        self.accepted.append((wanted, change))
        keys = Keys.make() if wanted.authentication is Authentication.KEY else None
        self.store.put(wanted, EndpointStatus(), keys, change)

    def _delete(self, name: str) -> None:
        self.deleted.append(name)
        self.store.mark_deleting(name)

    def start(self) -> None:
        self._running = asyncio.create_task(self.persistence.run())

    async def stop(self) -> None:
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)

    async def resource(self, name: str = "iris") -> dict[str, Any]:
        return await self.api.get(f"{self.path}/{name}")

    async def limit(self, what: str, most: int) -> None:
        """Have the API server refuse more objects of a kind."""
        quotas = self.secrets.replace("/secrets", "/resourcequotas")
        await self.api.create(quotas, {"metadata": {"name": "full"}, "spec": {"hard": {what: str(most)}}})
        async with asyncio.timeout(HANG_SECONDS):
            while not (await self.api.get(f"{quotas}/full")).get("status", {}).get("hard"):
                await asyncio.sleep(0.05)

    async def patch(self, body: dict[str, Any], name: str = "iris") -> None:
        await self.api.patch(f"{self.path}/{name}", body, kind="merge", manager="kubectl-edit")


async def until(predicate: Callable[[], bool], what: str) -> None:
    async with asyncio.timeout(HANG_SECONDS):
        while not predicate():
            await asyncio.sleep(0.02)
    assert predicate(), what


@pytest.fixture
async def namespace() -> AsyncIterator[tuple[ApiServer, str]]:
    async with own_namespace(Path(needed("TESTBED_KUBECONFIG"))) as cluster:
        await cluster.serve_endpoints()
        yield cluster.api, cluster.namespace
        for item in (await cluster.api.list(names.mlendpoints(cluster.namespace)))[0]:
            path = f"{names.mlendpoints(cluster.namespace)}/{item['metadata']['name']}"
            await cluster.api.patch(path, {"metadata": {"finalizers": None}}, kind="merge")


@pytest.fixture
async def home(namespace: tuple[ApiServer, str], tmp_path: Path) -> AsyncIterator[Home]:
    home = Home(*namespace, tmp_path / "endpoints.db")
    await home.persistence.load(home.store)
    home.start()
    yield home
    await home.stop()


async def test_a_change_is_on_the_api_server_when_the_client_is_answered(home: Home) -> None:
    home.store.put(spec(authentication=Authentication.KEY), EndpointStatus(), Keys("first-key", "second-key"))
    await home.persistence.settle()
    resource = await home.resource()
    assert resource["metadata"]["finalizers"] == [names.FINALIZER]
    assert resource["spec"]["versions"]["one"]["image"] == "registry.example/iris:1"
    assert "first-key" not in str(resource)
    state = await home.api.get(f"{home.secrets}/{names.state_secret('iris')}")
    assert state["metadata"]["ownerReferences"][0]["uid"] == resource["metadata"]["uid"]
    assert home.accepted == []


async def test_the_next_operator_has_everything(home: Home, namespace: tuple[ApiServer, str], tmp_path: Path) -> None:
    home.store.put(spec(), EndpointStatus(), None, Change("ada", ""))
    home.store.put(spec(description="better"), EndpointStatus(), None, Change("bob", ""))
    home.store.put_status("iris", EndpointStatus(state=EndpointState.HEALTHY, scoring_uri="http://there/score"))
    await home.persistence.settle()
    before = home.store.get("iris")
    async with asyncio.timeout(HANG_SECONDS):
        while (await home.resource()).get("status", {}).get("state") != "Healthy":
            await asyncio.sleep(0.02)
    later = Home(*namespace, tmp_path / "later.db")
    await later.persistence.load(later.store)
    after = later.store.get("iris")
    assert (after.spec, after.generation, after.status) == (before.spec, before.generation, before.status)
    assert [entry.user for entry in later.store.history("iris")] == ["ada", "bob"]


async def test_a_state_that_somebody_deletes_is_stored_again(home: Home) -> None:
    home.store.put(spec(authentication=Authentication.KEY), EndpointStatus(), Keys("first-key", "second-key"))
    await home.persistence.settle()
    path = f"{home.secrets}/{names.state_secret('iris')}"
    before = await home.api.get(path)
    await home.api.delete(path)
    async with asyncio.timeout(HANG_SECONDS):
        while not (
            found := (await home.api.list(home.secrets, fields=f"metadata.name={names.state_secret('iris')}"))[0]
        ):
            await asyncio.sleep(0.02)
    assert found[0]["data"] == before["data"]


async def test_a_state_that_somebody_damages_is_stored_again(home: Home) -> None:
    home.store.put(spec(authentication=Authentication.KEY), EndpointStatus(), Keys("first-key", "second-key"))
    await home.persistence.settle()
    path = f"{home.secrets}/{names.state_secret('iris')}"
    before = await home.api.get(path)
    await home.api.patch(path, {"data": {STATE_KEY: "aGVsbG8="}}, kind="merge")
    async with asyncio.timeout(HANG_SECONDS):
        while (await home.api.get(path))["data"] != before["data"]:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("damage", ["deleted", "garbage", "empty"])
async def test_an_endpoint_is_recovered_whose_state_was_damaged_while_no_operator_led(
    home: Home, namespace: tuple[ApiServer, str], tmp_path: Path, damage: str
) -> None:
    keys = Keys("first-key", "second-key")
    wanted = spec(authentication=Authentication.KEY, description="ours")
    home.store.put(wanted, EndpointStatus(), keys)
    await home.persistence.settle()
    await home.stop()
    api, place = namespace
    route = EndpointRoute("iris", (), "one", keys=(keys.primary, keys.secondary))
    await Cluster(api, place).publish(PublishedRoute(route))
    path = f"{home.secrets}/{names.state_secret('iris')}"
    if damage == "deleted":
        await api.delete(path)
    else:
        await api.patch(path, {"data": {STATE_KEY: {"garbage": "aGVsbG8="}.get(damage)}}, kind="merge")
    later = Home(api, place, tmp_path / "later.db")
    await later.persistence.load(later.store)
    assert later.store.get("iris").spec == wanted
    assert later.store.keys("iris") == keys
    later.start()
    async with asyncio.timeout(HANG_SECONDS):
        while not (found := (await api.list(home.secrets, fields=f"metadata.name={names.state_secret('iris')}"))[0]):
            await asyncio.sleep(0.02)
        while rows_of(found[0]) is None:
            await asyncio.sleep(0.02)
            found = [await api.get(path)]
    await later.stop()
    assert later.accepted == []


TOO_LARGE = {
    name: VersionSpec(image="registry.example/iris:1", environment_variables=many_variables())
    for name in ("one", "two")
}


async def test_of_a_new_endpoint_that_is_too_large_to_store_nothing_is_left(home: Home) -> None:
    home.store.put(spec().model_copy(update={"versions": TOO_LARGE}), EndpointStatus(), None)
    with pytest.raises(ControllerError, match="the cluster does not accept endpoint 'iris'"):
        await home.persistence.settle()
    assert home.store.find("iris") is None
    async with asyncio.timeout(HANG_SECONDS):
        while (await home.api.list(home.path))[0]:
            await asyncio.sleep(0.02)
    home.store.put(spec(), EndpointStatus(), None)
    await home.persistence.settle()
    assert (await home.resource())["spec"]["versions"]["one"]["image"] == "registry.example/iris:1"


async def test_a_change_that_is_too_large_to_store_leaves_the_resource_as_it_was(home: Home) -> None:
    home.store.put(spec(description="before"), EndpointStatus(), None)
    await home.persistence.settle()
    home.store.put(spec(description="too large").model_copy(update={"versions": TOO_LARGE}), EndpointStatus(), None)
    with pytest.raises(ControllerError, match="the cluster does not accept endpoint 'iris'"):
        await home.persistence.settle()
    assert home.store.get("iris").spec.description == "before"
    async with asyncio.timeout(HANG_SECONDS):
        while (await home.resource())["spec"].get("description") != "before":
            await asyncio.sleep(0.02)
    assert home.accepted == []


async def test_a_resource_whose_state_cannot_be_stored_stays_and_says_why(home: Home) -> None:
    await home.limit("count/secrets", len((await home.api.list(home.secrets))[0]))
    body = documents.resource(spec(description="by hand"), "any", None)
    del body["metadata"]["namespace"], body["metadata"]["finalizers"]
    await home.api.create(home.path, body)
    async with asyncio.timeout(HANG_SECONDS):
        while "exceeded quota" not in str((await home.resource()).get("status")):
            await asyncio.sleep(0.02)
    assert home.store.find("iris") is None
    assert (await home.resource())["spec"]["description"] == "by hand"


async def test_a_change_that_collides_with_kubectl_is_undone_and_told(home: Home) -> None:
    home.store.put(spec(), EndpointStatus(), None)
    await home.persistence.settle()
    await home.stop()
    await home.patch({"spec": {"description": "by kubectl"}})
    home.store.put(spec(description="by the sdk"), EndpointStatus(), None)  # kubectl's change is not known yet
    home.start()
    with pytest.raises(EndpointChangedError, match="'iris' was changed by another operation"):
        await home.persistence.settle()
    await until(lambda: home.store.get("iris").spec.description == "by kubectl", "kubectl's change is accepted")
    assert (await home.resource())["spec"]["description"] == "by kubectl"


async def test_a_resource_of_a_user_is_accepted_with_the_name_of_the_tool(home: Home) -> None:
    body = {"spec": {"defaultVersion": "one", "versions": {"one": {"image": "registry.example/iris:7"}}}}
    kind = {"apiVersion": f"{names.GROUP}/{names.API_VERSION}", "kind": names.KIND}
    await home.api.create(home.path, {**kind, "metadata": {"name": "iris"}, **body})
    await until(lambda: home.store.find("iris") is not None, "it is accepted")
    await home.persistence.settle()
    assert home.store.get("iris").spec.compute_target == TARGET
    assert (await home.resource())["metadata"]["finalizers"] == [names.FINALIZER]

    await home.patch({"spec": {"description": "changed"}})
    await until(lambda: home.store.get("iris").spec.description == "changed", "the change is accepted")
    assert home.accepted[-1][1] == Change("kubectl-edit", "applied")


async def test_a_refused_resource_says_why_and_changes_nothing(home: Home) -> None:
    home.store.put(spec(), EndpointStatus(), None)
    await home.persistence.settle()
    home.refuses = "a rollout is in progress: abort it first."
    await home.patch({"spec": {"description": "refused"}})
    async with asyncio.timeout(HANG_SECONDS):
        while "rollout is in progress" not in str((await home.resource()).get("status")):
            await asyncio.sleep(0.02)
    assert home.store.get("iris").spec.description is None


async def test_a_deleted_resource_stays_until_its_replicas_are_gone(home: Home) -> None:
    home.store.put(spec(), EndpointStatus(), None)
    await home.persistence.settle()
    await home.api.delete(f"{home.path}/iris")
    await until(lambda: home.deleted == ["iris"], "the deletion begins")
    await home.persistence.settle()
    assert (await home.resource())["metadata"]["deletionTimestamp"]
    home.store.remove("iris")
    async with asyncio.timeout(HANG_SECONDS):
        while True:
            try:
                await home.resource()
            except ApiError as error:
                assert error.status == 404
                break
            await asyncio.sleep(0.02)
    with pytest.raises(ApiError):
        await home.api.get(f"{home.secrets}/{names.state_secret('iris')}")


async def test_an_endpoint_that_is_made_again_at_once_is_not_taken_for_the_deleted_one(
    namespace: tuple[ApiServer, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api, place = namespace
    on_time = api.watch

    async def late(*arguments: Any, **named: Any) -> AsyncIterator[Any]:
        async for event in on_time(*arguments, **named):
            await asyncio.sleep(0.3)  # as a busy API server: events come after the answers to the operator's writes
            yield event

    monkeypatch.setattr(api, "watch", late)
    home = Home(api, place, tmp_path / "endpoints.db")
    await home.persistence.load(home.store)
    home.start()
    for last in (False, False, True):
        home.store.put(spec(), EndpointStatus(), None)
        await home.persistence.settle()
        if not last:
            home.store.mark_deleting("iris")
            await home.persistence.settle()
            home.store.remove("iris")
            await home.persistence.settle()
    await home.patch({"spec": {"description": "after all of this"}})
    await until(lambda: bool(home.accepted or home.deleted), "the operator has seen all events")
    await home.stop()
    assert home.deleted == []
    assert [accepted.description for accepted, _ in home.accepted] == ["after all of this"]


async def test_what_the_cluster_does_not_accept_has_not_happened(home: Home) -> None:
    await home.limit(f"count/{names.PLURAL}.{names.GROUP}", 0)
    home.store.put(spec(), EndpointStatus(), None)
    with pytest.raises(Exception, match="exceeded quota"):
        await home.persistence.settle()
    assert home.store.find("iris") is None


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The clock of Leases. It stands still until a test changes `now`."""
    stopped = SimpleNamespace(now=time.monotonic())
    monkeypatch.setattr(leadership, "time", SimpleNamespace(monotonic=lambda: stopped.now))
    return stopped


async def test_an_operator_that_was_stopped_while_another_one_took_over_writes_nothing(
    namespace: tuple[ApiServer, str], clock: SimpleNamespace
) -> None:
    api, name = namespace
    first, second = Leadership(api, name, "first"), Leadership(api, name, "second")
    guarded = api.writing_while(first.holds)
    body = {"metadata": {"name": "written"}}
    with pytest.raises(ApiError, match="another operator may lead"):
        await guarded.create(names.secrets(name), body)
    await first.take()
    await guarded.create(names.secrets(name), body)
    taking = asyncio.create_task(second.take())
    async with asyncio.timeout(HANG_SECONDS):
        while not taking.done():
            clock.now += leadership.LEASE_SECONDS + 1
            await asyncio.wait([taking], timeout=0.1)
    with pytest.raises(ApiError, match="another operator may lead"):
        await guarded.delete(f"{names.secrets(name)}/written")
    assert await guarded.get(f"{names.secrets(name)}/written")


async def test_the_first_write_after_an_outage_renews_the_lease_that_nobody_has_taken(
    namespace: tuple[ApiServer, str], clock: SimpleNamespace
) -> None:
    api, name = namespace
    first = Leadership(api, name, "first")
    guarded = api.writing_while(first.holds)
    await first.take()
    lease = f"{names.leases(name)}/{names.OPERATOR}"
    before = (await api.get(lease))["metadata"]["resourceVersion"]
    clock.now += leadership.LEASE_SECONDS + 1
    bodies = [{"metadata": {"name": f"written-{number}"}} for number in range(5)]
    await asyncio.gather(*(guarded.create(names.secrets(name), body) for body in bodies))
    found = await api.get(lease)
    assert found["metadata"]["resourceVersion"] != before
    assert found["spec"]["holderIdentity"] == "first"


async def test_one_operator_leads_until_it_gives_up(namespace: tuple[ApiServer, str]) -> None:
    api, name = namespace
    first, second = Leadership(api, name, "first"), Leadership(api, name, "second")
    await first.take()
    waiting = asyncio.create_task(second.take())
    done, _ = await asyncio.wait([waiting], timeout=2.5)
    assert not done
    await first.give_up()
    async with asyncio.timeout(HANG_SECONDS):
        await waiting
    with pytest.raises(LeadershipLostError):
        await first.keep()


def by_hand(tolerations: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a resource as somebody writes it for ``kubectl apply``."""
    version = {
        "image": "registry.example/iris:1",
        "resources": {"gpu": 1, "gpuResource": "example.com/fpga"},
        "placement": {"nodeSelector": {"disk": "fast"}, "tolerations": tolerations},
    }
    return {
        "apiVersion": f"{names.GROUP}/{names.API_VERSION}",
        "kind": names.KIND,
        "metadata": {"name": "placed"},
        "spec": {"defaultVersion": "one", "versions": {"one": version}},
    }


async def test_a_resource_with_a_placement_is_applied_by_hand(home: Home) -> None:
    toleration = {"key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoSchedule"}
    await home.api.patch(f"{home.path}/placed", by_hand([toleration]), kind="apply", manager="kubectl", force=True)
    await until(lambda: bool(home.accepted), "the resource is accepted")
    version = home.accepted[0][0].versions["one"]
    assert version.placement is not None
    assert version.placement.tolerations == [Toleration.of("gpu=yes:NoSchedule")]
    assert version.resources.gpu_resource == "example.com/fpga"


@pytest.mark.parametrize(
    "wrong", [{"key": "gpu", "effect": "Never"}, {"key": "gpu", "value": "a b"}, {"key": "gpu", "operator": "In"}]
)
async def test_a_toleration_that_kubernetes_does_not_know_is_refused_when_it_is_applied(
    home: Home, wrong: dict[str, Any]
) -> None:
    with pytest.raises(ApiError, match=r"spec\.versions\.one\.placement\.tolerations"):
        await home.api.create(home.path, by_hand([wrong]))
