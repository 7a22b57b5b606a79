"""`applicationinsights` for scoring scripts: records are accepted and dropped, which the log says once."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

_said = False


class TelemetryClient:
    """A client that sends nothing. Requests, `print` and `logging` are in the logs and insights of the service."""

    def __init__(self, instrumentation_key: str | None = None, telemetry_channel: Any = None) -> None:
        _say_once()
        self.context = SimpleNamespace(
            **{name: SimpleNamespace() for name in ("application", "cloud", "device", "operation", "session", "user")},
            instrumentation_key=instrumentation_key,
            properties={},
        )
        self.channel = telemetry_channel

    def _drop(self, *_: Any, **__: Any) -> None:
        """Do nothing."""

    track_availability = track_dependency = track_event = track_exception = track_metric = track_pageview = _drop
    track_request = track_trace = flush = _drop


class LoggingHandler(logging.Handler):
    """A handler that sends nothing: the scoring server has one for the log of the service."""

    def __init__(self, instrumentation_key: str | None = None, *_: Any, **__: Any) -> None:
        super().__init__()
        self.client = TelemetryClient(instrumentation_key)

    def emit(self, record: logging.LogRecord) -> None:
        """Do nothing."""


def enable(*_: Any, **__: Any) -> None:
    """Do nothing: exceptions and log lines are in the log of the service."""
    _say_once()


def _say_once() -> None:
    global _said
    if not _said:
        _said = True
        print("applicationinsights sends nothing here: see the logs and insights of the service.")
