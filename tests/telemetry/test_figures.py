from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mljupyter.telemetry.metrics.figures import COLOURS, KINDS, PlotError, figure
from mljupyter.telemetry.metrics.report import Period, report
from mljupyter.telemetry.metrics.store import TimeSeries
from tests.telemetry.series import START, interval, write


@pytest.fixture
def document(tmp_path: Path) -> dict[str, Any]:
    series = TimeSeries(tmp_path / "metrics.db")
    times = [*range(1, 6), *range(50, 55)]  # nothing was measured in between
    write(
        series,
        [interval(START + n, version, [n] * n, server_errors=1) for n in times for version in ("blue", "green")],
    )
    return report(series, "e", Period(START, START + 60, 1))


@pytest.mark.parametrize("kind", KINDS)
def test_each_plot_has_titles_units_and_a_trace_for_each_version(kind: str, document: dict[str, Any]) -> None:
    drawn = figure(kind, document)
    text = drawn.to_json()
    assert "of e, each 1 s" in drawn.layout.title.text
    assert "Time (UTC)" in text
    axes = [axis.title.text for axis in drawn.select_yaxes()]
    assert all(axes)
    assert drawn.data
    if kind != "errors":
        assert {trace.line.color for trace in drawn.data} == set(COLOURS[:2])
        assert {trace.name.split()[0] for trace in drawn.data} == {"blue", "green"}


def test_latency_shows_percentiles_in_milliseconds_as_the_report_has_them(document: dict[str, Any]) -> None:
    drawn = figure("latency", document)
    assert [axis.title.text for axis in drawn.select_yaxes()] == ["Latency (ms)"]
    shown = {trace.name: [value for value in trace.y if value is not None] for trace in drawn.data}
    table = document["versions"]
    expected = [
        value for value, version in zip(table["latency_p95_ms"], table["version"], strict=True) if version == "blue"
    ]
    assert shown["blue p95"] == expected


def test_traffic_shows_configured_beside_observed_shares(document: dict[str, Any]) -> None:
    drawn = figure("traffic", document)
    traces = {trace.name: trace for trace in drawn.data}
    assert set(traces["blue configured"].y) - {None} == {50}
    assert traces["blue configured"].line.dash == "dash"
    assert traces["green observed"].yaxis == traces["green configured"].yaxis == "y2"


def test_no_line_leads_over_a_time_in_which_nothing_was_measured(document: dict[str, Any]) -> None:
    for trace in figure("replicas", document).data:
        assert None in list(trace.y)
        assert trace.connectgaps is False


def test_the_template_is_that_of_the_notebook_or_the_one_asked_for(document: dict[str, Any]) -> None:
    import plotly.io

    dark = plotly.io.templates["plotly_dark"].layout.paper_bgcolor
    assert figure("errors", document, template="dark").layout.template.layout.paper_bgcolor == dark
    assert figure("errors", document).layout.template.layout.paper_bgcolor == "white"
    before = plotly.io.templates.default
    try:
        plotly.io.templates.default = "plotly_dark"
        assert figure("errors", document).layout.template.layout.paper_bgcolor == dark
        assert figure("errors", document, template="light").layout.template.layout.paper_bgcolor == "white"
    finally:
        plotly.io.templates.default = before
    with pytest.raises(PlotError, match="'light', 'dark'"):
        figure("errors", document, template="pink")


def test_an_endpoint_without_measurements_has_empty_plots(tmp_path: Path) -> None:
    empty = report(TimeSeries(tmp_path / "metrics.db"), "e", Period(START, START + 60, 1))
    for kind in KINDS:
        assert not any(trace.y for trace in figure(kind, empty).data)


def test_an_unknown_plot_is_refused_with_those_there_are(document: dict[str, Any]) -> None:
    with pytest.raises(PlotError, match="'latency', 'traffic', 'replicas', 'errors'"):
        figure("cake", document)
