"""The report in Markdown: what was measured, how, what was reached and what was not."""

from __future__ import annotations

import statistics

from benchmarks.serving.aims import aim_lines
from benchmarks.serving.results import Cell, Results, is_ours

_COMMAND = "python -m benchmarks.serving"

_NONE = "-"
_METHOD = """\
Written by `{command}`. Client and server share one machine: {machine}.

Every server runs in its own environment, with the same saved model, the same scikit-learn and NumPy, one worker or
replica, and one numeric thread. The DataFrame is one of pandas 3, except where a server forbids it (KServe); mljupyter
and azureml-inference-server-http check it against a schema, the others do not. The figures of mljupyter are for the
whole path: router, key authentication, replica. The others have no router and no authentication, except for Ray Serve's
proxy. Each figure is the median of rounds ({rounds}) of {seconds:g} s (8 s for large bodies and for waiting), after
{warm_up:g} s of warm-up, or half of that if the server has just been loaded, with one request at a time on each
connection. Each round has another order of servers. The content of an answer is checked before and after each load.
Errors are answers other than 2xx, and lost connections. CPU is that of all processes of a server for 1,000 requests, at
8 connections if those were measured. Memory is the peak of their resident memory; pages that several processes share
count for each of them."""

_STARTS = """\
## Start to first right answer

{title}. For comparison: a bare interpreter of the same environment that imports joblib, loads the model and
calls it once. The figures of mljupyter include the start of controller and router.

| server | start, s | bare model, s | difference, s |
|---|---:|---:|---:|"""

BY_HAND = "## Where the time goes\n"
"""The heading of the part that is written by hand; it stays when the page is written again."""


def markdown(results: Results, figure: str | None = None) -> str:
    """Return the report.

    Parameters:
        results: of a run.
        figure: file name of the plot beside the report.

    """
    parts = [
        "# Serving benchmark: comparison with other model servers",
        _method(results),
        f"![Requests per second of all servers]({figure})" if figure else "",
        *(_workload(results, name, title) for name, title in results.settings["workloads"].items()),
        _aims(results),
        _starts(results),
        _path(results),
        _skipped(results),
        _systems(results),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def by_hand(page: str) -> str:
    """Return the end of a page that is not made of results: where the time goes, and what was tried."""
    _, heading, text = page.partition(BY_HAND)
    return f"\n{heading}{text}" if heading else ""


def _method(results: Results) -> str:
    settings = results.settings
    return _METHOD.format(
        command=_COMMAND,
        machine="; ".join(f"{name} {value}" for name, value in results.machine.items()),
        rounds=results.rounds,
        **{name: settings[name] for name in ("seconds", "warm_up")},
    )


def _workload(results: Results, name: str, title: str) -> str:
    medians = results.medians()
    connections = results.settings["connections"]
    shown = [system for system in results.systems if any((system, name, count) in medians for count in connections)]
    if not shown:
        return ""
    head = ["server", *(f"{count} conn.: req/s | p50 / p99 ms" for count in connections), "CPU s per 1,000"]
    lines = [f"## {title}", "", "| " + " | ".join([*head, "peak MB", "errors"]) + " |"]
    lines.append("|---|" + "---:|" * (2 * len(connections) + 3))
    middle = 8 if 8 in connections else connections[-1]
    shown.sort(key=lambda system: -_rate(medians.get((system, name, middle))))
    for system in shown:
        cells = [medians.get((system, name, count)) for count in connections]
        have = [cell for cell in cells if cell]
        at_middle = medians.get((system, name, middle))
        row = [_title(results, system), *(text for cell in cells for text in _figures(cell))]
        row += [f"{at_middle.cpu_per_1000:.2f}" if at_middle else _NONE]
        row += [f"{max(cell.peak_mb for cell in have):,.0f}", f"{sum(cell.errors for cell in have):,}"]
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)


def _figures(cell: Cell | None) -> tuple[str, str]:
    return (f"{cell.per_second:,.0f}", f"{cell.p50:.3g} / {cell.p99:.3g}") if cell else (_NONE, _NONE)


def _rate(cell: Cell | None) -> float:
    return cell.per_second if cell else 0.0


def _title(results: Results, system: str) -> str:
    title: str = results.systems[system]["title"]
    return f"**{title}**" if is_ours(system) else title


def _aims(results: Results) -> str:
    lines = aim_lines(results)
    return "\n".join(["## Aims", "", *lines]) if lines else ""


def _starts(results: Results) -> str:
    workload = next(iter(results.settings["workloads"]))
    lines = [_STARTS.format(title=results.settings["workloads"][workload])]
    for system in results.systems:
        found = [start for start in results.starts if (start.system, start.workload) == (system, workload)]
        if found:
            seconds = statistics.median(start.seconds for start in found)
            bare = statistics.median(start.import_seconds for start in found)
            lines.append(f"| {_title(results, system)} | {seconds:.2f} | {bare:.2f} | {seconds - bare:+.2f} |")
    return "\n".join(lines)


def _path(results: Results) -> str:
    if not results.path:
        return ""
    lines = [
        "## Cost of the path of mljupyter",
        "",
        "scikit-learn, one connection, medians.",
        "",
        "| part | ms |",
        "|---|---:|",
    ]
    return "\n".join([*lines, *(f"| {part} | {milliseconds:.3f} |" for part, milliseconds in results.path)])


def _skipped(results: Results) -> str:
    if not results.skipped:
        return ""
    lines = [
        f"- {item.title}{f', {item.workload}' if item.workload else ''}: {item.reason}." for item in results.skipped
    ]
    return "\n".join(["## Not measured", "", *dict.fromkeys(lines)])


def _systems(results: Results) -> str:
    lines = ["## Servers", "", "| server | version | how it runs |", "|---|---|---|"]
    for system, facts in results.systems.items():
        lines.append(f"| {_title(results, system)} | {facts['version']} | {facts['setting']} |")
    return "\n".join(lines)
