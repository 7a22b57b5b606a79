"""``mljupyter endpoint metrics`` and ``mljupyter controller metrics``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import click

from mljupyter.cli.options import json_option, open_workspace, workspace_option
from mljupyter.cli.output import print_document, print_fields, print_table, say
from mljupyter.durations import seconds_of
from mljupyter.telemetry.metrics.grafana import dashboard_text

_COLUMNS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "REQUESTS": ("requests", str),
    "/S": ("requests_per_second", lambda value: _number(value, 1)),
    "ERRORS": ("error_ratio", lambda value: "-" if value is None else f"{100 * value:.1f} %"),
    "P50 MS": ("latency_p50_ms", lambda value: _number(value, 1)),
    "P95 MS": ("latency_p95_ms", lambda value: _number(value, 1)),
    "P99 MS": ("latency_p99_ms", lambda value: _number(value, 1)),
    "READY": ("replicas_ready", str),
    "SHARE": ("traffic_observed", lambda value: "-" if value is None else f"{value:.0f} %"),
    "CPU": ("cpu_cores", lambda value: _number(value, 2)),
    "MB": ("memory_mb", lambda value: _number(value, 0)),
}


@click.command("metrics", short_help="Show requests, errors, latencies and resources.")
@click.argument("name")
@click.option("--since", default="15m", show_default=True, metavar="TIME", help="How far back: 90s, 15m, 2h, 7d.")
@click.option("--every", metavar="TIME", help="Print one line for each interval of this length.")
@workspace_option
@json_option
def endpoint_metrics(name: str, since: str, every: str | None, workspace: str | None, as_json: bool) -> None:
    """Show the metrics of each version: requests, errors, latencies, replicas, CPU and memory."""
    seconds = None if every is None else round(seconds_of(every, "every", above_zero=True))
    report = open_workspace(workspace).endpoints.metrics(
        name, since=seconds_of(since, "since", above_zero=True), every=seconds
    )
    if as_json:
        print_document(report)
    elif every is None:
        print_table(["VERSION", *_COLUMNS], _rows(report["summary"], with_time=False))
    else:
        print_table(["TIME (UTC)", "VERSION", *_COLUMNS], _rows(report["versions"], with_time=True))


@click.command("metrics", short_help="Print or configure metrics for Prometheus.")
@click.option(
    "--port", type=click.IntRange(1, 65535), help="Serve the metrics for Prometheus on this port of 127.0.0.1."
)
@click.option("--no-port", is_flag=True, help="Close that port.")
@click.option("--on/--off", "enabled", default=None, help="Turn metrics on or off.")
@click.option("--settings", is_flag=True, help="Show the port, and whether metrics are on.")
@click.option("--dashboard", is_flag=True, help="Print the dashboard to import into Grafana.")
@workspace_option
@json_option
def controller_metrics(
    port: int | None,
    no_port: bool,
    enabled: bool | None,
    settings: bool,
    dashboard: bool,
    workspace: str | None,
    as_json: bool,
) -> None:
    """Print the metrics of all endpoints in Prometheus text format, or configure their collection."""
    if dashboard:
        say(dashboard_text(), nl=False)
        return
    if port is not None and no_port:
        raise click.UsageError("Give --port or --no-port, not both.")
    change: dict[str, bool | int | None] = {} if port is None else {"port": port}
    change |= {"port": None} if no_port else {}
    change |= {} if enabled is None else {"enabled": enabled}
    client = open_workspace(workspace).controller
    if not change and not settings and not as_json:
        say(client.exposition(), nl=False)
        return
    document = client.metrics_settings(**change)
    if as_json:
        print_document(document)
        return
    address = f"http://127.0.0.1:{document['port']}/metrics" if document["port"] else "no port"
    print_fields([("Metrics", "on" if document["enabled"] else "off"), ("Prometheus", address)])


def _rows(table: Mapping[str, list[Any]], *, with_time: bool) -> list[list[str]]:
    rows = []
    for position, version in enumerate(table["version"]):
        cells = [text(table[column][position]) for column, text in _COLUMNS.values()]
        time = [f"{datetime.fromtimestamp(table['time'][position], UTC):%m-%d %H:%M:%S}"] if with_time else []
        rows.append([*time, version, *cells])
    return rows


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
