"""MLflow: a model directory behind ``mlflow models serve``."""

from __future__ import annotations

from typing import Any

from benchmarks.serving.peer import Peer, Site
from benchmarks.serving.workloads import SERVED


def _prepare(site: Site) -> list[str]:
    return [str(site.python), str(SERVED / "mlflow_save.py"), str(site.directory / "model")]


def _command(site: Site) -> list[str]:
    return [
        site.tool("mlflow"), "models", "serve",
        "--model-uri", str(site.directory / "model"),
        "--env-manager", "local",
        "--host", "127.0.0.1",
        "--port", str(site.port),
        "--workers", "1",
    ]  # fmt: skip


def _body(rows: list[list[float]]) -> dict[str, Any]:
    return {"inputs": rows}


MLFLOW = Peer(
    name="mlflow",
    title="MLflow",
    requirements=("mlflow==3.17.2",),
    setting="mlflow models serve, 1 worker, which runs requests in threads",
    route="/invocations",
    command=_command,
    prepare=_prepare,
    body=_body,
    answer=lambda document: document["predictions"],
    no_batching="it has none",
)
