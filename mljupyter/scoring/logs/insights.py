"""The request log: records of requests and log lines, one JSON object a line (Azure ML v1: telemetry record).

The HTTP loop only queues notes; a thread turns them into records and writes them. If the thread cannot keep up, records
are dropped and counted: memory is bounded, and no request waits or fails because of its record. Each record has the
next `seq` of its replica, so that a reader sees how many were lost.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import threading
import time
from collections import OrderedDict, deque
from typing import Any, Final, NamedTuple

from mljupyter.scoring.configuration import Configuration, ConfigurationError
from mljupyter.scoring.logs.capture import LogCapture
from mljupyter.scoring.logs.output import RotatingFile, prefix
from mljupyter.scoring.protocol import Headers

LOGGER: Final = "azmlinfsrv.insights"
MAX_BYTES: Final = 10_000_000
BACKUPS: Final = 2
_MAX_PAYLOAD_BYTES = 65_536
_MAX_WAITING = 20_000
_MAX_WAITING_BYTES = 16_000_000
_GATHER_SECONDS = 0.1
_WRITE_BYTES = 65_536
_encode = json.JSONEncoder(separators=(",", ":")).encode
_SEVERITIES = {"D": "Verbose", "I": "Information", "W": "Warning", "E": "Error", "C": "Critical"}
_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")
_REMEMBERED = 10_000


class TraceContext(NamedTuple):
    """The ids of a request's trace, of its span, and of the caller's span, in hexadecimal (W3C Trace Context)."""

    trace: str
    span: str
    parent: str = ""


class TraceContexts:
    """The trace contexts of requests, by request id.

    The ids are derived from the request's id, so that log lines of the script match the record of their request without
    a look-up. Only traces that a caller has named are stored, for the newest requests.
    """

    def __init__(self) -> None:
        self._named: OrderedDict[str, TraceContext] = OrderedDict()

    def begin(self, request: str, traceparent: bytes) -> TraceContext:
        """Return the context of a request with this `traceparent` header; an invalid header counts as absent."""
        own = derived(request)
        found = _TRACEPARENT.fullmatch(traceparent)
        if found is None or traceparent.startswith(b"ff") or not int(found[1], 16) or not int(found[2], 16):
            return own
        context = TraceContext(found[1].decode(), own.span, found[2].decode())
        self._named[request] = context
        if len(self._named) > _REMEMBERED:
            self._named.popitem(last=False)
        return context

    def of(self, request: str) -> TraceContext:
        """Return the context of a request that has begun."""
        return self._named.get(request) or derived(request)


def derived(request: str) -> TraceContext:
    """Return the context of a request without a `traceparent` header.

    >>> derived("4bf92f35-77b3-4da6-a3ce-929d0e0e4736").trace
    '4bf92f3577b34da6a3ce929d0e0e4736'
    """
    digest = hashlib.blake2b(request.encode("utf-8", "replace"), digest_size=24).hexdigest()
    plain = request.replace("-", "").lower()
    is_uuid = len(request) == 36 and len(plain) == 32 and all(letter in "0123456789abcdef" for letter in plain)
    return TraceContext(plain if is_uuid and int(plain, 16) else digest[:32], digest[32:])


class Insights(threading.Thread):
    """Records the requests of one replica. The HTTP loop calls `request`, the thread of the log calls `line`.

    `recorded` and `dropped` count records.
    """

    def __init__(self, configuration: Configuration, log: LogCapture) -> None:
        super().__init__(name="insights", daemon=True)
        self._log = log
        self._file = _open(configuration.insights_file)
        self._with_response = configuration.log_response
        self.collects = configuration.collects_data
        self._common = {
            "Container Id": configuration.replica or os.environ.get("HOSTNAME") or socket.gethostname(),
            "Workspace Name": configuration.workspace_name,
            "Service Name": configuration.service_name,
            "Service Version": configuration.service_version,
        }
        self._models = _models(configuration) if self.collects else []
        self._waiting: deque[tuple[Any, ...]] = deque()
        self._waiting_bytes = 0
        self._contexts = TraceContexts()
        self._awake = threading.Event()
        self._closing = False
        self._untold = 0
        self._dropping = threading.Lock()
        self._seq = 0
        self.recorded = 0
        self.dropped = 0

    def begin(self, request: bytes, headers: Headers) -> None:
        """Note the start of a request, whose log lines belong to the trace that the caller names."""
        for name, value in headers:
            if name == b"traceparent":
                self._contexts.begin(request.decode("latin-1"), value)

    def request(
        self,
        method: str,
        asked: Headers,
        sent: tuple[bytes, ...],
        began: float,
        status: int,
        headers: Headers,
        body: bytes,
    ) -> None:
        """Queue the record of a request that is answered now, without waiting.

        Parameters:
            method: the method of the request.
            asked: its headers.
            sent: the pieces of its body if data are collected.
            began: the time of its arrival, in seconds since the epoch.
            status, headers, body: the answer.

        """
        seconds = time.time() - began
        kept = body[:_MAX_PAYLOAD_BYTES] if self._with_response or self.collects else b""
        size = len(kept) + sum(map(len, sent))
        note = (self._request, method, asked, began, seconds, status, headers, kept, sent)
        self._put(note, size)

    def line(self, level: str, logger: str, request: bytes, text: bytes) -> None:
        """Queue the record of a line of the script's log, without waiting."""
        self._put((self._trace, time.time(), level, logger, request, text[:_MAX_PAYLOAD_BYTES]), len(text))

    def counts(self) -> dict[str, int]:
        """Return the numbers of written and dropped records."""
        return {"recorded": self.recorded, "dropped": self.dropped}

    def close(self) -> None:
        """Write the remaining records and end the thread."""
        self._closing = True
        self._awake.set()
        self.join(1.0)

    def run(self) -> None:
        """Write records until closed."""
        while not self._closing:
            self._awake.wait()
            if not self._closing:
                time.sleep(_GATHER_SECONDS)  # notes in quick succession are handled together
            self._awake.clear()
            self._write_waiting()
        self._write_waiting()
        if self._file is not None:
            self._file.close()

    def _put(self, note: tuple[Any, ...], size: int) -> None:
        if len(self._waiting) >= _MAX_WAITING or self._waiting_bytes + size > _MAX_WAITING_BYTES:
            self._drop(1)
            return
        self._waiting_bytes += size  # not atomic: _write_waiting resets it, which corrects a lost update
        self._waiting.append(note)
        if not self._awake.is_set():
            self._awake.set()

    def _drop(self, count: int) -> None:
        with self._dropping:
            self.dropped += count
            self._untold += count

    def _write_waiting(self) -> None:
        lines: list[bytes] = []
        size = 0
        while self._waiting:
            make, *values = self._waiting.popleft()
            for record in make(*values):
                lines.append(self._line(record))
                size += len(lines[-1])
            if size > _WRITE_BYTES:
                self._write(lines)
                lines, size = [], 0
        if lines:
            self._write(lines)
        self._waiting_bytes = 0
        if self._untold:
            with self._dropping:
                count, self._untold = self._untold, 0
            self._seq += count
            self._log.record("W", f"{count} records of requests could not be kept and were dropped", LOGGER)

    def _line(self, record: dict[str, Any]) -> bytes:
        self._seq += 1
        line = _encode({"type": record.pop("type"), "seq": self._seq, **record}).encode() + b"\n"
        return line if self._file is not None else prefix("I", os.getpid(), LOGGER) + line

    def _write(self, lines: list[bytes]) -> None:
        if self._file is None:
            kept = sum(map(self._log.write_lines, lines))
        else:
            try:
                self._file.write(b"".join(lines))
                kept = len(lines)
            except OSError:  # a full disk loses records, but fails no request
                kept = 0
        self.recorded += kept
        if kept < len(lines):
            self._seq -= len(lines) - kept  # _write_waiting counts these with all other dropped records
            self._drop(len(lines) - kept)

    def _request(
        self,
        method: str,
        asked: Headers,
        began: float,
        seconds: float,
        status: int,
        headers: Headers,
        body: bytes,
        sent: tuple[bytes, ...],
    ) -> list[dict[str, Any]]:
        answered = {name: value.decode("latin-1") for name, value in headers}
        request = answered.get(b"x-request-id", "")
        context = self._contexts.begin(request, next((value for name, value in asked if name == b"traceparent"), b""))
        properties: dict[str, Any] = {
            **self._common,
            "Request Id": request,
            "Client Request Id": answered.get(b"x-ms-client-request-id", ""),
        }
        text = body.decode("utf-8", "replace")
        if self._with_response:
            properties["Response Value"] = text
        if b"x-ms-run-fn-exec-ms" in answered:
            properties["Run Duration"] = float(answered[b"x-ms-run-fn-exec-ms"])
        record = {
            "type": "request",
            "time": _iso(began),
            "name": f"{method} /score",
            "id": context.span,
            "operationId": context.trace,
            **({"operationParentId": context.parent} if context.parent else {}),
            "duration": round(seconds * 1000, 3),
            "resultCode": status,
            "success": status < 400,
            "properties": properties,
        }
        if not self.collects or status >= 400:
            return [record]
        data = b"".join(sent)[:_MAX_PAYLOAD_BYTES].decode("utf-8", "replace")
        named = {name: value for name, value in properties.items() if name not in ("Response Value", "Run Duration")}
        return [
            record,
            {
                "type": "trace",
                "time": record["time"],
                "message": "model_data_collection",
                "severity": "Information",
                "logger": LOGGER,
                "operationId": context.trace,
                "operationParentId": context.span,
                "properties": {**named, "Models": self._models, "Input": data, "Prediction": text},
            },
        ]

    def _trace(self, at: float, level: str, logger: str, request: bytes, text: bytes) -> list[dict[str, Any]]:
        record = {
            "type": "trace",
            "time": _iso(at),
            "message": text.decode("utf-8", "replace"),
            "severity": _SEVERITIES[level],
            "logger": logger,
        }
        properties = dict(self._common)
        if request:
            properties["Request Id"] = request.decode("utf-8", "replace")
            context = self._contexts.of(properties["Request Id"])
            record |= {"operationId": context.trace, "operationParentId": context.span}
        return [{**record, "properties": properties}]


def open_insights(configuration: Configuration, log: LogCapture) -> Insights:
    """Start to record requests and log lines; raise ConfigurationError when the file cannot be opened."""
    insights = Insights(configuration, log)
    log.observer = insights.line
    insights.start()
    return insights


def _open(path: str | None) -> RotatingFile | None:
    if path is None:
        return None
    try:
        return RotatingFile(path, MAX_BYTES, BACKUPS)
    except OSError as error:
        raise ConfigurationError(f"cannot open --insights-file {path}: {error.strerror}") from error


def _iso(seconds: float) -> str:
    micros = round(seconds * 1_000_000)
    clock = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(micros // 1_000_000))
    return f"{clock}.{micros % 1_000_000:06d}Z"


def _models(configuration: Configuration) -> list[str]:
    """Return the ids of the models, from their directories ``azureml-models/<name>/<version>/``."""
    root = os.path.join(configuration.app_root, "azureml-models")  # noqa: PTH118
    found = []
    for name in sorted(os.listdir(root)) if os.path.isdir(root) else []:  # noqa: PTH112, PTH208
        folder = os.path.join(root, name)  # noqa: PTH118
        found += [f"{name}:{version}" for version in sorted(os.listdir(folder))]  # noqa: PTH208
    return found
