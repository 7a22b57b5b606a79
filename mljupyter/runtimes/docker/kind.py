"""The description of containers as a way of running replicas.

It imports the runtime on first use: a quarter of the modules of a controller are of Docker and of images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from mljupyter.runtimes.base import ReplicaLog, Runtime, RuntimeContext, RuntimeKind
from mljupyter.runtimes.docker import TARGET


def _make(context: RuntimeContext) -> Runtime:
    from mljupyter.runtimes.docker.runtime import DockerRuntime  # see above

    return DockerRuntime(
        workspace=str(context.workspace),
        collected=context.collected,
        sockets=context.sockets,
        workspace_key=context.workspace_key(),
        accelerators=context.accelerators,
    )


def _request_logs(workspace: Path, _replicas: Path) -> Callable[[], Sequence[ReplicaLog]]:
    from mljupyter.runtimes.docker.container_spec import connect  # see above
    from mljupyter.runtimes.docker.runtime import record_logs

    return partial(record_logs, connect(), str(workspace))


KIND = RuntimeKind(target=TARGET, make=_make, request_logs=_request_logs)
