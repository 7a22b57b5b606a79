"""Wizards without a browser: pages pressed and filled in as the browser does it, everything behind them real."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from mljupyter.core import Workspace
from mljupyter.notebook.session import Session
from mljupyter.widgets.wizard import Wizard
from tests.waiting import HANG_SECONDS


class User:
    """Somebody who looks at a wizard, types and presses."""

    def __init__(self, wizard: Wizard) -> None:
        self.wizard = wizard

    @property
    def view(self) -> dict[str, Any]:
        assert self.wizard.settled(HANG_SECONDS)
        return dict(self.wizard.view)

    def field(self, key: str) -> dict[str, Any]:
        return next(field for field in self.view["fields"] if field["key"] == key)

    def has(self, key: str) -> bool:
        return any(field["key"] == key for field in self.view["fields"])

    def error(self, key: str) -> str:
        return str(self.field(key)["error"])

    def button(self, key: str) -> dict[str, Any] | None:
        return next((button for button in self.view["buttons"] if button["key"] == key), None)

    def type(self, **answers: Any) -> None:
        for key, value in answers.items():
            self.wizard.change(key, value)

    def press(self, button: str = "next") -> dict[str, Any]:
        self.wizard.press(button)
        return self.view

    def choice(self, key: str, value: str) -> dict[str, Any]:
        return next(option for option in self.field(key)["options"] if option["value"] == value)


class _Shell:
    """What a session needs of a shell."""

    user_ns: dict[str, Any] = {}
    user_ns_hidden: dict[str, Any] = {}


@pytest.fixture
def workspace(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """Return an empty workspace; what was started for it is ended."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("MLJUPYTER_HOME", str(tmp_path / "home"))
    found = Workspace.create("wizards")
    yield found
    for name in list(found.webservices):
        found.webservices[name].delete()
    found.controller.stop(force=True)


@pytest.fixture
def session(workspace: Workspace) -> Session:
    found = Session(_Shell())
    found.use(workspace)
    return found
