"""Background job of a deployment, with stages, log and cancellation."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from mljupyter.build.failures import BuildCancelledError
from mljupyter.build.images.events import BuildEvent
from mljupyter.core import Webservice
from mljupyter.deploy.apply import undo
from mljupyter.deploy.cell_script import place_of
from mljupyter.deploy.leftovers import Leftovers
from mljupyter.deploy.wait import NOT_DEPLOYED, follow, short_problem
from mljupyter.errors import MLJupyterError, said_of
from mljupyter.notebook.plan import Deployment, Plan
from mljupyter.spec import EndpointRecord
from mljupyter.visible import lines_of, visible
from mljupyter.widgets.pages.background_run import MOST_LINES, BackgroundRun, Outcome

REGISTER = "register the model"
HAND_OVER = "hand over"
START = "start replicas"
ANSWER = "answer requests"
NOTHING_DONE = "Nothing was deployed; everything is unchanged."
_LOG_LINES = 100
_STATES = {"succeeded": "ok", "failed": "failed", "running": "running", "cancelled": "cancelled"}


@dataclass
class Stage:
    """One step: its state is ``waiting``, ``running``, ``ok``, ``failed``, ``cancelled`` or ``skipped``."""

    name: str
    state: str = "waiting"
    began: float | None = None
    ended: float | None = None
    remark: str = ""

    def begin(self) -> None:
        """Start its clock."""
        self.state, self.began = "running", time.monotonic()

    def end(self, state: str) -> None:
        """Stop its clock."""
        self.state, self.ended = state, time.monotonic()

    def row(self) -> tuple[str, str, str]:
        """Return name, state and remark: its duration, or the time so far."""
        if self.began is None:
            return self.name, self.state, self.remark
        now = time.monotonic()
        length = f"{self.ended - self.began:.1f} s" if self.ended is not None else f"{int(now - self.began)} s so far"
        return self.name, self.state, f"{self.remark}, {length}" if self.remark else length


class DeploymentRun(BackgroundRun):
    """A deployment job that can be cancelled at any time: a new endpoint is then deleted, and an existing one restored.

    Parameters:
        deployment: the deployment.
        changed: called, from any thread, when the state has changed.
        deployed: the content that this kernel has deployed, of the session.
        built: called, from any thread, with each line of a build's log.
        plan: the plan that was shown; by default one is made first.

    """

    def __init__(
        self,
        deployment: Deployment,
        changed: Callable[[], None],
        deployed: dict[tuple[str, str, str], Any],
        built: Callable[[str], object] = lambda line: None,
        plan: Plan | None = None,
    ) -> None:
        super().__init__(f"deploys {deployment.name}", changed)
        self.deployment = deployment
        self._plan = plan
        self._deployed = deployed
        self.failed_at = ""
        self.service: Webservice | None = None
        names = [*([REGISTER] if deployment.preparation.estimator is not None else []), HAND_OVER, START, ANSWER]
        self.stages: list[Stage] = [Stage(name) for name in names]
        self._built = built

    def wait(self, seconds: float) -> bool:
        """Wait until it has ended; return whether it has."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        self._leftovers = Leftovers()
        try:
            self._deploy()
        except BuildCancelledError:
            self._end("cancelled", NOTHING_DONE)
        except Exception as error:  # noqa: BLE001 (shown to the person who waits)
            self._end("failed", said_of(error))
        if self.outcome in ("cancelled", "failed"):
            self.problem = f"{self.problem}\n{self._discarded()}".rstrip()
        self._changed()

    def _discarded(self) -> str:
        """Delete what was registered for this deployment alone; return what to say about it."""
        try:
            return self.deployment.discard(self._leftovers)
        except MLJupyterError:
            return ""  # the problem is shown already
        except Exception as error:  # noqa: BLE001 (the form must not wait for ever)
            return f"What was registered for it may still be there: {said_of(error)}"

    def _deploy(self) -> None:
        deployment = self.deployment
        plan = self._plan or deployment.plan()
        before = plan.present
        self._leftovers = deployment.leftovers(plan)
        replaced = deployment.replaced(plan, self._deployed)
        for line in (*filter(None, [replaced]), *plan.told_lines(), *(f"Warning: {text}" for text in plan.warnings)):
            self._built(line)
        if plan.action == "unchanged" and plan.settled_as in ("Healthy", None):
            self._begin(HAND_OVER)
            self.service = deployment.service()
        else:
            plan = deployment.build(self._registered(plan), self._on_event, self._cancel)
            if self._cancel.is_set():
                self._end("cancelled", NOTHING_DONE)
                return
            self._begin(HAND_OVER)
            self.service = deployment.apply(plan)
            deployment.remember(plan, self.service.record.spec, self._deployed)
        self._stage(HAND_OVER).end("ok")
        self._begin(START)
        self._follow(self.service, before)

    def _registered(self, plan: Plan) -> Plan:
        if self.deployment.preparation.estimator is None:
            return self.deployment.register(plan)
        stage = self._begin(REGISTER)
        plan = self.deployment.register(plan)
        stage.end("ok")
        return plan

    def _follow(self, service: Webservice, before: EndpointRecord | None) -> None:
        def show(record: EndpointRecord) -> None:
            self._stage(START).remark = f"{record.status.replicas} ready"
            with suppress(MLJupyterError):  # an unreadable log must not end the job
                self.lines = deque(lines_of(visible(service.get_logs(num_lines=_LOG_LINES))), maxlen=MOST_LINES)
            self._changed()

        record = follow(service.workspace.endpoints, service.name, on_record=show, cancel=self._cancel)
        if self._cancel.is_set():
            self._end("cancelled", undo(self.deployment.workspace.context, self.deployment.name, before))
            return
        service.update_deployment_state()
        if record.status.state in NOT_DEPLOYED:
            place = place_of(service.workspace.artifacts, record)
            self._end("failed", short_problem(record, place))  # the log is shown beside it
            return
        self._stage(START).end("ok")
        self._begin(ANSWER).end("ok")
        self.outcome = "succeeded"

    def _on_event(self, event: BuildEvent) -> None:
        """Handle an event of a build, which comes from another thread."""
        if event.state is None:
            self.lines.append(visible(event.text))
            self._built(event.text)
        else:
            stage = next((stage for stage in self.stages if stage.name == event.stage), None)
            if stage is None:
                stage = Stage(event.stage)
                handing = next(index for index, other in enumerate(self.stages) if other.name == HAND_OVER)
                self.stages.insert(handing, stage)
            if event.state == "running":
                stage.begin()
            else:
                stage.end(_STATES[event.state])
        self._changed()

    def _stage(self, name: str) -> Stage:
        return next(stage for stage in self.stages if stage.name == name)

    def _begin(self, name: str) -> Stage:
        stage = self._stage(name)
        stage.begin()
        self._changed()
        return stage

    def _end(self, outcome: Outcome, problem: str = "") -> None:
        for stage in self.stages:
            if stage.state == "running":
                stage.end("failed" if outcome == "failed" else "cancelled")
        waiting = [stage for stage in self.stages if stage.state == "waiting"]
        stopped = any(stage.state == "cancelled" for stage in self.stages)
        for stage in waiting:
            stage.state = "skipped"
        if outcome == "cancelled" and waiting and not stopped:  # between two stages
            waiting[0].state = "cancelled"
        failed = [stage.name for stage in self.stages if stage.state == "failed"]
        self.failed_at = failed[-1] if failed else ""
        self.problem, self.outcome = problem, outcome
