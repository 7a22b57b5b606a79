from __future__ import annotations

from mljupyter.build.images.events import BuildEvent, State
from mljupyter.magics.commands.build_lines import BuildLines
from tests.waiting import wait_until


def event(stage: str, state: State | None, seconds: float | None = None) -> BuildEvent:
    return BuildEvent(0.0, stage, state, seconds=seconds)


def test_short_stages_that_succeed_are_not_said_and_failures_always() -> None:
    said: list[str] = []
    lines = BuildLines(said.append, said.append, after=1000)
    for stage, state in (("base image", "succeeded"), ("context", "failed"), ("packages", "cancelled")):
        lines(event(stage, "running"))
        lines(event(stage, None))
        lines(event(stage, state, 0.04))  # type: ignore[arg-type]
    assert said == ["  build   context ✗ 0.0 s", "  build   packages cancelled 0.0 s"]


def test_a_stage_that_takes_long_is_said_while_it_runs_and_at_its_end() -> None:
    said: list[str] = []
    lines = BuildLines(said.append, said.append, after=0.01)
    lines(event("packages", "running"))
    wait_until(lambda: said, "the stage is said")
    lines(event("packages", "succeeded", 12.34))
    assert said == ["  build   packages …", "  build   packages ✓ 12.3 s"]


def test_warnings_are_said_and_other_lines_of_the_log_are_not() -> None:
    warned: list[str] = []
    lines = BuildLines(lambda text: None, warned.append)
    lines(BuildEvent(0.0, "environment", None, "Relaxed: numpy==1.23 -> numpy>=1.23"))
    lines(BuildEvent(0.0, "environment", None, "Warning: numpy==1.23 -> numpy>=1.23", warning=True))
    assert warned == ["Warning: numpy==1.23 -> numpy>=1.23"]
