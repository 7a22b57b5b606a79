"""JupyterLab whose server does not have the server extension, and kernels with another version of the package."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, expect

from tests.browser.lab import PANEL, Notebook, notebook, running


@pytest.fixture(scope="module")
def shown(context: BrowserContext, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    """A notebook in such a JupyterLab."""
    directory = tmp_path_factory.mktemp("notebooks")
    notebook(
        ["1 + 1", "import mljupyter\nmljupyter.__version__ = '0.0.9'", "import mljupyter"], directory / "one.ipynb"
    )
    for name in ("model.pkl", "score.py"):
        (directory / name).touch()
    with running(directory, tmp_path_factory.mktemp("home"), extension="") as lab:
        page = context.new_page()
        found = Notebook(page, lab, "one.ipynb")
        found.open()
        yield found
        page.close()


def test_the_panel_says_how_to_enable_it_and_the_rest_of_jupyterlab_is_as_before(shown: Notebook) -> None:
    page = shown.page
    expect(shown.run(0)).to_contain_text("2")
    page.keyboard.press("Control+Alt+e")
    panel = page.locator(PANEL)
    expect(panel.get_by_role("alert")).to_contain_text("does not have the server extension of mljupyter")
    expect(panel).to_contain_text("jupyter server extension enable mljupyter.labserver")
    shown.command("launcher:create")
    expect(page.locator(".jp-LauncherCard", has_text="Python 3").first).to_be_visible()
    expect(page.locator(".jp-LauncherCard", has_text="Deploy a model")).to_have_count(0)
    shown.command("application:close")
    expect(page.locator(".jp-Launcher")).to_have_count(0)
    page.evaluate("() => window.jupyterapp.commands.execute('filebrowser:activate')")
    for name in ("model.pkl", "score.py"):
        page.get_by_role("listitem", name=re.compile(name)).click(button="right")
        expect(page.get_by_role("menuitem", name="Rename")).to_be_visible()
        ours = page.get_by_role("menuitem", name=re.compile("Register as model|Use as scoring script"))
        expect(ours).to_have_count(0)
        page.keyboard.press("Escape")
    shown.command("mljupyter:deploy")  # by its shortcut
    view = page.locator(".mljlab-View")
    expect(view).to_contain_text("jupyter server extension enable mljupyter.labserver")
    shown.command("application:close")
    expect(view).to_have_count(0)


def test_a_kernel_with_another_version_is_one_sentence_with_the_command_that_mends_it(shown: Notebook) -> None:
    page = shown.page
    told = page.get_by_text("The kernel of one.ipynb has version 0.0.9 of mljupyter")
    shown.run(1)
    expect(told.first).to_be_visible()
    expect(told.first).to_contain_text('run %pip install "mljupyter==')
    shown.run(2)
    assert told.count() == 1
