"""PodInspector: what only events and nodes tell about pods that do not start."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from mljupyter.kubernetes.api_server.connection import ApiError, ApiServer, Object
from mljupyter.kubernetes.api_server.namespaces import namespace_of
from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.objects.pod_state import is_fetching, is_unschedulable
from mljupyter.kubernetes.objects.replicas import FETCHER
from mljupyter.kubernetes.objects.room import Room
from mljupyter.kubernetes.operator.revisions import Revision

_AT_ONCE = 20
_NODES_FOR = 10.0
_FORBIDDEN_FOR = 600.0
_SHORTEST, _LONGEST, _LONGEST_FETCHING = 2.0, 60.0, 5.0
_SHARE = 0.25
_FORBIDDEN = 403
_PODS = "/api/v1/pods"
_NOT_OVER = "status.phase!=Succeeded,status.phase!=Failed"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Findings:
    """What an inspection has found.

    Parameters:
        looked: whether there was one.
        events: the events about the pod.
        room: the nodes of the cluster, for a pod without a node; None where they cannot be read.
        progress: the last line of the log of a download of models.

    """

    looked: bool = False
    events: tuple[Object, ...] = ()
    room: Room | None = None
    progress: str = ""


class PodInspector:
    """Reads the events of pods that do not start, and for those without a node what is free on the nodes.

    One pod stands for all of its revision, which have one template. The longer it waits, the longer are the pauses,
    from 2 seconds to a minute, so that pods that wait for hours cost little. The progress of a download of models is
    read every 5 seconds at least. Nodes are read at most every 10 seconds.

    Parameters:
        api: the API server.
        namespace: that of the operator.
        others: the other namespaces that replicas may run in.

    """

    def __init__(self, api: ApiServer, namespace: str, others: Sequence[str] = ()) -> None:
        self._api = api
        self._namespace = namespace
        self._others = others
        self._found: dict[Revision, Findings] = {}
        self._first: dict[Revision, float] = {}
        self._last: dict[Revision, float] = {}
        self._room: tuple[float, Room | None] | None = None
        self._all_pods_from = 0.0

    def known(self, revision: Revision) -> Findings:
        """Return what is known about the pods of a revision."""
        return self._found.get(revision, Findings())

    def keep(self, waiting: Collection[Revision]) -> None:
        """Forget the revisions whose pods do not wait any more."""
        for revision in self._first.keys() - set(waiting):
            del self._first[revision]
            self._last.pop(revision, None)
            self._found.pop(revision, None)

    def due(self, waiting: Collection[Revision], now: float, fetching: Collection[Revision] = ()) -> list[Revision]:
        """Return the revisions to inspect now, those first that were inspected longest ago; at most 20.

        Parameters:
            waiting: the revisions with pods that do not start.
            now: seconds since the epoch.
            fetching: those whose pods fetch models.

        """
        found = []
        for revision in waiting:
            waited = now - self._first.setdefault(revision, now)
            pause = min(max(waited * _SHARE, _SHORTEST), _LONGEST_FETCHING if revision in fetching else _LONGEST)
            if now - self._last.get(revision, 0.0) >= pause:
                found.append(revision)
        return sorted(found, key=lambda revision: self._last.get(revision, 0.0))[:_AT_ONCE]

    async def inspect(self, revision: Revision, pod: Object, now: float) -> None:
        """Inspect a pod. What cannot be read is left out."""
        self._last[revision] = now
        events: list[Object] = []
        with contextlib.suppress(ApiError):
            fields = f"involvedObject.uid={pod['metadata']['uid']}"
            namespace = namespace_of(pod) or self._namespace
            events, _ = await self._api.list(names.events(namespace), fields=fields)
        room = await self._nodes(now) if is_unschedulable(pod) else None
        progress = await self._progress(pod) if is_fetching(pod) else ""
        self._found[revision] = Findings(looked=True, events=tuple(events), room=room, progress=progress)

    async def _progress(self, pod: Object) -> str:
        path = f"{names.pods(self._namespace)}/{pod['metadata']['name']}/log"
        with contextlib.suppress(ApiError):
            return (await self._api.text(path, container=FETCHER, tailLines="1")).strip()
        return ""

    async def _nodes(self, now: float) -> Room | None:
        if self._room is None or now - self._room[0] > _NODES_FOR:
            self._room = now, await self._read(now)
        return self._room[1]

    async def _read(self, now: float) -> Room | None:
        try:
            nodes, _ = await self._api.list(names.nodes())
            if now >= self._all_pods_from:
                try:
                    pods, _ = await self._api.list(_PODS, fields=_NOT_OVER)
                    return Room(nodes, pods, complete=True)
                except ApiError as error:
                    if error.status != _FORBIDDEN:
                        raise
                    # An administrator may grant this right. Without it, what other namespaces use is not known.
                    self._all_pods_from = now + _FORBIDDEN_FOR
            pods, _ = await self._api.list(names.pods(self._namespace), fields=_NOT_OVER)
            for other in self._others:
                with contextlib.suppress(ApiError):  # it is gone, or cannot be read
                    pods = [*pods, *(await self._api.list(names.pods(other), fields=_NOT_OVER))[0]]
            return Room(nodes, pods)
        except ApiError as error:
            log.info("what is free on the nodes is not known: %s", error.message)
            return None
