"""Replicas as pods of Deployments, on a real API server: what somebody deletes or changes by hand comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from mljupyter.kubernetes.api_server.connection import ApiError, ApiServer
from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.objects.place import Place
from mljupyter.kubernetes.objects.replicas import REPLICA_KEY, ReplicaSettings, replica_key_of
from mljupyter.kubernetes.operator.pod_logs import PodLogs
from mljupyter.kubernetes.operator.pod_supervisor import PodSupervisor
from mljupyter.kubernetes.operator.revisions import ReplicaOwners
from mljupyter.runtimes.base import ReplicaOrder
from mljupyter.spec import Placement, ReplicaPhase, VersionSpec
from tests.kubernetes.cluster import own_namespace
from tests.testbed import needed
from tests.waiting import HANG_SECONDS

pytestmark = pytest.mark.system
ORDER = ReplicaOrder("iris-one-1", "iris", "one", "0123456789ab", "team", "demo", VersionSpec(image="testbed/pause:3"))
NAME = names.deployment_name(ORDER.endpoint, ORDER.version, ORDER.revision)


async def until(predicate: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait for a condition on the API server."""
    try:
        async with asyncio.timeout(HANG_SECONDS):
            while not await predicate():
                await asyncio.sleep(0.05)
    except TimeoutError:
        pytest.fail(f"did not happen: {what}")


