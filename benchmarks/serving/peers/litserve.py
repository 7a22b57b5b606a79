"""LitServe: one API server and one inference worker, connected by the queue it recommends for production."""

from __future__ import annotations

import base64
import json

from benchmarks.serving.exchange import Exchange, Form, document, lines, numbers
from benchmarks.serving.peer import BATCH_SECONDS, BATCH_SIZE, Peer, Site
from benchmarks.serving.workloads import SERVED


def _command(site: Site) -> list[str]:
    return [str(site.python), str(SERVED / "litserve_server.py")]


def _base64(content: bytes) -> bytes:
    return json.dumps({"data": base64.b64encode(content).decode()}).encode()


LITSERVE = Peer(
    name="litserve",
    title="LitServe",
    requirements=("litserve==0.2.19",),
    setting="1 API server, 1 worker, fast_queue; images in base64",
    route="/predict",
    command=_command,
    exchanges={
        Form.ROWS: Exchange(document("data"), numbers()),
        Form.RECORDS: Exchange(document("data"), numbers()),
        Form.IMAGE: Exchange(_base64, numbers()),
        Form.STREAM: Exchange(document("data"), lines),
    },
    batching_setting=f"max_batch_size={BATCH_SIZE}, batch_timeout={BATCH_SECONDS} s",
)
