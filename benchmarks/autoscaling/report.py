"""The table and the figures of the comparison."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from string import Template

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
_INTRODUCTION = Path(__file__).with_name("introduction.md")


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
    values = {"start": f"{START_SECONDS:.0f}", "limit": f"{WAIT_LIMIT * 1000:.0f}"}
    lines = [
        Template(_INTRODUCTION.read_text()).substitute(values),
        "## Results",
        "",
        "| load | policy | over the limit | | replica-seconds | turns |",
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
        ours = courses[load.name, POLICIES[0].title]
        every = max(len(ours.seconds) // 400, 1)
        minutes = [second / 60 for second in ours.seconds[::every]]
        axis.fill_between(minutes, ours.present[::every], color="#ddd", label="requests present (mljupyter)", lw=0)
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
