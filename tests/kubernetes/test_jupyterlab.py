"""The walk through JupyterLab on an attached cluster: a registered model, no kernel, and the keyboard alone."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

from mljupyter.core import Environment, Model
from mljupyter.notebook.scripts import KeptScripts
from tests.browser.lab import CHROMIUM, PANEL, launched, running
from tests.browser.walk import walk
from tests.conformance.conftest import CLUSTER, Site
from tests.waiting import HANG_SECONDS

pytestmark = pytest.mark.system
SCRIPT = """
import json

def init():
    pass

def run(data):
    return json.loads(data)["data"]
"""
PROJECT = """
[tool.mljupyter.deploy]
environment = "bare"
cpu = 0.05
memory = 0.2
"""
"""The image is built in seconds, and a small node has room for both versions beside those of other tests."""


def test_an_endpoint_on_a_cluster_is_lived_through_with_the_keyboard_alone(
    attached: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if CHROMIUM is None:
        pytest.skip("needs Chromium; make chromium installs Debian's")
    workspace, notebooks, home = attached.workspace, tmp_path / "notebooks", tmp_path / "home"
    notebooks.mkdir()
    home.mkdir()
    (notebooks / "pyproject.toml").write_text(PROJECT)
    (tmp_path / "echo.txt").write_text("a model that its script does not read")
    model = Model.register(workspace, str(tmp_path / "echo.txt"), "echo")
    Environment("bare").register(workspace)
    KeptScripts(Path(workspace.directory)).save("echo", SCRIPT)
    (home / "mljupyter").symlink_to(os.environ["MLJUPYTER_HOME"])
    monkeypatch.setenv("MLJUPYTER_WORKSPACE", workspace.name)
    name = f"walk-{secrets.token_hex(3)}"
    expect.set_options(timeout=HANG_SECONDS * 1000)
    try:
        with sync_playwright() as playwright, running(notebooks, home) as lab:
            browser = launched(playwright)
            page = browser.new_page(viewport={"width": 1280, "height": 1200}, reduced_motion="reduce")
            page.set_default_timeout(HANG_SECONDS * 1000)
            page.goto(f"{lab.url}lab?token={lab.token}&reset")
            page.wait_for_selector(PANEL, state="attached")
            walk(page, CLUSTER, model.id, name, script="echo", with_axe=False)  # that on this machine has it
            browser.close()
    finally:
        attached.discard(name)
