"""The operator's lifecycle: it waits until it leads, composes the control plane, and ends in order."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import math
import shutil
import signal
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import TypeVar

from mljupyter.client.errors import StorageError
from mljupyter.controller.control_plane import ControlPlane
from mljupyter.controller.endpoints.replica_secrets import workspace_key
from mljupyter.controller.layout import Layout, private_directory
from mljupyter.controller.storage.history import Change
from mljupyter.controller.tls.listener_manager import ListenerManager
from mljupyter.kubernetes.api_server.connection import ApiError, ApiServer
from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.objects.replicas import ReplicaSettings
from mljupyter.kubernetes.operator.cluster_router import ClusterRouter
from mljupyter.kubernetes.operator.cluster_store import ClusterStore
from mljupyter.kubernetes.operator.collected_volume import CollectedVolume
from mljupyter.kubernetes.operator.events import EventRecorder
from mljupyter.kubernetes.operator.leadership import Leadership, LeadershipLostError
from mljupyter.kubernetes.operator.persistence import Persistence
from mljupyter.kubernetes.operator.pod_logs import PodLogs
from mljupyter.kubernetes.operator.pod_runtime import PodRuntime
from mljupyter.kubernetes.operator.pod_supervisor import PodSupervisor
from mljupyter.kubernetes.operator.private_state import PrivateState
from mljupyter.kubernetes.operator.revisions import ReplicaOwners
from mljupyter.kubernetes.operator.router_scaling import SelfScaler
from mljupyter.kubernetes.operator.router_surroundings import ClusterSurroundings
from mljupyter.kubernetes.operator.server import OperatorServer
from mljupyter.kubernetes.operator.settings import OperatorSettings
from mljupyter.kubernetes.operator.webhook import Webhook
from mljupyter.registry.artifacts.store import ArtifactStore
from mljupyter.runtimes.base import RuntimeContext, RuntimeKind, Runtimes
from mljupyter.spec import EndpointSpec, RouterSpec

LOOK_AGAIN_EVERY = 10.0
_LEAST_LOOKED_AT, _ALL_LOOKED_AT_IN = 20, 60  # endpoints each time; all are looked at within ten minutes
_ALL_ADDRESSES = "0.0.0.0"  # noqa: S104 - in the router's pod; the Service decides who reaches it
_RETRY_EVERY = 2.0
_NOT_FOUND = 404

Found = TypeVar("Found")

log = logging.getLogger("mljupyter.operator")


class _End:
    """The request to end the process."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.reason = "asked to stop"

    def request(self, _everything: bool = False) -> None:
        self._event.set()

    def because_of(self, task: asyncio.Task[None]) -> None:
        """End the process when a part has failed: Kubernetes starts it again."""
        if self._event.is_set() or task.cancelled():
            return
        error = task.exception()
        self.reason = f"{task.get_name()} has ended"
        if isinstance(error, LeadershipLostError):
            self.reason = str(error)
        elif error is not None:
            log.critical("the %s has failed", task.get_name(), exc_info=error)
        self._event.set()

    async def wait(self) -> None:
        await self._event.wait()

    @property
    def asked(self) -> bool:
        return self._event.is_set()


async def run(settings: OperatorSettings, ready: Callable[[int], None] = lambda port: None) -> None:
    """Run the operator until it is asked to stop, or another one leads.

    Parameters:
        settings: the settings of its pod.
        ready: called with the port of its API when it leads.

    """
    log.info("operator %s starts in namespace %s", settings.pod, settings.namespace)
    end = _End()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end.request)
    api = await ApiServer.connect(settings.kubeconfig)
    server = OperatorServer(settings.port, settings.api_secret, end.because_of)
    webhook = Webhook(api, settings)
    webhook.start(end.because_of)
    leadership = Leadership(api, settings.namespace, settings.pod)
    try:
        if await _before(end, leadership.take()):
            keeping = asyncio.create_task(leadership.keep(), name="leadership")
            keeping.add_done_callback(end.because_of)
            log.info("operator %s leads", settings.pod)
            await _lead(settings, api.writing_while(leadership.holds), leadership, server, webhook, end, ready)
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            await leadership.give_up()
    finally:
        log.info("operator %s ends: %s", settings.pod, end.reason)
        await server.close()
        await webhook.close()
        await api.close()


