"""PodRuntime: what the control plane asks about replicas in pods: their logs and records, and the cluster's size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mljupyter.engine.scaling.capacity import Capacity
from mljupyter.kubernetes.operator.pod_logs import PodLogs
from mljupyter.kubernetes.operator.pod_supervisor import PodSupervisor
from mljupyter.runtimes.base import (
    Ending,
    ReplicaLog,
    ReplicaOrder,
    RunningReplica,
    RuntimeUnavailableError,
    Usage,
)

_BY_SUPERVISOR = "pods are started and stopped by the pod supervisor."


class PodRuntime:
    """The runtime of the operator's compute target. `PodSupervisor` starts, watches and stops its replicas.

    Parameters:
        target: the name of the compute target.
        supervisor: knows the pods.
        logs: reads and keeps their logs.

    """

    def __init__(self, target: str, supervisor: PodSupervisor, logs: PodLogs) -> None:
        self.target = target
        self._supervisor = supervisor
        self._logs = logs

    async def adopt(self) -> list[RunningReplica]:
        """Return the replicas of all pods."""
        return [item.replica for item in self._supervisor.all()]

    async def start(self, order: ReplicaOrder) -> RunningReplica:
        """Refuse: a pod is started by its Deployment."""
        raise RuntimeUnavailableError(_BY_SUPERVISOR)

    async def ended(self, replica: RunningReplica) -> Ending:
        """Refuse: the supervisor follows pods."""
        raise RuntimeUnavailableError(_BY_SUPERVISOR)

    def stop(self, replica: RunningReplica) -> None:
        """Ask a replica to finish its requests and end."""
        self._supervisor.drain(replica.id)

    def kill(self, replica: RunningReplica) -> None:
        """Ask a replica to end. Kubernetes kills it after its grace period."""
        self._supervisor.drain(replica.id)

    async def forget(self, endpoint: str, version: str | None = None) -> None:
        """Remove the kept logs of a deleted endpoint. Those of a version stay: they are few."""
        if version is None:
            self._logs.forget(endpoint)

    async def last_lines(self, replica: RunningReplica, count: int) -> list[str]:
        """Return nothing: the supervisor notes the last lines of a container that has ended."""
        return []

    def logs(self, endpoint: str, version: str | None = None) -> list[ReplicaLog]:
        """Return the logs of an endpoint's replicas, ended ones included. May block."""
        return self._found(endpoint, version, records=False)

    def records(self, endpoint: str | None = None, version: str | None = None) -> list[ReplicaLog]:
        """Return the request logs of an endpoint's replicas. May block."""
        return self._found(endpoint, version, records=True)

    async def usage(self, replicas: Sequence[RunningReplica], worker_pids: Mapping[str, int]) -> Mapping[str, Usage]:
        """Return nothing: replicas in pods measure themselves, and report it with their counters."""
        return {}

    async def capacity(self) -> Capacity | None:
        """Return None: the cluster's own scheduler decides."""
        return None

    async def leave(self) -> None:
        """Do nothing: the supervisor stops watching."""

    def _found(self, endpoint: str | None, version: str | None, *, records: bool) -> list[ReplicaLog]:
        running = [
            item
            for item in self._supervisor.pods()
            if endpoint in (None, item.replica.endpoint) and version in (None, item.replica.version)
        ]
        live = [
            self._logs.running(item.replica, records=records, namespace=self._supervisor.namespace_of(item))
            for item in running
        ]
        restarts = {item.replica.id: item.restarts for item in running}
        return [*self._logs.ended(endpoint or "*", version, restarts, records=records), *live]
