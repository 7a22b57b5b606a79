"""KServe's model server, without the cluster around it."""

from __future__ import annotations

from typing import Any

from benchmarks.serving.peer import Peer, Site
from benchmarks.serving.workloads import SERVED


def _command(site: Site) -> list[str]:
    return [
        str(site.python), str(SERVED / "kserve_server.py"),
        "--http_port", str(site.port),
        "--enable_grpc", "false",
        "--workers", "1",
    ]  # fmt: skip


def _body(rows: list[list[float]]) -> dict[str, Any]:
    return {"instances": rows}


KSERVE = Peer(
    name="kserve",
    title="KServe model server",
    requirements=("kserve==0.21.0",),
    setting="kserve.ModelServer, 1 worker, protocol v1",
    route="/v1/models/model:predict",
    command=_command,
    body=_body,
    answer=lambda document: document["predictions"],
    no_batching="its batcher is a sidecar of a Kubernetes pod, not part of the model server",
)
