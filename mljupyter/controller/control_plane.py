"""ControlPlane: the parts that make endpoints match their specs, composed; the same on one machine and on a cluster.

A home of the control plane, the controller of a workspace or the operator of a cluster, brings the parts that differ:
where the state is stored, what runs replicas, and what routes requests.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from typing import Generic, Protocol, TypeVar

from mljupyter.client.errors import ControllerError
from mljupyter.controller.api.collected import CollectedApi
from mljupyter.controller.api.endpoints import Api, user_of
from mljupyter.controller.api.metrics import MetricsApi
from mljupyter.controller.api.releases import ReleaseApi
from mljupyter.controller.api.router import RouterApi
from mljupyter.controller.collected.base import CollectedData
from mljupyter.controller.endpoints.autoscaler import Autoscaler
from mljupyter.controller.endpoints.capacity_manager import CapacityManager
from mljupyter.controller.endpoints.notifier import Notifier
from mljupyter.controller.endpoints.reconciler import Reconciler
from mljupyter.controller.endpoints.releases import Releases
from mljupyter.controller.endpoints.replica_handle import ReplicaSupervisor
from mljupyter.controller.endpoints.rollouts import Rollouts
from mljupyter.controller.endpoints.service import Service
from mljupyter.controller.endpoints.workqueue import WorkQueue
from mljupyter.controller.layout import Layout
from mljupyter.controller.metrics.collector import Collector
from mljupyter.controller.metrics.port import MetricsPort
from mljupyter.controller.router.endpoint_router import EndpointRouter
from mljupyter.controller.router.service import RouterService
from mljupyter.controller.storage.store import Store
from mljupyter.controller.tls.listener_manager import ListenerManager
from mljupyter.runtimes.base import Runtimes
from mljupyter.runtimes.ports import PortReservations

AnySupervisor = TypeVar("AnySupervisor", bound=ReplicaSupervisor)
AnyRouter = TypeVar("AnyRouter", bound=EndpointRouter)

log = logging.getLogger(__name__)


class Durability(Protocol):
    """Waits until changes of the store are stored where the truth is."""

    async def stored(self, name: str) -> None:
        """Return when the desired state of an endpoint is stored, or was undone: then the control plane may act."""
        ...

    async def settle(self) -> None:
        """Return when all desired states are stored; raise `ControllerError` for one that was undone."""
        ...


class ControlPlane(Generic[AnySupervisor, AnyRouter]):
    """The composed parts of a control plane.

    Parameters:
        layout: the files of the workspace.
        store: the endpoints.
        runtimes: the runtimes by compute target.
        keeper: the router's listener settings.
        ports: the reservations of ports of this machine; None where local web services cannot run.
        supervisor: makes what manages replicas, from a function to call with the endpoint of a replica that changed.
        router: makes what routes requests, from a function to call when it begins or stops to answer.
        collected: the data that scoring scripts collect.
        durability: waits until changes are stored, where that is not when the store has them.
        namespaces: the namespaces of a cluster that replicas may run in; None on one machine.

    """

    def __init__(
        self,
        *,
        layout: Layout,
        store: Store,
        runtimes: Runtimes,
        keeper: ListenerManager,
        ports: PortReservations | None,
        supervisor: Callable[[Callable[[str], None]], AnySupervisor],
        router: Callable[[Callable[[], None]], AnyRouter],
        collected: CollectedData,
        durability: Durability | None = None,
        namespaces: Collection[str] | None = None,
    ) -> None:
        self.keeper = keeper
        self._durability = durability
        self.queue = WorkQueue()
        self.changes = Notifier()
        self.supervisor = supervisor(self._replica_changed)
        self.router = router(lambda: self.reconciler.router_changed())
        admissions = CapacityManager(runtimes)
        self.autoscaler = Autoscaler(store, self.router, admissions, changed=self.queue.add)
        self.reconciler = Reconciler(
            workspace=layout.directory.name,
            store=store,
            runtimes=runtimes,
            supervisor=self.supervisor,
            router=self.router,
            autoscaler=self.autoscaler,
            admissions=admissions,
            queue=self.queue,
            notify=self.changes.notify,
        )
        self.rollouts = Rollouts(
            store=store,
            statistics=self.router,
            supervisor=self.supervisor,
            changed=self.queue.add,
            notify=self.changes.notify,
        )
        self.service = Service(
            layout=layout,
            store=store,
            reconciler=self.reconciler,
            router=self.router,
            runtimes=runtimes,
            changes=self.changes,
            keeper=keeper,
            ports=ports,
            namespaces=namespaces,
        )
        self.collector = Collector(layout.metrics, store, self.router, self.supervisor, runtimes)
        self._router_service = RouterService(store, keeper, self.reconciler.listen_anew, self.router)
        self._metrics_port = MetricsPort(self.collector)
        self._metrics = MetricsApi(store, self.collector, self._metrics_port)
        self._collected = CollectedApi(collected, self.service.find)
        self._releases = Releases(store=store, rollouts=self.rollouts, service=self.service)
        self._vital: list[asyncio.Task[None]] = []
        self._measuring: asyncio.Task[None] | None = None

    def api(self, stop: Callable[[bool], None]) -> Api:
        """Return the HTTP interface. `stop` is called to end the process, with True to end everything."""
        routes = [
            *RouterApi(self._router_service).routes,
            *ReleaseApi(self._releases, user_of).routes,
            *self._metrics.routes,
            *self._collected.routes,
        ]
        if self._durability is None:
            return Api(self.service, stop, routes)
        return Api(self.service, stop, routes, settled=self._durability.settle)

    async def run(self, failed: Callable[[asyncio.Task[None]], None]) -> None:
        """Begin to work on all endpoints. `failed` is called with each part that ends."""
        work = {
            "reconciler": self.queue.run(self._step, self.reconciler.failed),
            "autoscaler": self.autoscaler.run(),
            "rollouts": self.rollouts.run(),
            "listening": self._keep_listening(),
        }
        self._vital = [asyncio.create_task(part, name=name) for name, part in work.items()]
        for task in self._vital:
            task.add_done_callback(failed)
        self._measuring = asyncio.create_task(self.collector.run(), name="collector")
        await self._metrics.begin()

    def end_waits(self) -> None:
        """Answer the clients that wait for a change, since the process is about to end."""
        self.service.ending = True
        self.changes.notify()

    async def close(self) -> None:
        """Stop working. Replicas and router continue to serve."""
        tasks = [*self._vital, *([self._measuring] if self._measuring is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._metrics_port.close()
        await self.collector.close()

    async def _step(self, endpoint: str) -> None:
        if self._durability is not None:
            await self._durability.stored(endpoint)
        await self.reconciler.reconcile(endpoint)

    def _replica_changed(self, endpoint: str) -> None:
        self.queue.add(endpoint)
        self.collector.replicas_changed(endpoint)
        self.rollouts.wake(endpoint)  # before the reconciler, since another replica may be ready already

    async def _keep_listening(self) -> None:
        """Update the router after changes of certificates and token keys. The next check retries failures."""

        async def follow() -> None:
            try:
                await self.reconciler.listen_anew()
            except ControllerError as error:
                log.error("certificates: %s", error.message)

        await self.keeper.run(follow)
