"""KServe's model server, without the cluster around it."""

from __future__ import annotations

import json

from benchmarks.serving.exchange import BYTES, Exchange, Form, document, lines, numbers
from benchmarks.serving.peer import Peer, Site
from benchmarks.serving.workloads import SERVED


def _command(site: Site) -> list[str]:
    return [
        str(site.python), str(SERVED / "kserve_server.py"),
        "--http_port", str(site.port),
        "--enable_grpc", "false",
        "--workers", "1",
    ]  # fmt: skip


def _head(size: int) -> bytes:
    # Of the type BYTES it takes text only.
    tensor = {"name": "image", "shape": [size], "datatype": "UINT8", "parameters": {"binary_data_size": size}}
    return json.dumps({"inputs": [tensor]}).encode()


def _binary(content: bytes) -> bytes:
    return _head(len(content)) + content


KSERVE = Peer(
    name="kserve",
    title="KServe model server",
    requirements=("kserve==0.21.0",),
    setting="kserve.ModelServer, 1 worker, protocol v1",
    route="/v1/models/model:predict",
    command=_command,
    exchanges={
        Form.ROWS: Exchange(document("instances"), numbers("predictions")),
        Form.RECORDS: Exchange(document("instances"), numbers("predictions")),
        Form.IMAGE: Exchange(
            _binary,
            numbers("outputs", 0, "data"),
            BYTES,
            lambda content: {"Inference-Header-Content-Length": str(len(_head(len(content))))},
            "/v2/models/model/infer",
        ),
        Form.STREAM: Exchange(document("instances"), lines),
    },
    no_batching="its batcher is a sidecar of a Kubernetes pod, not part of the model server",
)
