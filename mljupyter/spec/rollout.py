"""A rollout in steps (canary): its plan and its progress."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from itertools import pairwise
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from mljupyter.spec.document import Document
from mljupyter.spec.guard import Guard, shown

MOST_STEPS = 50
LEAST_REQUESTS = 50
LONGEST_STEP_SECONDS = 30 * 24 * 3600.0


class RolloutPhase(StrEnum):
    """The phase of a rollout. Returned means: a condition of the guard failed, and the traffic was rolled back."""

    RUNNING = "Running"
    PAUSED = "Paused"
    COMPLETED = "Completed"
    RETURNED = "Returned"
    ABORTED = "Aborted"


class RolloutPlan(Document):
    """The plan of a rollout: the shares of a version, step by step, and the guard's conditions.

    A step takes at least `every_seconds`; with a guard it also lasts until `least_requests` are answered. With
    `promote` the version becomes the default version at the end.
    """

    version: str
    steps: Annotated[list[Annotated[int, Field(ge=1, le=100)]], Field(min_length=1, max_length=MOST_STEPS)]
    every_seconds: Annotated[float, Field(ge=0.1, le=LONGEST_STEP_SECONDS)]
    guard: str | None = None
    least_requests: Annotated[int, Field(ge=1, le=1_000_000)] = LEAST_REQUESTS
    promote: bool = False

    @field_validator("guard")
    @classmethod
    def _in_one_form(cls, text: str | None) -> str | None:
        return None if text is None else str(Guard.parse(text))

    @field_validator("steps")
    @classmethod
    def _rising(cls, steps: list[int]) -> list[int]:
        if any(later <= earlier for earlier, later in pairwise(steps)):
            raise ValueError("each step must be above the one before, for example 5, 25, 100")
        return steps

    @model_validator(mode="after")
    def _promoted_with_all(self) -> RolloutPlan:
        if self.promote and self.steps[-1] != 100:
            raise ValueError(f"promote is set and the last step is {self.steps[-1]}: the last step must be 100")
        return self


class Rollout(Document):
    """The current rollout, or the last one.

    `step` counts from 0. `requests`, `errors` and `values` (milliseconds, percent) were measured for the version in
    this step; a value without a request that tells it is missing. `reason` says what it waits for, or why it ended.
    """

    plan: RolloutPlan
    phase: RolloutPhase = RolloutPhase.RUNNING
    step: int = 0
    step_time: datetime
    started_time: datetime
    started_by: str = ""
    ended_time: datetime | None = None
    reason: str = ""
    requests: int = 0
    errors: int = 0
    values: dict[str, float] = {}

    @property
    def active(self) -> bool:
        """Whether it controls the traffic now."""
        return self.phase in (RolloutPhase.RUNNING, RolloutPhase.PAUSED)

    @property
    def share(self) -> int:
        """The version's percentage of the requests in this step, or in the last one."""
        return self.plan.steps[self.step]

    def text(self) -> str:
        """Return one line: version, phase, step, measured values and reason.

        Example:
            ``version-b Running: 25 % (step 2 of 3), 812 requests, p95 43ms, errors 0%``, or with ``p95 -`` while no
            request has told it.

        """
        plan = self.plan
        place = f"{self.share} % (step {self.step + 1} of {len(plan.steps)})"
        seen = ["no requests in this step"]
        if self.requests:
            values = (f"{name} {shown(name, value)}" for name, value in self.values.items())
            seen = [f"{self.requests} request{'s' * (self.requests != 1)}", *values]
        line = f"{plan.version} {self.phase}: {', '.join([place, *seen])}"
        return f"{line}; {self.reason}" if self.reason else line

    def __repr__(self) -> str:
        return f"Rollout({self.text()})"

    def __str__(self) -> str:
        return self.text()