@dataclass
class Replicas:
    """A supervisor with one replica of a version."""

    api: ApiServer
    namespace: str
    supervisor: PodSupervisor

    @property
    def deployment(self) -> str:
        return f"{names.deployments(self.namespace)}/{NAME}"

    @property
    def secret(self) -> str:
        return f"{names.secrets(self.namespace)}/{NAME}"

    async def find(self, path: str) -> dict[str, Any] | None:
        try:
            return await self.api.get(path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def becomes(self, path: str, uid: str) -> dict[str, Any]:
        """Wait for another object in place of one."""
        found: list[dict[str, Any]] = []

        async def other() -> bool:
            present = await self.find(path)
            found[:] = [present] if present is not None and present["metadata"]["uid"] != uid else []
            return bool(found)

        await until(other, "there is another object")
        return found[0]


@pytest.fixture
async def replicas(tmp_path: Path) -> AsyncIterator[Replicas]:
    async with own_namespace(Path(needed("TESTBED_KUBECONFIG"))) as cluster:
        api, namespace = cluster.api, cluster.namespace
        owners = ReplicaOwners(namespace, "demo", ReplicaSettings(), b"key", lambda name: None)
        supervisor = PodSupervisor(api, owners, "team", PodLogs(api, namespace, tmp_path), lambda endpoint: None)
        await supervisor.adopt("team", lambda replica: None)
        await supervisor.start(ORDER)
        yield Replicas(api, namespace, supervisor)
        await supervisor.leave()


@pytest.mark.parametrize("propagation", ["Background", "Foreground", "Orphan"])
async def test_a_deployment_that_was_deleted_is_created_again(replicas: Replicas, propagation: str) -> None:
    before = await replicas.api.get(replicas.deployment)
    await replicas.api.delete(replicas.deployment, propagationPolicy=propagation)
    after = await replicas.becomes(replicas.deployment, before["metadata"]["uid"])
    assert after["spec"]["template"] == before["spec"]["template"]


async def test_a_secret_that_was_deleted_is_created_again(replicas: Replicas) -> None:
    before = await replicas.api.get(replicas.secret)
    await replicas.api.delete(replicas.secret)
    assert (await replicas.becomes(replicas.secret, before["metadata"]["uid"]))["data"] == before["data"]


async def test_a_secret_that_was_damaged_is_written_again(replicas: Replicas) -> None:
    before = await replicas.api.get(replicas.secret)
    await replicas.api.patch(replicas.secret, {"data": {REPLICA_KEY: "aGVsbG8="}}, kind="merge")

    async def as_before() -> bool:
        return bool((await replicas.api.get(replicas.secret))["data"] == before["data"])

    await until(as_before, "it is as before")


async def test_adopted_replicas_keep_their_key_when_that_of_the_workspace_is_lost(
    replicas: Replicas, tmp_path: Path
) -> None:
    before = await replicas.api.get(replicas.secret)
    await replicas.supervisor.leave()
    api, namespace = replicas.api, replicas.namespace
    owners = ReplicaOwners(namespace, "demo", ReplicaSettings(), b"another", lambda name: None)
    another = PodSupervisor(api, owners, "team", PodLogs(api, namespace, tmp_path), lambda endpoint: None)
    await another.adopt("team", lambda replica: ORDER.spec)
    revision = (ORDER.endpoint, ORDER.version, ORDER.revision)
    assert another.key(revision) == replicas.supervisor.key(revision) == replica_key_of(before)
    await api.delete(replicas.secret)
    assert (await replicas.becomes(replicas.secret, before["metadata"]["uid"]))["data"] == before["data"]
    await another.leave()


async def test_an_adopted_deployment_that_is_deleted_is_created_again(replicas: Replicas, tmp_path: Path) -> None:
    await replicas.supervisor.leave()
    api, namespace = replicas.api, replicas.namespace
    owners = ReplicaOwners(namespace, "demo", ReplicaSettings(), b"key", lambda name: None)
    another = PodSupervisor(api, owners, "team", PodLogs(api, namespace, tmp_path), lambda endpoint: None)
    await another.adopt("team", lambda replica: ORDER.spec)
    before = await api.get(replicas.deployment)
    await api.delete(replicas.deployment, propagationPolicy="Orphan")
    after = await replicas.becomes(replicas.deployment, before["metadata"]["uid"])
    await another.leave()
    assert after["spec"]["template"] == before["spec"]["template"]


async def let_pods_be_created(replicas: Replicas) -> None:
    """Create the account of replicas. Without it no pod is created, and most tests need none."""
    account = {"metadata": {"name": names.REPLICA}}
    await replicas.api.create(f"/api/v1/namespaces/{replicas.namespace}/serviceaccounts", account)


async def test_when_all_replicas_of_a_revision_end_no_other_pod_is_created(replicas: Replicas) -> None:
    await let_pods_be_created(replicas)
    await replicas.supervisor.start(replace(ORDER, id="iris-one-2"))
    created: set[str] = set()

    async def pods() -> set[str]:
        found, _ = await replicas.api.list(names.pods(replicas.namespace))
        created.update(pod["metadata"]["uid"] for pod in found)
        return {pod["metadata"]["uid"] for pod in found if "deletionTimestamp" not in pod["metadata"]}

    async def two() -> bool:
        return len(await pods()) == 2 and all(item.pod for item in replicas.supervisor.all())

    async def none() -> bool:
        return not await pods()

    await until(two, "both have a pod")
    for handle in list(replicas.supervisor.all()):
        replicas.supervisor.drain(handle.replica.id)
    await until(none, "both are about to end")
    assert len(created) == 2


async def test_an_image_that_is_not_in_the_registry_ends_the_replica_with_the_cause(replicas: Replicas) -> None:
    await let_pods_be_created(replicas)
    image = f"{needed('TESTBED_REGISTRY')}/no-such-image:1"
    order = replace(ORDER, id="iris-two-1", version="two", spec=VersionSpec(image=image))
    await replicas.supervisor.start(order)

    async def ended() -> bool:
        return any(item.phase is ReplicaPhase.EXITED for item in replicas.supervisor.of("iris"))

    await until(ended, "the replica ends")
    ending = next(item.ending() for item in replicas.supervisor.of("iris") if item.phase is ReplicaPhase.EXITED)
    assert ending.startswith(f"cannot start: the nodes cannot pull image {image}: ")
    assert "manifest unknown" in ending
    assert not ending.endswith(".")  # it is part of a sentence


async def test_a_replica_waits_for_a_registry_that_is_away_and_says_so(replicas: Replicas) -> None:
    await let_pods_be_created(replicas)
    spec = VersionSpec(image="127.0.0.1:9/away:1")
    await replicas.supervisor.start(replace(ORDER, id="iris-two-1", version="two", spec=spec))

    def waits() -> list[str]:
        found = [item.observed().obstacle for item in replicas.supervisor.of("iris") if item.replica.version == "two"]
        return [one.message for one in found if one is not None and one.code == "ImagePullBackOff"]

    async def backs_off() -> bool:
        # The cause comes with an event of the node, which may be late.
        return any("The nodes do not reach the registry" in message for message in waits())

    await until(backs_off, "the node waits before it tries again")
    (waiting,) = [item for item in replicas.supervisor.of("iris") if item.replica.version == "two"]
    assert waiting.phase is ReplicaPhase.STARTING


async def test_a_number_that_was_set_by_hand_is_undone(replicas: Replicas) -> None:
    body = {"spec": {"replicas": 3}}
    await replicas.api.patch(f"{replicas.deployment}/scale", body, kind="merge", manager="kubectl")

    async def undone() -> bool:
        return bool((await replicas.api.get(replicas.deployment))["spec"]["replicas"] == 1)

    await until(undone, "one replica is wanted again")


async def test_a_revision_without_replicas_leaves_nothing(replicas: Replicas) -> None:
    await replicas.api.delete(replicas.deployment, propagationPolicy="Orphan")
    for handle in replicas.supervisor.all():
        replicas.supervisor.remove(handle.replica.id)

    async def gone() -> bool:
        return await replicas.find(replicas.secret) is None and await replicas.find(replicas.deployment) is None

    await until(gone, "neither Deployment nor Secret are left")


async def test_what_is_left_in_another_namespace_goes_and_what_only_resembles_it_stays(
    replicas: Replicas, tmp_path: Path
) -> None:
    api, home = replicas.api, replicas.namespace
    async with own_namespace(Path(needed("TESTBED_KUBECONFIG"))) as team:
        await replicas.supervisor.leave()
        owners = ReplicaOwners(home, "demo", ReplicaSettings(), b"key", lambda name: None, (team.namespace,))
        there = replace(ORDER, spec=ORDER.spec.model_copy(update={"placement": Placement(namespace=team.namespace)}))
        place = Place(team.namespace, home)
        name = place.deployment_name(there.endpoint, there.version, "of-the-team")
        deployment, secret = (f"{path(team.namespace)}/{name}" for path in (names.deployments, names.secrets))

        def supervisor() -> PodSupervisor:
            return PodSupervisor(api, owners, "team", PodLogs(api, home, tmp_path), lambda endpoint: None)

        one = supervisor()
        await one.adopt("team", lambda replica: ORDER.spec if replica.revision == ORDER.revision else None)
        await one.start(replace(there, revision="of-the-team"))
        made = await api.get(deployment)
        assert "ownerReferences" not in made["metadata"]
        assert made["metadata"]["labels"][names.INSTALLATION_LABEL] == home
        # Somebody in the team's namespace makes what looks like a Deployment of the endpoint in the other one.
        metadata = {"name": "like-it", "labels": names.replica_labels("iris", "one", ORDER.revision) | place.labels}
        await api.create(names.deployments(team.namespace), {"metadata": metadata, "spec": made["spec"]})
        await one.leave()

        another = supervisor()
        await another.adopt("team", lambda replica: ORDER.spec if replica.revision == ORDER.revision else None)

        async def gone() -> bool:
            return await replicas.find(secret) is None and await replicas.find(deployment) is None

        await until(gone, "neither Deployment nor Secret of the unknown revision are left")
        assert [item.replica.revision for item in another.all()] == [ORDER.revision]
        assert await replicas.find(f"{names.deployments(team.namespace)}/like-it") is not None
        assert await replicas.find(replicas.deployment) is not None
        await another.leave()
