"""MLServer: its scikit-learn runtime, which serves any object with `predict` that joblib can load."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.serving.peer import BATCH_SECONDS, BATCH_SIZE, Peer, Site
from benchmarks.serving.processes import free_port


def _command(site: Site) -> list[str]:
    settings = {
        "debug": False,
        "host": site.host,
        "http_port": site.port,
        "grpc_port": free_port(),
        "metrics_port": free_port(),
        "parallel_workers": 1,
    }
    model: dict[str, Any] = {
        "name": "model",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": str(site.model)},
    }
    if site.batching:
        model |= {"max_batch_size": BATCH_SIZE, "max_batch_time": BATCH_SECONDS}
    (site.directory / "settings.json").write_text(json.dumps(settings))
    (site.directory / "model-settings.json").write_text(json.dumps(model))
    return [site.tool("mlserver"), "start", str(site.directory)]


def _body(rows: list[list[float]]) -> dict[str, Any]:
    numbers = [number for row in rows for number in row]
    tensor = {"name": "rows", "shape": [len(rows), len(rows[0])], "datatype": "FP64", "data": numbers}
    return {"inputs": [tensor]}


MLSERVER = Peer(
    name="mlserver",
    title="MLServer",
    requirements=("mlserver==1.7.1", "mlserver-sklearn==1.7.1", "uvloop==0.21.0"),  # its workers die with later uvloops
    setting="mlserver start, 1 inference worker, protocol v2",
    route="/v2/models/model/infer",
    command=_command,
    body=_body,
    answer=lambda document: document["outputs"][0]["data"],
    batching_setting=f"max_batch_size={BATCH_SIZE}, max_batch_time={BATCH_SECONDS} s",
)
