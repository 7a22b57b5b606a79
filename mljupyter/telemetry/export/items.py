"""Request logs in the form of OpenTelemetry's exporters: spans for requests, log records for the rest."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from mljupyter import __version__

if TYPE_CHECKING:
    from opentelemetry.sdk._logs import ReadableLogRecord
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext

_LARGEST = 2**63 - 1
_MOST_RESOURCES = 1000
# The errors of a line that only looks like a record: a script may print anything.
_NO_RECORD = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
_SEVERITY_NUMBERS = {"Verbose": 5, "Information": 9, "Warning": 13, "Error": 17, "Critical": 21}


def spans_and_logs(records: Iterable[Mapping[str, Any]]) -> tuple[list[ReadableSpan], list[ReadableLogRecord]]:
    """Return the spans and log records of a batch. Incomplete records are skipped."""
    spans, logs = [], []
    for record in records:
        try:
            if record["type"] == "request":
                spans.append(_span(record))
            elif record["type"] == "trace":
                logs.append(_log(record))
        except _NO_RECORD:
            continue
    return spans, logs


def _span(record: Mapping[str, Any]) -> ReadableSpan:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanKind, Status, StatusCode

    start = _nanoseconds(record["time"])
    failed = int(record["resultCode"]) >= 500
    properties = record["properties"]
    parent = record.get("operationParentId")
    method, _, path = record["name"].partition(" ")
    return ReadableSpan(
        name=_text(record["name"]),
        context=_context(record["operationId"], record["id"]),
        parent=_context(record["operationId"], parent) if parent else None,
        resource=_resource_of(properties),
        attributes={
            "http.request.method": _text(method),
            "url.path": _text(path),
            "http.response.status_code": int(record["resultCode"]),
            **_attributes(properties),
        },
        kind=SpanKind.SERVER,
        status=Status(StatusCode.ERROR) if failed else Status(StatusCode.UNSET),
        start_time=start,
        end_time=start + int(record["duration"] * 1_000_000),
        instrumentation_scope=_scope(),
    )


def _log(record: Mapping[str, Any]) -> ReadableLogRecord:
    from opentelemetry._logs import LogRecord, SeverityNumber
    from opentelemetry.sdk._logs import ReadableLogRecord

    properties = record["properties"]
    trace, span = record.get("operationId"), record.get("operationParentId")
    time = _nanoseconds(record["time"])
    return ReadableLogRecord(
        log_record=LogRecord(
            timestamp=time,
            observed_timestamp=time,
            trace_id=_number(trace, 32) if trace else None,
            span_id=_number(span, 16) if span else None,
            severity_text=record["severity"],
            severity_number=SeverityNumber(_SEVERITY_NUMBERS[record["severity"]]),
            body=_text(record["message"]),
            attributes={"logger": _text(record["logger"]), **_attributes(properties)},
        ),
        resource=_resource_of(properties),
        instrumentation_scope=_scope(),
    )


def _attributes(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record's own fields by name. Lists and objects become JSON, as Application Insights shows them."""
    return {_text(name): _attribute(value) for name, value in properties.items() if value != ""}


def _attribute(value: Any) -> Any:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, float | bool) or (isinstance(value, int) and -_LARGEST <= value <= _LARGEST):
        return value
    return json.dumps(value)


def _text(text: str) -> str:
    """Return text that can be encoded: a record with other text would block all later ones."""
    return text.encode("utf-8", "replace").decode()


def _number(text: str, digits: int) -> int:
    """Return the id of a trace or span, which has at most `digits` hexadecimal digits."""
    if len(text) > digits:
        raise ValueError(text[:digits])
    return int(text, 16)


def _context(trace: str, span: str) -> SpanContext:
    from opentelemetry.trace import SpanContext, TraceFlags

    return SpanContext(
        _number(trace, 32), _number(span, 16), is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED)
    )


def _resource_of(properties: Mapping[str, Any]) -> Resource:
    names = ("Service Name", "Service Version", "Workspace Name", "Container Id")
    return _resource(*(_text(str(properties.get(name, ""))) for name in names))


@lru_cache(_MOST_RESOURCES)
def _resource(service: str, version: str, workspace: str, replica: str) -> Resource:
    from opentelemetry.sdk.resources import Resource

    named = {
        "service.name": service,
        "service.version": version,
        "service.namespace": workspace,
        "service.instance.id": replica,
        "telemetry.sdk.language": "python",
    }
    return Resource({name: value for name, value in named.items() if value})


@cache
def _scope() -> InstrumentationScope:
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    return InstrumentationScope("mljupyter", __version__)


def _nanoseconds(time: str) -> int:
    moment = datetime.fromisoformat(time)
    return int(moment.timestamp()) * 1_000_000_000 + moment.microsecond * 1000
