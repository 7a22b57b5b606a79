"""Plots of the series of an endpoint, made with Plotly.

Colours are those of Okabe and Ito, which can be distinguished with any colour vision. A second meaning of a line is
shown by its dashes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mljupyter.errors import MLJupyterError
from mljupyter.telemetry.metrics.frame import MissingPackageError

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9")
_ERRORS = {
    "server_errors": ("5xx", "#D55E00"),
    "refused": ("503, no replica free", "#E69F00"),
    "timeouts": ("504, time limit", "#CC79A7"),
    "client_errors": ("4xx", "#56B4E9"),
    "resets": ("connection broken", "#999999"),
}
_TEMPLATES = {"light": "plotly_white", "dark": "plotly_dark"}
_PLOTLY_DEFAULT = "plotly"
_ROW_HEIGHT, _MARGINS = 230, 130


class PlotError(MLJupyterError):
    """The requested plot or template does not exist."""


def figure(kind: str, document: Mapping[str, Any], *, template: str | None = None) -> Figure:
    """Return a figure of a report from `mljupyter.telemetry.metrics.report.report`.

    Parameters:
        kind: 'latency', 'traffic', 'replicas' or 'errors'.
        document: the report, with separate versions.
        template: 'light', 'dark' or the name of a Plotly template; None for ``plotly.io.templates.default`` if that
            was set, else 'light'.

    Raises:
        PlotError: when the plot or the template does not exist.
        MissingPackageError: when Plotly is not installed.

    """
    if kind not in _KINDS:
        raise PlotError(f"there is no plot {kind!r}: there are {', '.join(map(repr, _KINDS))}.")
    try:
        import plotly.io
    except ImportError:
        raise MissingPackageError("plot() needs Plotly: pip install 'mljupyter[lab]'") from None
    chosen = _TEMPLATES.get(template or "", template) or plotly.io.templates.default
    if chosen == _PLOTLY_DEFAULT:
        chosen = _TEMPLATES["light"]
    if chosen not in plotly.io.templates and template is not None:
        raise PlotError(f"template is {template!r}: give 'light', 'dark' or one of {', '.join(plotly.io.templates)}.")
    drawn = _KINDS[kind](document)
    rows = max((trace.yaxis or "y").removeprefix("y") or "1" for trace in drawn.data) if drawn.data else "1"
    drawn.update_layout(
        template=chosen,
        hovermode="x unified",
        height=_MARGINS + _ROW_HEIGHT * int(rows),
        margin={"l": 70, "r": 20, "t": 70, "b": 40},
        legend={"orientation": "h", "x": 0, "y": -0.12 / int(rows), "yanchor": "top"},
    )
    drawn.update_yaxes(rangemode="tozero")
    drawn.update_xaxes(title_text="Time (UTC)", row=int(rows), col=1)
    return drawn


def _latency(document: Mapping[str, Any]) -> Figure:
    drawn = _rows(document, "Latency", ["Latency (ms)"])
    for name, colour, table in _by_version(document):
        for percentile, dash in (("p50", "solid"), ("p95", "dash"), ("p99", "dot")):
            values = table[f"latency_{percentile}_ms"]
            _line(drawn, table, values, f"{name} {percentile}", colour, dash=dash, hover="%{y:.4g} ms")
    return drawn


def _traffic(document: Mapping[str, Any]) -> Figure:
    drawn = _rows(document, "Traffic", ["Requests per second", "Share of requests (%)"])
    for name, colour, table in _by_version(document):
        _line(drawn, table, table["requests_per_second"], name, colour, hover="%{y:.4g}/s", area="traffic")
        observed, configured = table["traffic_observed"], table["traffic_configured"]
        _line(drawn, table, observed, f"{name} observed", colour, row=2, hover="%{y:.1f} %")
        _line(drawn, table, configured, f"{name} configured", colour, row=2, dash="dash", hover="%{y} %", steps=True)
    return drawn


def _replicas(document: Mapping[str, Any]) -> Figure:
    drawn = _rows(document, "Replicas", ["Replicas", "Requests"])
    for name, colour, table in _by_version(document):
        _line(drawn, table, table["replicas_ready"], f"{name} ready", colour, steps=True)
        _line(drawn, table, table["replicas_wanted"], f"{name} wanted", colour, dash="dash", steps=True)
        _line(drawn, table, table["running"], f"{name} running", colour, row=2, hover="%{y:.3g}")
        _line(drawn, table, table["waiting"], f"{name} waiting", colour, row=2, dash="dot", hover="%{y:.3g}")
    return drawn


def _errors(document: Mapping[str, Any]) -> Figure:
    tables = list(_by_version(document))
    titles = [f"{name}: errors per second" if len(tables) > 1 else "Errors per second" for name, _, _ in tables]
    drawn = _rows(document, "Errors", titles or ["Errors per second"])
    for row, (_, _, table) in enumerate(tables, 1):
        for column, (label, colour) in _ERRORS.items():
            rates = [
                count / seconds if seconds else None
                for count, seconds in zip(table[column], table["seconds"], strict=True)
            ]
            drawn.add_bar(
                **_at(table, rates, document["every"], bars=True),
                name=label,
                marker_color=colour,
                legendgroup=label,
                showlegend=row == 1,
                hovertemplate="%{y:.4g}/s",
                row=row,
                col=1,
            )
    return drawn.update_layout(barmode="stack", bargap=0)


_KINDS: dict[str, Callable[[Mapping[str, Any]], Figure]] = {
    "latency": _latency,
    "traffic": _traffic,
    "replicas": _replicas,
    "errors": _errors,
}
KINDS = tuple(_KINDS)


def _rows(document: Mapping[str, Any], what: str, axes: Sequence[str]) -> Figure:
    from plotly.subplots import make_subplots

    drawn = make_subplots(rows=len(axes), cols=1, shared_xaxes=True, vertical_spacing=0.08)
    for row, title in enumerate(axes, 1):
        drawn.update_yaxes(title_text=title, row=row, col=1)
    every = document["every"]
    each = f"{every} s" if every < 60 else f"{every // 60} min"
    return drawn.update_layout(title_text=f"{what} of {document['endpoint']}, each {each}")


def _by_version(document: Mapping[str, Any]) -> list[tuple[str, str, dict[str, list[Any]]]]:
    """Return each version's name, colour and part of the table. A version has the same colour in all plots."""
    columns = document["versions"]
    names = sorted(set(columns["version"]))
    tables = []
    for index, name in enumerate(names):
        chosen = [position for position, version in enumerate(columns["version"]) if version == name]
        table = {column: [values[position] for position in chosen] for column, values in columns.items()}
        table["every"] = [document["every"]] * len(chosen)
        tables.append((name, COLOURS[index % len(COLOURS)], table))
    return tables


