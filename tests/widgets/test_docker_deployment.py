"""The deploy wizard with containers: the build seen while it runs, and stopped in its middle."""

from __future__ import annotations

import os
from pathlib import Path

from mljupyter.core import Environment, InferenceConfig, Workspace
from mljupyter.notebook.session import Session
from mljupyter.widgets.wizards.deploy_wizard import DeployWizard
from tests.testbed import needed
from tests.waiting import wait_until
from tests.widgets.conftest import User
from tests.widgets.test_deploy_pages import SCRIPT, go_to


def test_an_image_build_is_seen_while_it_runs_and_can_be_stopped(session: Session, workspace: Workspace) -> None:
    needed("MLJUPYTER_TEST_DOCKER")
    base = needed("MLJUPYTER_TEST_BASE_IMAGE")
    Path("score.py").write_text(SCRIPT)
    environment = Environment("slow-build")
    environment.docker.base_image = None
    # New each time: nothing of an earlier run may be found again.
    steps = f"FROM {base}\nRUN echo {os.urandom(8).hex()} && echo a line of the build && sleep 600\n"
    environment.docker.base_dockerfile = steps
    variables = {"config": InferenceConfig("score.py", environment=environment)}
    wizard = DeployWizard(session, variables, {"name": "boxed", "score": "config", "to": "docker"})
    user = User(wizard)
    go_to(user, "Is this what you want?")
    assert "a line of the build" in user.field("file-Dockerfile")["value"]
    assert ["Where", "docker, in containers"] in user.field("plan")["rows"]
    user.press()
    wait_until(lambda: user.has("log") and "a line of the build" in user.field("log")["value"], "the build's log")
    running = [stage for stage in user.field("stages")["stages"] if stage["state"] == "running"]
    assert [stage["name"] for stage in running] not in ([], ["hand over"])
    assert "so far" in running[0]["remark"]
    user.press("cancel")
    wait_until(lambda: user.view["heading"] == "Cancelled", "the end of the build")
    assert "boxed" not in workspace.webservices
    assert user.press("back")["heading"] == "Is this what you want?"
    wizard.close()
