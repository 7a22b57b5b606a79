"""Waiting for a deployment ends, whatever becomes of the controller."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mljupyter.controller.layout import Layout
from mljupyter.core import AksWebservice, InferenceConfig, Model, Workspace
from mljupyter.core.exceptions import WebserviceException
from mljupyter.core.webservice import Webservice

pytestmark = pytest.mark.system
NEVER_READY = "import time\ndef init(): time.sleep(600)\ndef run(data): return 1\n"


@pytest.fixture
def waiting(workspace: Workspace, project: Path) -> Iterator[Webservice]:
    """A web service whose init() does not return."""
    (project / "score.py").write_text(NEVER_READY)
    configuration = AksWebservice.deploy_configuration(num_replicas=1)
    yield Model.deploy(workspace, "patient", [], InferenceConfig("score.py"), configuration)
    workspace.delete(delete_dependent_resources=True)


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
    thread.join(60)
    try:
        assert not thread.is_alive()
        assert isinstance(errors[0], WebserviceException)
        assert "controller" in str(errors[0])
    finally:
        for side in layout.control.glob("controller.db-*"):
            side.unlink()
        layout.database.write_bytes(whole)