def _line(
    drawn: Figure,
    table: Mapping[str, list[Any]],
    values: Sequence[float | None],
    name: str,
    colour: str,
    *,
    row: int = 1,
    dash: str = "solid",
    hover: str = "%{y}",
    steps: bool = False,
    area: str | None = None,
) -> None:
    every = table["every"][0] if table["every"] else 1
    drawn.add_scatter(
        **_at(table, values, every),
        name=name,
        mode="lines",
        line={"color": colour, "dash": dash, "width": 2, "shape": "hv" if steps else "linear"},
        stackgroup=area,
        hovertemplate=hover,
        connectgaps=False,
        row=row,
        col=1,
    )


def _at(
    table: Mapping[str, list[Any]], values: Sequence[float | None], every: int, *, bars: bool = False
) -> dict[str, list[Any]]:
    """Return the points, with a gap where nothing was measured, so that no line is drawn across it."""
    times: list[datetime] = []
    points: list[float | None] = []
    before: int | None = None
    for time, value in zip(table["time"], values, strict=True):
        if before is not None and not bars and time - before > 3 * every:
            times.append(datetime.fromtimestamp(before + every, UTC))
            points.append(None)
        times.append(datetime.fromtimestamp(time, UTC))
        points.append(value)
        before = time
    return {"x": times, "y": points}
