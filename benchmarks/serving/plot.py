"""Draw the figures of a run as SVG. Runs in an environment of its own: ``python plot.py RESULTS.json FIGURE.svg``."""

import json
import statistics
import sys
from typing import Any

import matplotlib as mpl

mpl.use("svg")
from matplotlib import pyplot
from matplotlib.axes import Axes

_SHADES = {1: "#b8d4e8", 8: "#4c93c3", 64: "#12507b"}
_OTHER = "#888888"
_BAR = 0.26


def main(results: str, figure: str) -> None:
    with open(results) as file:  # noqa: PTH123 - as short as it is
        document = json.load(file)
    mpl.rcParams.update({"svg.hashsalt": "mljupyter", "font.size": 9, "svg.fonttype": "none"})
    workloads = document["settings"]["workloads"]
    rows = (len(workloads) + 1) // 2
    _, axes = pyplot.subplots(rows, 2, figsize=(12, 4.2 * rows), squeeze=False)
    for axis in axes.flat[len(workloads) :]:
        axis.set_visible(False)
    for axis, (name, title) in zip(axes.flat, workloads.items(), strict=False):
        draw(axis, document, name, title)
    axes.flat[0].legend(title="connections", loc="lower right")
    pyplot.tight_layout()
    pyplot.savefig(figure, metadata={"Date": None})


def draw(axis: Axes, document: dict[str, Any], workload: str, title: str) -> None:
    """Draw one workload: a group of bars for each system, a bar for each number of connections."""
    found: dict[str, dict[int, list[float]]] = {}
    for cell in document["cells"]:
        if cell["workload"] == workload:
            found.setdefault(cell["system"], {}).setdefault(cell["connections"], []).append(cell["per_second"])
    order = sorted(found, key=lambda system: max(map(statistics.median, found[system].values())))
    for place, connections in enumerate(document["settings"]["connections"]):
        values = [statistics.median(found[system].get(connections, [0])) for system in order]
        positions = [index + (place - 1) * _BAR for index in range(len(order))]
        bars = axis.barh(positions, values, _BAR, label=connections, color=_SHADES.get(connections, _OTHER))
        axis.bar_label(bars, fmt="{:,.0f}", padding=2, fontsize=7)
    axis.set_yticks(range(len(order)), [document["systems"][system]["title"] for system in order])
    for label, system in zip(axis.get_yticklabels(), order, strict=True):
        label.set_fontweight("bold" if system.startswith("ours") else "normal")
    axis.set_title(f"{title}: requests per second")
    axis.margins(x=0.15)
    axis.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    main(*sys.argv[1:])
