"""Waiting for a deployment ends: with it, with the time, with an interrupt, and whatever becomes of the controller."""

from __future__ import annotations

import _thread
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from mljupyter.controller.layout import Layout
from mljupyter.core import AksWebservice, InferenceConfig, Model, Workspace
from mljupyter.core.webservice import Webservice
from mljupyter.exceptions import WebserviceException
from tests.waiting import HANG_SECONDS, promised

pytestmark = pytest.mark.system
NEVER_READY = "import time\ndef init(): time.sleep(600)\ndef run(data): return 1\n"
READY_ON_DEMAND = """
import pathlib, time

def init():
    while not pathlib.Path({go!r}).exists():
        time.sleep(0.01)

def run(data):
    return 1
"""


@pytest.fixture
def workspace(shared_workspace: Workspace) -> Workspace:
    return shared_workspace


@pytest.fixture
def waiting(workspace: Workspace, project: Path) -> Webservice:
    """A web service whose init() does not return."""
    (project / "score.py").write_text(NEVER_READY)
    configuration = AksWebservice.deploy_configuration(num_replicas=1)
    return Model.deploy(workspace, "patient", [], InferenceConfig("score.py"), configuration)


@pytest.fixture
def go(project: Path) -> Path:
    """The file that `init()` of the web service `gated` waits for."""
    return project / "go"


@pytest.fixture
def gated(workspace: Workspace, project: Path, go: Path) -> Webservice:
    """A web service that is ready when `go` is there."""
    (project / "score.py").write_text(READY_ON_DEMAND.format(go=str(go)))
    configuration = AksWebservice.deploy_configuration(num_replicas=1)
    return Model.deploy(workspace, "patient", [], InferenceConfig("score.py"), configuration)


def waited(service: Webservice) -> tuple[threading.Thread, list[BaseException]]:
    """Wait without a limit in a thread; return it, and where its error will be."""
    errors: list[BaseException] = []

    def wait() -> None:
        try:
            service.wait_for_deployment()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread, errors


def test_it_ends_with_the_reason_when_no_controller_can_be_had(workspace: Workspace, waiting: Webservice) -> None:
    layout = Layout.of(workspace.controller._layout.directory)
    thread, errors = waited(waiting)
    whole = layout.database.read_bytes()
    controller = workspace.controller.running()
    assert controller is not None
    os.kill(controller["pid"], signal.SIGKILL)
    for side in (layout.database, *layout.control.glob("controller.db-*")):
        side.write_bytes(b"this is no database" * 1000)
    thread.join(HANG_SECONDS)
    try:
        assert not thread.is_alive()
        assert isinstance(errors[0], WebserviceException)
        assert "controller" in str(errors[0])
    finally:
        for side in layout.control.glob("controller.db-*"):
            side.unlink()
        layout.database.write_bytes(whole)


def test_waiting_ends_at_the_timeout_or_an_interrupt_and_the_deployment_continues(
    gated: Webservice, go: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    started = time.monotonic()
    with pytest.raises(WebserviceException, match=r"still Transitioning after 0\.3 s"):
        gated.wait_for_deployment(timeout_sec=0.3)
    assert time.monotonic() - started < promised(5)
    threading.Timer(0.3, _thread.interrupt_main).start()
    with pytest.raises(KeyboardInterrupt):
        gated.wait_for_deployment()
    assert "the deployment of 'patient' goes on" in capsys.readouterr().out
    go.touch()
    gated.wait_for_deployment(timeout_sec=HANG_SECONDS)
    assert gated.run(b"") == 1


def test_it_outlives_the_controller(workspace: Workspace, gated: Webservice, go: Path) -> None:
    status = workspace.controller.running()
    assert status is not None

    def kill_then_go() -> None:
        os.kill(status["pid"], signal.SIGKILL)
        go.touch()

    threading.Timer(0.3, kill_then_go).start()
    gated.wait_for_deployment(timeout_sec=HANG_SECONDS)
    assert gated.run(b"") == 1
