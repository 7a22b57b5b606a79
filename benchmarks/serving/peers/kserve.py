"""KServe's model server, without the cluster around it."""

from __future__ import annotations

import base64
import json

from benchmarks.serving.exchange import Exchange, Form, document, lines, numbers
from benchmarks.serving.peer import Peer, Site
from benchmarks.serving.workloads import SERVED


def _command(site: Site) -> list[str]:
    return [
        str(site.python), str(SERVED / "kserve_server.py"),
        "--http_port", str(site.port),
        "--enable_grpc", "false",
        "--workers", "1",
    ]  # fmt: skip


def _base64(content: bytes) -> bytes:
    # It takes tensors of text or numbers as bytes, too. Of the type BYTES they must be UTF-8, and of the type UINT8
    # it makes a list of numbers: 33 requests/s where this form has 10 times as many.
    return json.dumps({"instances": [base64.b64encode(content).decode()]}).encode()


KSERVE = Peer(
    name="kserve",
    title="KServe model server",
    requirements=("kserve==0.21.0",),
    setting="kserve.ModelServer, 1 worker, protocol v1, images in base64",
    route="/v1/models/model:predict",
    command=_command,
    exchanges={
        Form.ROWS: Exchange(document("instances"), numbers("predictions")),
        Form.RECORDS: Exchange(document("instances"), numbers("predictions")),
        Form.IMAGE: Exchange(_base64, numbers("predictions")),
        Form.STREAM: Exchange(document("instances"), lines),
    },
    no_batching="its batcher is a sidecar of a Kubernetes pod, not part of the model server",
)
