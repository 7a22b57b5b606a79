"""A collector: takes OTLP over HTTP in protobuf, and what Azure Monitor's exporter posts."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


@dataclass
class Received:
    """A span or a log record, with its resource, as plain values."""

    resource: dict[str, Any]
    attributes: dict[str, Any]
    message: Any

    @property
    def request(self) -> Any:
        return self.attributes.get("Request Id")


@dataclass
class Collector:
    """What has arrived. `refuse` is a status to answer with instead of taking anything."""

    url: str = ""
    refuse: int | None = None
    spans: list[Received] = field(default_factory=list)
    logs: list[Received] = field(default_factory=list)
    azure: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    def take(self, path: str, body: bytes) -> bytes:
        """Keep what was posted; return the answer's body."""
        if path == "/v1/traces":
            for traces in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scoped in traces.scope_spans:
                    self.spans += [_received(traces.resource, span) for span in scoped.spans]
            return ExportTraceServiceResponse().SerializeToString()
        if path == "/v1/logs":
            for logs in ExportLogsServiceRequest.FromString(body).resource_logs:
                for scoped_logs in logs.scope_logs:
                    self.logs += [_received(logs.resource, record) for record in scoped_logs.log_records]
            return ExportLogsServiceResponse().SerializeToString()
        items = [json.loads(line) for line in body.splitlines()] if body[:1] != b"[" else json.loads(body)
        self.azure += items
        return json.dumps({"itemsReceived": len(items), "itemsAccepted": len(items), "errors": []}).encode()


@contextmanager
def collector(host: str = "127.0.0.1") -> Iterator[Collector]:
    """Run a collector."""
    kept = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            kept.headers.append(dict(self.headers))
            status = kept.refuse or 200
            answer = b"" if kept.refuse else kept.take(self.path, body)
            self.send_response(status)
            self.send_header("content-type", "application/json" if "track" in self.path else "application/x-protobuf")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer((host, 0), Handler)
    kept.url = f"http://{host}:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield kept
    finally:
        server.shutdown()
        server.server_close()


def _received(resource: Any, message: Any) -> Received:
    return Received(_values(resource.attributes), _values(message.attributes), message)


def _values(attributes: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in attributes}
