"""Exporters: OTLP over HTTP, and Azure Monitor. Their libraries are imported when a destination needs them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from mljupyter.telemetry.export.destination import Destination, TelemetryError
from mljupyter.telemetry.export.items import spans_and_logs

if TYPE_CHECKING:
    from opentelemetry.sdk._logs.export import LogRecordExporter
    from opentelemetry.sdk.trace.export import SpanExporter

_TIMEOUT_SECONDS = 10.0
_ABOUT_ITSELF = (
    "STATSBEAT_DISABLED_ALL",
    "SDKSTATS_DISABLED",
    "CONTROLPLANE_DISABLED",
    "OPENTELEMETRY_RESOURCE_METRIC_DISABLED",
)


class Exporter(Protocol):
    """Sends records to one destination."""

    name: str

    def export(self, records: Sequence[Mapping[str, Any]]) -> bool:
        """Send records. Return whether they have arrived. It may take as long as its timeout."""
        ...


class OpenTelemetryExporter:
    """Sends records through a pair of OpenTelemetry's exporters, for spans and for log records."""

    def __init__(self, name: str, spans: SpanExporter, logs: LogRecordExporter) -> None:
        self.name = name
        self._spans = spans
        self._logs = logs

    def export(self, records: Sequence[Mapping[str, Any]]) -> bool:
        """Send records. Return whether they have arrived."""
        spans, logs = spans_and_logs(records)
        arrived = not spans or self._spans.export(spans).name == "SUCCESS"
        return arrived and (not logs or self._logs.export(logs).name == "SUCCESS")


def exporters_for(destination: Destination) -> list[Exporter]:
    """Return the exporters of a destination.

    Raises:
        TelemetryError: when the packages for an exporter are not installed.

    """
    found: list[Exporter] = []
    if destination.otlp_endpoint is not None:
        found.append(_otlp(destination.otlp_endpoint, destination))
    if destination.connection_string is not None:
        found.append(_azure(destination.connection_string.get_secret_value()))
    return found


def _otlp(endpoint: str, destination: Destination) -> Exporter:
    try:
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError:
        raise _missing("an OTLP endpoint", "telemetry") from None
    headers = {name: value.get_secret_value() for name, value in destination.otlp_headers.items()}
    base = endpoint.rstrip("/")
    return OpenTelemetryExporter(
        "OTLP",
        OTLPSpanExporter(endpoint=f"{base}/v1/traces", headers=headers, timeout=_TIMEOUT_SECONDS),
        OTLPLogExporter(endpoint=f"{base}/v1/logs", headers=headers, timeout=_TIMEOUT_SECONDS),
    )


def _azure(connection_string: str) -> Exporter:
    # Otherwise the exporter would send statistics about itself to its vendor, and fetch settings from there.
    for name in _ABOUT_ITSELF:
        os.environ.setdefault(f"APPLICATIONINSIGHTS_{name}", "true")
    try:
        from azure.monitor.opentelemetry.exporter import AzureMonitorLogExporter, AzureMonitorTraceExporter
    except ImportError:
        raise _missing("a connection string of Azure Monitor", "azure") from None
    # Unsent records stay in the replicas' files, so a second store is not needed.
    options: dict[str, Any] = {
        "connection_string": connection_string,
        "disable_offline_storage": True,
        "timeout": _TIMEOUT_SECONDS,
    }
    return OpenTelemetryExporter(
        "Azure Monitor", AzureMonitorTraceExporter(**options), AzureMonitorLogExporter(**options)
    )


def _missing(what: str, extra: str) -> TelemetryError:
    return TelemetryError(f"{what} needs packages that are not installed: pip install 'mljupyter[{extra}]'")