async def _lead(
    settings: OperatorSettings,
    api: ApiServer,
    leadership: Leadership,
    server: OperatorServer,
    webhook: Webhook,
    end: _End,
    ready: Callable[[int], None],
) -> None:
    layout = Layout.of(settings.directory / settings.workspace)
    shutil.rmtree(layout.directory, ignore_errors=True)  # what an earlier leader left: the API server has the truth
    for directory in (layout.directory, layout.control, layout.tls, layout.replicas):
        private_directory(directory, "")
    private = PrivateState(api, settings.namespace, layout)
    await _again(private.restore)
    durability = _Durability(private)
    persistence = Persistence(
        api,
        settings.namespace,
        settings.target,
        accept=lambda spec, change: _accept(plane, store, spec, change),
        delete=lambda name: _delete(plane, store, name),
        stored=lambda name: plane.queue.add(name),
        record=lambda name, happening: recorder.record(name, happening),
    )
    recorder = EventRecorder(api, settings.namespace, settings.pod, persistence.owner)
    durability.persistence = persistence
    store = ClusterStore(layout.database, persistence.changes, recorder.record)
    private.restore_settings(store)
    if store.setting("router") is None:
        spec = RouterSpec(address=_ALL_ADDRESSES, allow_without_authentication=True)
        store.put_setting("router", spec.json_text())
    await _again(lambda: persistence.load(store))
    owners = ReplicaOwners(
        settings.namespace,
        settings.workspace,
        ReplicaSettings(defaults=settings.replicas, fetcher_image=await _again(lambda: _own_image(api, settings))),
        workspace_key(layout.replica_key),
        persistence.owner,
        settings.endpoint_namespaces,
    )
    logs = PodLogs(api, settings.namespace, layout.replicas)
    surroundings = ClusterSurroundings(api, settings.namespace, settings.service, settings.gateway)
    following = asyncio.create_task(surroundings.run(), name="surroundings of the router")
    await surroundings.known()  # otherwise a certificate would be signed for too few names, and then again
    keeper = ListenerManager(layout, store, surroundings)
    kind = RuntimeKind(
        target=settings.target,
        make=lambda context: PodRuntime(settings.target, plane.supervisor, logs),
        request_logs=lambda workspace, replicas: list,
        found_at_start=True,
    )
    context = RuntimeContext(
        workspace=layout.directory,
        replicas=layout.replicas,
        revisions=layout.revisions,
        collected=layout.collected,
        sockets=lambda: layout.control,
        contents=ArtifactStore(layout.artifacts),
        workspace_key=lambda: owners.workspace_key,
    )
    supervisors: list[PodSupervisor] = []

    def supervise(changed: Callable[[str], None]) -> PodSupervisor:
        supervisors.append(PodSupervisor(api, owners, settings.target, logs, changed))
        return supervisors[0]

    plane = ControlPlane(
        layout=layout,
        store=store,
        runtimes=Runtimes([kind], context),
        keeper=keeper,
        ports=None,
        supervisor=supervise,
        router=lambda changed: ClusterRouter(
            api,
            settings.namespace,
            settings.internal_secret,
            keeper=keeper,
            surroundings=surroundings,
            supervisor=supervisors[0],
            owner=persistence.owner,
            changed=changed,
            withdrawn=lambda name: plane.reconciler.look_again([name]),
        ),
        durability=durability,
        namespaces=settings.namespaces,
        collected=CollectedVolume(
            api,
            settings.namespace,
            settings.target,
            settings.replicas.collected_data_claim,
            settings.internal_secret,
        ),
    )
    await plane.router.start()
    scaler = SelfScaler(api, settings.namespace, plane.router, settings.scaling)
    parts = [
        following,
        asyncio.create_task(persistence.run(), name="persistence"),
        asyncio.create_task(private.run(), name="private state"),
        asyncio.create_task(webhook.lead(), name="webhook configuration"),
        asyncio.create_task(recorder.run(), name="events"),
        asyncio.create_task(scaler.run(), name="self-scaling"),
    ]
    for task in parts:
        task.add_done_callback(end.because_of)
    await plane.reconciler.begin()
    await plane.run(end.because_of)
    server.begin(plane.api(end.request).application)
    await _again(leadership.announce)
    ready(server.port)
    turn: Iterator[str] = iter(())
    while not end.asked:
        names = store.names()
        most = max(_LEAST_LOOKED_AT, math.ceil(len(names) / _ALL_LOOKED_AT_IN))
        if not (some := list(itertools.islice(turn, most))):
            turn = iter(sorted({*names, *plane.supervisor.endpoints()}))
            some = list(itertools.islice(turn, most))
        plane.reconciler.look_again(some)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_AGAIN_EVERY):
                await end.wait()
    plane.end_waits()
    with contextlib.suppress(ApiError, StorageError):
        await durability.settle()
    await plane.close()
    await plane.supervisor.leave()
    await plane.router.leave()
    for task in parts:
        task.cancel()
    await asyncio.gather(*parts, return_exceptions=True)
    store.close()


class _Durability:
    """A change is stored when the API server has the endpoint, and the private files that it changed."""

    def __init__(self, private: PrivateState) -> None:
        self._private = private
        self.persistence: Persistence

    async def stored(self, name: str) -> None:
        await self.persistence.stored(name)

    async def settle(self) -> None:
        await self.persistence.settle()
        try:
            await self._private.settle()
        except ApiError as error:
            raise StorageError(f"the change is not stored yet: {error.message}") from None


def _accept(
    plane: ControlPlane[PodSupervisor, ClusterRouter], store: ClusterStore, spec: EndpointSpec, change: Change
) -> None:
    if store.find(spec.name) is None:
        plane.service.create(spec, overwrite=False, primary_key=None, secondary_key=None, user=change.user)
    else:
        plane.service.replace(spec, change=change)


def _delete(plane: ControlPlane[PodSupervisor, ClusterRouter], store: ClusterStore, name: str) -> None:
    store.mark_deleting(name)
    plane.reconciler.retry(name)
    plane.changes.notify()


async def _before(end: _End, work: Coroutine[None, None, None]) -> bool:
    """Return whether work has ended before the process is asked to end."""
    task, ending = asyncio.ensure_future(work), asyncio.create_task(end.wait())
    await asyncio.wait([task, ending], return_when=asyncio.FIRST_COMPLETED)
    ending.cancel()
    if task.done():
        task.result()
        return True
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return False


async def _again(read: Callable[[], Awaitable[Found]]) -> Found:
    """Read until the API server answers, and return what was read."""
    while True:
        try:
            return await read()
        except ApiError as error:
            log.warning("the operator waits for the API server: %s", error.message)
            await asyncio.sleep(_RETRY_EVERY)


async def _own_image(api: ApiServer, settings: OperatorSettings) -> str | None:
    """Return the image of the operator's pod; None for an operator that runs outside of its cluster."""
    try:
        pod = await api.get(f"{names.pods(settings.namespace)}/{settings.pod}")
    except ApiError as error:
        if error.status != _NOT_FOUND:
            raise
        return None
    return str(pod["spec"]["containers"][0]["image"])
