"""MLServer: its scikit-learn runtime, which serves any object with `predict` that joblib can load."""

from __future__ import annotations

import base64
import json
from typing import Any

from benchmarks.serving.exchange import Exchange, Form, numbers
from benchmarks.serving.peer import BATCH_SECONDS, BATCH_SIZE, Peer, Site
from benchmarks.serving.processes import free_port


def _command(site: Site) -> list[str]:
    settings = {
        "debug": False,
        "host": site.host,
        "http_port": site.port,
        "grpc_port": free_port(),
        "metrics_port": free_port(),
        "parallel_workers": 0 if site.form is Form.STREAM else 1,  # it does not stream out of its workers
        "gzip_enabled": False,
    }
    model: dict[str, Any] = {
        "name": "model",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": str(site.model)},
    }
    if site.batching:
        model |= {"max_batch_size": BATCH_SIZE, "max_batch_time": BATCH_SECONDS}
    if site.form is Form.STREAM:
        model["implementation"] = "mlserver_stream.Streaming"
    (site.directory / "settings.json").write_text(json.dumps(settings))
    (site.directory / "model-settings.json").write_text(json.dumps(model))
    return [site.tool("mlserver"), "start", str(site.directory)]


def _tensor(name: str, datatype: str, data: list[Any], *shape: int) -> dict[str, Any]:
    return {"name": name, "shape": list(shape), "datatype": datatype, "data": data}


def _rows(rows: list[list[float]]) -> bytes:
    flat = [number for row in rows for number in row]
    return json.dumps({"inputs": [_tensor("rows", "FP64", flat, len(rows), len(rows[0]))]}).encode()


def _records(records: list[dict[str, Any]]) -> bytes:
    kinds = {float: "FP64", int: "INT64", str: "BYTES"}
    tensors = [
        _tensor(name, kinds[type(value)], [record[name] for record in records], len(records), 1)
        for name, value in records[0].items()
    ]
    return json.dumps({"parameters": {"content_type": "pd"}, "inputs": tensors}).encode()


def _image(content: bytes) -> bytes:
    tensor = _tensor("image", "BYTES", [base64.b64encode(content).decode()], 1, 1)
    return json.dumps({"inputs": [tensor | {"parameters": {"content_type": "base64"}}]}).encode()


def _events(body: bytes) -> list[int]:
    documents = (json.loads(line[5:]) for line in body.splitlines() if line.startswith(b"data:"))
    return [int(document["outputs"][0]["data"][0].split()[0]) for document in documents]


_NUMBERS = numbers("outputs", 0, "data")

MLSERVER = Peer(
    name="mlserver",
    title="MLServer",
    requirements=("mlserver==1.7.1", "mlserver-sklearn==1.7.1", "uvloop==0.21.0"),  # its workers die with later uvloops
    setting="mlserver start, 1 inference worker, none for streams; protocol v2, images in base64",
    route="/v2/models/model/infer",
    command=_command,
    exchanges={
        Form.ROWS: Exchange(_rows, _NUMBERS),
        Form.RECORDS: Exchange(_records, _NUMBERS),
        Form.IMAGE: Exchange(_image, _NUMBERS),
        Form.STREAM: Exchange(_rows, _events, route="/v2/models/model/infer_stream"),
    },
    batching_setting=f"max_batch_size={BATCH_SIZE}, max_batch_time={BATCH_SECONDS} s",
)
