"""The table and the figures of the comparison."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from benchmarks.autoscaling.loads import LOADS, Load
from benchmarks.autoscaling.policies import POLICIES
from benchmarks.autoscaling.service import START_SECONDS, WAIT_LIMIT, Course

Courses = Mapping[tuple[str, str], Course]
_COLOURS = {
    "mljupyter": "#d1495b",
    "Knative (KPA)": "#12507b",
    "Ray Serve": "#4f9d69",
    "Ray Serve, target 0.7": "#a3c9a8",
}
_TEXT = f"""\
# Autoscaling policies compared

Written by `python -m benchmarks.autoscaling`, which takes about a minute. It plays loads through a simulated service,
with our policy (the very code that the controller runs) and those of Knative and Ray Serve with their default
parameters, written anew from what their sources do:

| policy | signal | looks | up | down |
|---|---|---|---|---|
| mljupyter | requests that run or wait; for short requests the mean by Little's law | every 0.5 s | at once, for the highest of 2 s | for the highest of 60 s, by half at most |
| Knative, KPA | mean concurrency of 60 s (stable) and 6 s (panic), target 70 % | every 2 s | by the stable mean; by the panic mean from twice the replicas on; rate at most 1000 | never in panic, which lasts 60 s; rate at most 2 |
| Ray Serve | mean of running and queued requests over 30 s, reported every 10 s, `target_ongoing_requests` 2, factors 1.0 | every 0.1 s | asked for 30 s long (`upscale_delay_s`) | asked for 600 s long (`downscale_delay_s`) |

Ray Serve's default target of 2 is made for replicas that run several requests at once. Here a replica runs one at a
time, as is the default of Azure ML v1, so a second variant with a target of 0.7 shows the same policy with the same
aim as the others.

A replica needs {START_SECONDS:.0f} s to start. A request that has waited {WAIT_LIMIT * 1000:.0f} ms is refused (503),
which is the default limit of Azure ML v1; *over the limit* counts those. *Replica-seconds* is the time that replicas
are there, starting ones included. A *turn* is a change of direction: from more replicas to fewer, or back. Replicas
that work are never stopped. There is one replica to begin with, and always at least one. Arrivals are Poisson.

What the simulation leaves out: the cost of routing, replicas that start at different speeds, and clients that try
again. It says how policies compare, not what a machine does.
"""


def line(load: Load, title: str, course: Course) -> str:
    """Return one result for a terminal."""
    return (
        f"{load.name:8} {title:24} over the limit {course.refused:8,} of {course.requests:10,}"
        f"  replica-seconds {course.replica_seconds:12,.0f}  turns {course.turns}"
    )


def write(docs: Path, courses: Courses) -> None:
    """Write the report and its figures."""
    docs.joinpath("autoscaling-benchmark.md").write_text(_text(courses))
    _draw(docs / "autoscaling-benchmark.svg", courses)


def _text(courses: Courses) -> str:
    lines = [
        _TEXT,
        "## Results",
        "",
        "| load | policy | requests over the limit | | replica-seconds | turns |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for load in LOADS:
        for policy in POLICIES:
            course = courses[load.name, policy.title]
            share = course.refused / max(course.requests, 1)
            lines.append(
                f"| {load.title if policy is POLICIES[0] else ''} | {policy.title} | {course.refused:,} | {share:.2%} "
                f"| {course.replica_seconds:,.0f} | {course.turns} |"
            )
    lines += ["", "![Replicas wanted over time, for each load and policy](autoscaling-benchmark.svg)", ""]
    return "\n".join(lines)


def _draw(path: Path, courses: Courses) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    mpl.rcParams.update({"svg.hashsalt": "mljupyter", "font.size": 9, "svg.fonttype": "none"})
    rows = (len(LOADS) + 2) // 3
    figure, axes = pyplot.subplots(rows, 3, figsize=(15, 3.2 * rows), squeeze=False)
    for axis in axes.flat[len(LOADS) :]:
        axis.set_visible(False)
    for axis, load in zip(axes.flat, LOADS, strict=False):
        axis.set_title(load.title, fontsize=9)
        for policy in reversed(POLICIES):
            course = courses[load.name, policy.title]
            every = max(len(course.seconds) // 400, 1)
            minutes = [second / 60 for second in course.seconds[::every]]
            axis.step(minutes, course.replicas[::every], label=policy.title, color=_COLOURS[policy.title], lw=1.1)
        present = courses[load.name, POLICIES[0].title]
        every = max(len(present.seconds) // 400, 1)
        axis.fill_between(
            [second / 60 for second in present.seconds[::every]],
            present.present[::every],
            color="#ddd",
            label="requests present (mljupyter)",
            lw=0,
        )
        axis.spines[["top", "right"]].set_visible(False)
        axis.set_ylim(bottom=0)
    for axis in axes[-1]:
        axis.set_xlabel("minutes")
    for axis in axes[:, 0]:
        axis.set_ylabel("replicas wanted")
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=5, frameon=False)
    figure.tight_layout(rect=(0, 0.03, 1, 1))
    figure.savefig(path, metadata={"Date": None})
