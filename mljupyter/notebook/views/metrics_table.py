"""Metrics of endpoints as a table: one row for each version."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mljupyter.core import Webservice
from mljupyter.notebook.views.scaling import router_size_fields
from mljupyter.notebook.views.traffic import documents
from mljupyter.notebook.views.views import Table
from mljupyter.spec import RouterSize

if TYPE_CHECKING:
    import pandas as pd


COLUMNS = ("Endpoint", "Version", "Replicas", "Traffic", "Requests", "Errors", "p50 ms", "p95 ms", "p99 ms")
_NOTHING = "-"
_FAILURES = ("server_errors", "refused", "timeouts")


def measured(services: Sequence[Webservice], seconds: float) -> Table:
    """Return the versions of endpoints with their state and recent metrics.

    Below it is the size of the router of each cluster that the endpoints are on.
    Items of the table are dicts with the fields of `%traffic` and the columns of `Webservice.metrics` over the whole
    period.
    """
    items: list[dict[str, Any]] = []
    for service in services:
        items += _versions(service, seconds)
    rows = [
        (
            item["endpoint"],
            item["version"],
            item["replicas"],
            f"{item['weight']} %",
            item.get("requests") or 0,
            _errors(item),
            *(_milliseconds(item.get(f"latency_{name}_ms")) for name in ("p50", "p95", "p99")),
        )
        for item in items
    ]
    return Table(COLUMNS, rows, items, "No versions.", _routers(services))


def _routers(services: Sequence[Webservice]) -> list[str]:
    """Return a sentence about the router of each cluster that endpoints are on; a machine has none to tell of."""
    contexts = {}
    for service in services:
        target = service.workspace.endpoints.endpoint(service.name).spec.compute_target
        contexts[target] = service.workspace.context
    sizes = [(name, context.target(name).router_size()) for name, context in contexts.items()]
    return [router_sentence(name, size) for name, size in sizes if size is not None]


def router_sentence(target: str, size: RouterSize) -> str:
    """Return the size of a cluster's router, its load and its self-scaling in a sentence.

    Parameters:
        target: the compute target.
        size: the size of its router.

    """
    return f"Router of {target}: {'; '.join(f'{name} {value}' for name, value in router_size_fields(size))}"


def frame_of(services: Sequence[Webservice], seconds: float) -> pd.DataFrame:
    """Return the metrics as one tidy data frame, with a column for the endpoint if there are several."""
    frames = [service.metrics(since=seconds) for service in services]
    if len(frames) == 1:
        return frames[0]
    import pandas as pd

    for service, frame in zip(services, frames, strict=True):
        frame.insert(0, "endpoint", service.name)
    return pd.concat(frames, ignore_index=True)


def by_version(report: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the metrics of each version over the whole period of a report."""
    summary = report["summary"]
    return {
        version: {name: values[row] for name, values in summary.items() if name not in ("time", "version")}
        for row, version in enumerate(summary["version"])
    }


def failures_of(columns: Mapping[str, Sequence[Any]]) -> list[int]:
    """Return the number of requests answered with 5xx in each row of a report's table."""
    counts = zip(*(columns[name] for name in _FAILURES), strict=True)
    return [sum(value or 0 for value in row) for row in counts]


def _versions(service: Webservice, seconds: float) -> list[dict[str, Any]]:
    record = service.workspace.endpoints.endpoint(service.name)
    done = by_version(service.workspace.endpoints.metrics(service.name, since=seconds))
    return [
        {"endpoint": service.name, **document, **done.get(document["version"], {})} for document in documents(record)
    ]


def _errors(item: dict[str, Any]) -> int:
    return sum(item.get(name) or 0 for name in _FAILURES)


def _milliseconds(value: float | None) -> str:
    return _NOTHING if value is None or math.isnan(value) else f"{value:.3g}"
