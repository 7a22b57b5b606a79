"""ReplicaPod: the handle of a replica that is a pod, or that waits for one."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mljupyter.controller.endpoints.replica_handle import ReplicaHandle
from mljupyter.engine.replicas.replica_plan import ReplicaObservation
from mljupyter.spec import Problem


@dataclass
class ReplicaPod(ReplicaHandle):
    """A replica of a Deployment. Kubernetes chooses its pod, so that it has none at first.

    Attributes:
        pod: the name of its pod; empty until there is one.
        uid: the uid of its pod.
        restarts: how often its container had ended before this replica began: each start is another replica.
        released: whether it is not counted any more in the number of replicas of its Deployment.
        ending_now: whether its end is being recorded.
        kept: whether its log was kept when it began to end.
        obstacle: the reason why it cannot start yet.

    """

    pod: str = ""
    uid: str = ""
    restarts: int = 0
    released: bool = False
    ending_now: bool = False
    kept: bool = False
    obstacle: Problem | None = None

    def observed(self) -> ReplicaObservation:
        """Return the replica as it was observed last."""
        return replace(super().observed(), obstacle=self.obstacle)
