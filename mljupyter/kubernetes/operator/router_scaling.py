"""SelfScaler: measures the load of the router's pods, and gives their Deployment the size that the engine decides.

The desired size is in an annotation of the Deployment. Whoever applies the Deployment again, or scales it by hand,
changes its size only until the operator sees it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from mljupyter.client.errors import ControllerError
from mljupyter.engine.scaling.router_scaler import (
    LOOK_EVERY,
    PLACED_WITHIN,
    PLACING,
    Decision,
    Look,
    Node,
    Size,
    State,
    decide,
)
from mljupyter.kubernetes.api_server.connection import ApiError, ApiServer, Object
from mljupyter.kubernetes.api_server.informer import Informer
from mljupyter.kubernetes.objects import names, router_size
from mljupyter.kubernetes.objects.installation import SIZES, Purpose
from mljupyter.kubernetes.objects.router_size import Kept
from mljupyter.kubernetes.operator.cluster_router import ClusterRouter
from mljupyter.kubernetes.operator.router_counters import LoadMeter, MeanLoad
from mljupyter.spec import RouterScaling, RouterScalingDecision, RouterSize, RouterStep

MANAGER = "mljupyter-autoscaler"
_FORBIDDEN = 403
_MOST_CHARACTERS = 1000

log = logging.getLogger(__name__)


class SelfScaler:
    """Keeps the size of the router in step with its load.

    Parameters:
        api: the API server.
        namespace: the operator's namespace.
        router: the router, whose `size` it sets.
        policy: bounds, thresholds and times; None to leave the size to the Deployment.

    """

    def __init__(self, api: ApiServer, namespace: str, router: ClusterRouter, policy: RouterScaling | None) -> None:
        self._api = api
        self._namespace = namespace
        self._router = router
        self._policy = policy
        self._path = f"{names.deployments(namespace)}/{names.ROUTER}"
        self._meter = LoadMeter()
        self._state = State()
        self._look_at = 0.0
        self._without_node: dict[str, float] = {}  # the time since which a pod finds no node, by its uid
        self._changed = ("", 0)  # the uid of the Deployment, and its generation after the last own change
        self._wake = asyncio.Event()
        self._problem = ""
        self._deployment = Informer(
            api,
            names.deployments(namespace),
            fields=f"metadata.name={names.ROUTER}",
            changed=lambda kind, deployment: self._wake.set(),
        )

    async def run(self) -> None:
        """Measure and decide until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._deployment.run())
            tasks.create_task(self._follow())

    async def _follow(self) -> None:
        await self._deployment.synced.wait()
        while True:
            self._wake.clear()
            try:
                await self._step()
                self._problem = ""
            except (ApiError, ControllerError) as error:
                if error.message != self._problem:
                    log.warning("self-scaling of the router pauses: %s", error.message)
                self._problem = error.message
                if self._router.size is not None:
                    self._router.size = self._router.size.model_copy(update={"reason": error.message})
                self._look_at = time.monotonic() + LOOK_EVERY
            try:
                async with asyncio.timeout(max(self._look_at - time.monotonic(), 0.0)):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _step(self) -> None:
        """Restore the desired size when the Deployment has another one; else measure and decide, if it is time."""
        now = time.monotonic()
        due = now >= self._look_at
        if due:
            self._look_at = now + LOOK_EVERY
        deployment = self._deployment.objects.get(names.ROUTER)
        if deployment is None or self._is_older(deployment):
            return
        present, kept = router_size.size_of(deployment), router_size.kept_in(deployment)
        if self._policy is None:
            await self._forget(deployment, present, kept)
            self._report(deployment, present)
            return
        size, decisions = (present, ()) if kept is None else (kept.size, kept.decisions)
        if size != present:
            log.info("the router has %s, and gets %s again", present, size)
            await self._give(deployment, Kept(size, decisions))
        elif due:
            load = await self._measured()
            decision = await self._decided(deployment, size, load, self._policy)
            if decision.step is not None:
                decisions = (*decisions, _record(size, decision, load))
                await self._carry_out(deployment, Kept(decision.size, decisions), decision)
            self._state = decision.state
            measured = _measurements(size, load)
            self._report(deployment, decision.size, decisions=list(decisions), reason=decision.reason, **measured)

    def _is_older(self, deployment: Object) -> bool:
        """Return whether the informer has not seen the last own change yet."""
        uid, generation = self._changed
        return bool(deployment["metadata"]["uid"] == uid and deployment["metadata"].get("generation", 0) < generation)

    async def _measured(self) -> MeanLoad | None:
        """Return the load since the last look; None when no pod answers."""
        try:
            return self._meter.measure(await self._router.loads())
        except ControllerError:
            return None

    async def _decided(self, deployment: Object, size: Size, load: MeanLoad | None, policy: RouterScaling) -> Decision:
        look = Look(
            time.monotonic(),
            size,
            settled=router_size.is_settled(deployment),
            routing=load.routing if load is not None else None,
            utilization=load.cores / size.cpu if load is not None else None,
            memory=router_size.memory_of(deployment),
            obstacle=self._obstacle(deployment),
        )
        decision = decide(look, self._state, policy)
        if decision.step in PLACING and (nodes := await self._room(deployment)) is not None:
            decision = decide(replace(look, nodes=nodes), self._state, policy)
        return decision

    def _obstacle(self, deployment: Object) -> str:
        """Return why a pod of the router has had no node for a while, or cannot be created."""
        now, before = time.monotonic(), self._without_node
        messages = {
            str(pod["metadata"]["uid"]): message
            for pod in self._router.pods
            if not pod["metadata"].get("deletionTimestamp") and (message := router_size.unplaced(pod))
        }
        if refusal := router_size.refusal_of(deployment):
            messages[""] = refusal
        self._without_node = {uid: before.get(uid, now) for uid in messages}
        found = [messages[uid] for uid, since in self._without_node.items() if now - since >= PLACED_WITHIN]
        return found[0][:_MOST_CHARACTERS] if found else ""

    async def _room(self, deployment: Object) -> list[Node] | None:
        """Return the room of the cluster: by the pods of all namespaces where they may be listed, else of this one."""
        if (nodes := self._router.nodes) is None:
            return None
        running = "status.phase!=Succeeded,status.phase!=Failed"
        try:
            pods, _ = await self._api.list(names.all_pods(), fields=running)
        except ApiError as error:
            if error.status != _FORBIDDEN:
                raise
            pods, _ = await self._api.list(names.pods(self._namespace), fields=running)
        return router_size.room(deployment, nodes, pods)

    async def _carry_out(self, deployment: Object, kept: Kept, decision: Decision) -> None:
        assert decision.step is not None  # noqa: S101 - narrows the type
        log.info("the router gets %s (%s): %s", kept.size, decision.step, decision.reason)
        await self._give(deployment, kept)
        await self._tell(deployment, decision.step, f"{kept.size}: {decision.reason}")

    async def _give(self, deployment: Object, kept: Kept) -> None:
        """Give the Deployment a size, and keep it in the annotation."""
        before = router_size.size_of(deployment)
        if kept.size != before:
            await self._check_other_scaler()
        if kept.size.pods != before.pods:
            body = {"spec": {"replicas": kept.size.pods}}
            await self._api.patch(f"{self._path}/scale", body, kind="merge", manager=MANAGER)
        patch: dict[str, Any] = kept.annotated()
        if kept.size.cpu != before.cpu:
            patch |= router_size.cpu_patch(kept.size.cpu)
        changed = await self._api.patch(self._path, patch, kind="strategic", manager=MANAGER)
        self._changed = (changed["metadata"]["uid"], changed["metadata"]["generation"])

    async def _check_other_scaler(self) -> None:
        """Check that no HorizontalPodAutoscaler scales the router.

        Raises:
            ControllerError: when one does.

        """
        found, _ = await self._api.list(names.horizontal_pod_autoscalers(self._namespace))
        for one in found:
            target = one["spec"]["scaleTargetRef"]
            if (target.get("kind"), target.get("name")) == ("Deployment", names.ROUTER):
                name = one["metadata"]["name"]
                raise ControllerError(
                    f"HorizontalPodAutoscaler {name!r} scales the router as well.\n"
                    f"kubectl delete hpa {name} --namespace {self._namespace}"
                )

    async def _tell(self, deployment: Object, step: RouterStep, message: str) -> None:
        """Create an Event of the Deployment, which ``kubectl describe`` shows. A failure is only logged."""
        metadata, now = deployment["metadata"], f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        event = {
            "metadata": {"generateName": f"{names.ROUTER}-", "namespace": self._namespace},
            "involvedObject": {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "name": names.ROUTER,
                "namespace": self._namespace,
                "uid": metadata["uid"],
            },
            "type": "Warning" if step is RouterStep.NO_ROOM else "Normal",
            "reason": f"RouterScaling{step}",
            "message": message[:_MOST_CHARACTERS],
            "source": {"component": names.OPERATOR},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        try:
            await self._api.create(names.events(self._namespace), event)
        except ApiError as error:
            log.warning("an event is not recorded: %s", error.message)

    async def _forget(self, deployment: Object, present: Size, kept: Kept | None) -> None:
        """Remove the annotation: without self-scaling, the applied Deployment has the size.

        If the size is the one that self-scaling gave, the Deployment gets that of its purpose. An operator with
        self-scaling may have restored its own after the manifest was applied.
        """
        if router_size.ANNOTATION not in (deployment["metadata"].get("annotations") or {}):
            return
        patch: dict[str, Any] = {"metadata": {"annotations": {router_size.ANNOTATION: None}}}
        if kept is not None and kept.size == present:
            default = SIZES[Purpose.DEV_TEST, names.COMPONENT_ROUTER]
            cpu = router_size.quantity(default.cpu)
            if default.pods != present.pods:
                body = {"spec": {"replicas": default.pods}}
                await self._api.patch(f"{self._path}/scale", body, kind="merge", manager=MANAGER)
            if cpu != present.cpu:
                patch |= router_size.cpu_patch(cpu)
        await self._api.patch(self._path, patch, kind="strategic", manager=MANAGER)

    def _report(self, deployment: Object, size: Size, **others: Any) -> None:
        """Set the size that clients see; `others` are further fields of `RouterSize`."""
        ready = int((deployment.get("status") or {}).get("readyReplicas", 0))
        self._router.size = RouterSize(pods=size.pods, ready=ready, cpu=size.cpu, settings=self._policy, **others)


def _record(before: Size, decision: Decision, load: MeanLoad | None) -> RouterScalingDecision:
    assert decision.step is not None  # noqa: S101 - narrows the type
    return RouterScalingDecision(
        time=datetime.now(UTC).replace(microsecond=0),
        step=decision.step,
        pods_before=before.pods,
        pods_after=decision.size.pods,
        cpu_before=before.cpu,
        cpu_after=decision.size.cpu,
        reason=decision.reason[:_MOST_CHARACTERS],
        **_measurements(before, load),
    )


def _measurements(size: Size, load: MeanLoad | None) -> dict[str, float | None]:
    if load is None:
        return {"routing_ms": None, "utilization": None}
    routing = None if load.routing is None else round(1000 * load.routing, 3)
    return {"routing_ms": routing, "utilization": round(100 * load.cores / size.cpu, 1)}
