"""MLflow: a model directory behind ``mlflow models serve``."""

from __future__ import annotations

import base64
import json

from benchmarks.serving.exchange import Exchange, Form, document, numbers
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


def _base64(content: bytes) -> bytes:
    return json.dumps({"dataframe_records": [{"image": base64.b64encode(content).decode()}]}).encode()


MLFLOW = Peer(
    name="mlflow",
    title="MLflow",
    requirements=("mlflow==3.17.2",),
    setting="mlflow models serve, 1 worker, which runs requests in threads; images in base64",
    route="/invocations",
    command=_command,
    prepare=_prepare,
    exchanges={
        Form.ROWS: Exchange(document("inputs"), numbers("predictions")),
        Form.RECORDS: Exchange(document("dataframe_records"), numbers("predictions")),
        Form.IMAGE: Exchange(_base64, numbers("predictions")),
        Form.STREAM: "its server streams the answers of chat models only",
    },
    runs_at_once=None,
    no_batching="it has none",
)
