"""Threads of widgets: an error that nobody expected is said or logged, and the thread goes on or says how it ended."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from mljupyter.build.failures import BuildCancelledError
from mljupyter.notebook.views.views import Table
from mljupyter.widgets.pages.deploy_job import DeploymentRun
from mljupyter.widgets.panels.live_panel import LivePanel
from mljupyter.widgets.serial_executor import Worker
from tests.waiting import HANG_SECONDS, wait_until
from tests.widgets.test_attention import Recorded, Source


class Mute:
    """A widget that cannot say anything: its connection is closed."""

    def failed(self, error: Exception) -> None:
        raise ConnectionError("the connection is closed")


def test_a_job_whose_error_cannot_be_shown_is_logged_and_the_next_job_runs(caplog: pytest.LogCaptureFixture) -> None:
    mute = Mute()
    worker = Worker("mljupyter mute", mute.failed)
    worker.put(lambda: [][0])
    assert worker.wait(HANG_SECONDS), "the next job"
    worker.close()
    assert "IndexError" in caplog.text and "the connection is closed" in caplog.text


class Unsteady(Source):
    """A log whose stages, or whose lines, cannot be read because of a fault."""

    def __init__(self) -> None:
        super().__init__()
        self.view_fails = False

    def view(self) -> dict[str, Any]:
        if self.view_fails:
            raise LookupError("no stage")
        return super().view()

    def lines(self) -> Any:
        yield from super().lines()
        raise LookupError("no more lines")


def test_a_log_panel_says_once_that_its_stages_cannot_be_read_and_goes_on_with_its_lines() -> None:
    source = Unsteady()
    panel = Recorded(source)
    source.view_fails = True
    wait_until(lambda: panel.sent, "the reason")
    source.given.put("one")
    wait_until(lambda: panel.sent[-1][1][-1] == "one", "a later line")
    assert panel.sent[-1][1] == ["LookupError: no stage", "one"]
    source.given.put("")
    wait_until(lambda: panel.sent[-1][1][-1] == "LookupError: no more lines", "the reason of the end of the lines")
    panel.close()


class Refusing(Recorded):
    """A log panel whose connection is interrupted for a while."""

    is_interrupted = True

    def send(self, content: Any, buffers: Any = None) -> None:
        if self.is_interrupted and content["lines"] != []:
            self.is_interrupted = False
            raise ConnectionError("interrupted")
        super().send(content, buffers)


def test_lines_that_could_not_be_sent_are_sent_later() -> None:
    source = Source()
    panel = Refusing(source)
    panel._received(None, {"kind": "hello"}, None)  # from now on, each line is sent once
    source.given.put("one")
    wait_until(lambda: any("one" in lines for _, lines in panel.sent), "the line")
    source.given.put("")
    panel.close()


class Faulty(LivePanel):
    """A panel of an endpoint that is nowhere, with data that cannot be read at first."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.looks = 0
        super().__init__(SimpleNamespace(), "faulty", "%monitor faulty")  # type: ignore[arg-type]

    def _table(self) -> Table:
        if self.looks:  # also when the saved state is made
            raise LookupError("no version")
        return Table(["Version"], [["blue"]], [{}], "")

    def _look(self, whole: bool) -> dict[str, Any]:
        self.looks += 1
        if self.looks == 1:
            raise LookupError("no version")
        return {"version": "blue"}

    def send(self, content: Any, buffers: Any = None) -> None:
        self.sent.append(content)


def test_a_panel_says_what_went_wrong_and_shows_all_data_at_its_next_look() -> None:
    panel = Faulty()
    panel._received(None, {"kind": "hello"}, None)
    tick = wait_until(lambda: next((item for item in panel.sent if item["kind"] == "tick"), None), "the data")
    assert panel.sent[0] == {"kind": "problem", "problem": "LookupError: no version"}
    assert tick["version"] == "blue" and tick["whole"]
    panel.close()
    wait_until(lambda: panel._thread is None, "it ends")


def test_a_cancelled_deployment_whose_remains_cannot_be_deleted_says_that_it_has_ended() -> None:
    class Damaged:
        """A deployment in a workspace that is damaged behind it."""

        name, preparation = "damaged", SimpleNamespace(estimator=None)

        def plan(self) -> Any:
            raise BuildCancelledError("cancelled")

        def discard(self, leftovers: Any) -> str:
            raise OSError("no space left on device")

    told = threading.Event()
    job: DeploymentRun = DeploymentRun(Damaged(), lambda: job.outcome and told.set(), {})  # type: ignore[arg-type, func-returns-value]
    job.start()
    assert told.wait(HANG_SECONDS), "the form shows the outcome"
    assert job.outcome == "cancelled"
    assert "no space left on device" in job.problem
