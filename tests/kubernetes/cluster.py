"""A namespace of its own on a real API server, with pods whose kubelet is the test."""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from mljupyter.engine.envoy.listener import Listening
from mljupyter.kubernetes.api_server.connection import ApiError, ApiServer
from mljupyter.kubernetes.objects import names, published
from mljupyter.kubernetes.objects.crd import custom_resource_definition
from mljupyter.kubernetes.objects.published import PublishedRoute, listening_text
from tests.waiting import HANG_SECONDS

NOBODY = "nobody"
NOT_FOUND = 404


def runs(pod: Mapping[str, Any]) -> bool:
    """Return whether all containers of a pod run."""
    return _are(pod, "running")


def may_run(pod: Mapping[str, Any]) -> bool:
    """Return whether a container of a pod runs or is still to be started.

    A pod that was deleted stays up to a minute after its containers have ended: so long does a node take to clear up.
    """
    return "deletionTimestamp" not in pod["metadata"] or not _are(pod, "terminated")


def _are(pod: Mapping[str, Any], state: str) -> bool:
    containers = pod["status"].get("containerStatuses") or ()
    return len(containers) == len(pod["spec"]["containers"]) and all(state in one["state"] for one in containers)


def many_variables() -> dict[str, str]:
    """Return as many environment variables as a version may have. Those of two do not fit into a Secret."""
    return {f"TEXT_{number}": secrets.token_urlsafe(90_000) for number in range(8)}


class Cluster:
    """The objects that the operator, the scheduler and a kubelet write, written by a test."""

    def __init__(self, api: ApiServer, namespace: str) -> None:
        self.api = api
        self.namespace = namespace

    async def publish(self, route: PublishedRoute) -> str:
        """Write the Secret of a route, and return its version."""
        await self._secret(names.route_secret(route.route.name), published.ROUTE_KEY, route.text())
        return route.version

    async def publish_text(self, endpoint: str, text: str) -> None:
        """Write any text in the place of a route."""
        await self._secret(names.route_secret(endpoint), published.ROUTE_KEY, text)

    async def withdraw(self, endpoint: str) -> None:
        """Delete the Secret of a route."""
        await self.api.delete(f"{names.secrets(self.namespace)}/{names.route_secret(endpoint)}")

    async def listen(self, listening: Listening) -> str:
        """Write the Secret of the listener settings, and return their version."""
        text = listening_text(listening)
        await self._secret(names.LISTENING_SECRET, published.LISTENING_KEY, text)
        return published.version_of(text)

    async def pod(self, name: str, endpoint: str, version: str, revision: str, port: int) -> None:
        """Create a pod that no scheduler places on a node, so that only the test changes its status."""
        body = {
            "metadata": {"name": name, "labels": names.replica_labels(endpoint, version, revision)},
            "spec": {
                "schedulerName": NOBODY,
                "automountServiceAccountToken": False,
                "containers": [
                    {
                        "name": "server",
                        "image": "nothing",
                        "ports": [{"name": published.SCORING_PORT, "containerPort": port}],
                    }
                ],
                "readinessGates": [{"conditionType": names.SERVING_CONDITION}],
            },
        }
        await self.api.create(names.pods(self.namespace), body)

    async def ready(self, name: str, *, ready: bool = True, withdrawn: bool = False, ip: str = "127.0.0.1") -> None:
        """Set the status of a pod, as its kubelet does, and whether the operator has withdrawn it."""
        status = {
            "phase": "Running",
            "podIP": ip,
            "podIPs": [{"ip": ip}],
            "conditions": [
                {"type": "ContainersReady", "status": str(ready)},
                {"type": names.SERVING_CONDITION, "status": str(not withdrawn)},
            ],
        }
        path = f"{names.pods(self.namespace)}/{name}/status"
        await self.api.patch(path, {"status": status}, kind="strategic")

    async def remove(self, name: str) -> None:
        """Delete a pod at once."""
        await self.api.delete(f"{names.pods(self.namespace)}/{name}", gracePeriodSeconds="0")

    async def serve_endpoints(self) -> None:
        """Let the API server serve custom resources in this namespace until it is deleted.

        Whoever detaches the last cluster deletes their definition, perhaps meanwhile. The Service of an operator in
        this namespace says that it is in use.
        """
        service = {
            "metadata": {"name": "uses-endpoints", "labels": names.labels(names.COMPONENT_OPERATOR)},
            "spec": {"ports": [{"port": names.OPERATOR_PORT}]},
        }
        await self.api.create(names.services(self.namespace), service)
        definition = custom_resource_definition()
        path = names.object_path(definition)
        async with asyncio.timeout(HANG_SECONDS):
            while not await self._are_served(path, definition):
                await asyncio.sleep(0.05)

    async def _are_served(self, path: str, definition: dict[str, Any]) -> bool:
        found = await self.api.patch(path, definition, kind="apply", manager="tests", force=True)
        if "deletionTimestamp" in found["metadata"]:
            return False
        try:
            await self.api.list(names.mlendpoints(self.namespace))
        except ApiError as error:
            assert error.status == NOT_FOUND
            return False
        return True

    async def _secret(self, name: str, key: str, text: str) -> None:
        body: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "labels": {names.PUBLISHED_LABEL: "router"}},
            "data": {key: base64.b64encode(text.encode()).decode()},
        }
        path = f"{names.secrets(self.namespace)}/{name}"
        await self.api.patch(path, body, kind="apply", manager="tests", force=True)


@asynccontextmanager
async def own_namespace(kubeconfig: Path) -> AsyncIterator[Cluster]:
    """A new namespace, which is deleted at the end."""
    api = await ApiServer.connect(kubeconfig)
    name = f"tests-{secrets.token_hex(4)}"
    await api.create("/api/v1/namespaces", {"metadata": {"name": name}})
    try:
        await _has_account(api, name)
        yield Cluster(api, name)
    finally:
        await api.delete(f"/api/v1/namespaces/{name}")
        await api.close()


async def _has_account(api: ApiServer, namespace: str) -> None:
    """Wait for the namespace's default account: before, the API server refuses pods."""
    accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    async with asyncio.timeout(HANG_SECONDS):
        while not (await api.list(accounts, fields="metadata.name=default"))[0]:
            await asyncio.sleep(0.05)
