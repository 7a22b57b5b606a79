"""Wizards where there is no workspace yet: they are filled in, and create the first one when they do something."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sklearn.linear_model import LinearRegression

from mljupyter.core import Workspace
from mljupyter.notebook.session import Session
from mljupyter.widgets.wizard import Wizard
from mljupyter.widgets.wizards.attach_wizard import AttachWizard
from mljupyter.widgets.wizards.deploy_wizard import DeployWizard
from mljupyter.widgets.wizards.register_wizard import RegisterWizard
from mljupyter.widgets.wizards.traffic_wizard import TrafficWizard
from tests.waiting import wait_until
from tests.widgets.conftest import User, _Shell


@pytest.fixture
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    """Return a session in a home without workspaces."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLJUPYTER_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLJUPYTER_WORKSPACE", raising=False)
    (tmp_path / "line.pkl").write_bytes(b"x")
    return Session(_Shell())


def current(view: dict[str, Any]) -> str:
    return next(str(step["name"]) for step in view["steps"] if step["state"] == "current")


def test_a_wizard_is_filled_in_without_a_workspace_and_creates_none(nobody: Session, tmp_path: Path) -> None:
    opened: list[Wizard] = [AttachWizard(nobody), TrafficWizard(nobody)]
    wizard = DeployWizard(nobody, {"line": LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0])})
    deploy = User(wizard)
    seen = [current(deploy.view)]
    assert current(deploy.press()) == "Where", deploy.view
    wait_until(lambda: deploy.choice("to", "local")["state"] == "ok", "the check of this machine")
    for _ in range(3):
        seen.append(current(deploy.view))
        deploy.press()
    assert current(deploy.view) == "Traffic", deploy.view
    assert seen == ["Model", "Where", "Size", "Access"]
    for one in (*opened, wizard):
        one.close()
    assert not (tmp_path / "home").exists()


def test_registering_a_model_creates_the_first_workspace(nobody: Session, tmp_path: Path) -> None:
    wizard = RegisterWizard(nobody, {}, "line.pkl")
    register = User(wizard)
    register.press()
    register.press()
    assert "Workspace.get('default')" in register.field("code")["value"]
    assert not (tmp_path / "home").exists()
    register.press("register")
    wait_until(lambda: register.has("use"), "the model is registered")
    assert list(Workspace.get("default").models) == ["line"]
    wizard.close()
