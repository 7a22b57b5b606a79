"""The side panel of JupyterLab: everything about endpoints, without a kernel and without a mouse."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.keyboard import Keyboard
from tests.browser.lab import (
    PANEL,
    Lab,
    Notebook,
    open_section,
    serious_problems,
    show_theme,
    to_panel,
    until_offered,
    wait_started,
    wait_until_saved,
)
from tests.browser.walk import walk
from tests.waiting import COMMAND_SECONDS

REGISTER = """
import sys
from mljupyter.core import Model, Workspace
ws = Workspace.create("default", exist_ok=True)
Model.register(ws, sys.argv[1], "line", model_framework=Model.Framework.SCIKITLEARN, sample_input_dataset=None)
"""
NOTE_WAITING = """() => {  // what is said while something lasts, which may be over before a test looks
    window.said = [];
    const places = [['Models', 'details .mljlab-quiet'], ['tab', '.mljlab-View [role=status]']];
    const note = () => {
        for (const [place, selector] of places) {
            for (const element of document.querySelectorAll(selector)) {
                const section = element.closest('details')?.querySelector('summary').textContent ?? place;
                if (element.textContent.endsWith('…') && element.checkVisibility()) {
                    window.said.push(`${section}: ${element.textContent}`);
                }
            }
        }
    };
    new MutationObserver(note).observe(document.body, {
        subtree: true, childList: true, characterData: true, attributeFilter: ['class', 'hidden', 'open'],
    });
}"""
SLOW_MESSAGES = """() => {  // Chromium slows requests, but no WebSocket
    const { send } = WebSocket.prototype;
    WebSocket.prototype.send = function (...message) { setTimeout(() => send.apply(this, message), 800); };
    window.endSlowness = () => { WebSocket.prototype.send = send; };
}"""


@pytest.fixture
def lab_page(page: Page, lab: Lab, line_model: Path) -> Page:
    """Return JupyterLab without a notebook, in a workspace with one registered model."""
    environment = {**os.environ, "MLJUPYTER_HOME": str(lab.home / "mljupyter")}
    command = [sys.executable, "-c", REGISTER, str(line_model)]
    subprocess.run(command, cwd=line_model.parent, env=environment, check=True, timeout=COMMAND_SECONDS)
    page.goto(f"{lab.url}lab?token={lab.token}&reset")
    wait_started(page)
    return page


def press(page: Page, control: Locator, key: str = "Enter") -> None:
    """Put the focus on a control, as Tab does, and press a key once it takes one."""
    expect(control).to_be_enabled()
    control.focus()
    expect(control).to_be_focused()
    page.keyboard.press(key)


def choose(page: Page, name: str, action: str) -> None:
    """Choose an action in the menu of an endpoint by the keyboard."""
    press(page, page.get_by_role("button", name=f"Actions on {name}"))
    Keyboard(page).choose_in_menu(page.get_by_role("menuitem", name=action, exact=True))


def test_a_model_is_deployed_tried_scaled_and_deleted_without_kernel_and_mouse(
    lab_page: Page, shot: Callable[..., None]
) -> None:
    page = lab_page
    to_panel(page)
    panel = page.locator(PANEL)
    expect(panel.get_by_text("There is none in this workspace yet")).to_be_visible()
    press(page, panel.get_by_text("Models", exact=True))
    press(page, panel.get_by_role("button", name="Deploy line:1"))

    name = page.get_by_label("Name of the endpoint")
    name.fill("line-one")
    deploy = page.get_by_role("button", name="Deploy now")
    until_offered(page, deploy, lambda button: press(page, button))
    press(page, deploy)
    line = panel.locator("li", has=page.get_by_role("button", name="line-one", exact=True))
    expect(line.first).to_contain_text("Healthy")
    expect(line.first).to_contain_text("1/1 replicas")
    expect(page.get_by_text("line-one is Healthy.")).to_be_attached()
    expect(panel.get_by_text("used by line-one")).to_be_visible()
    expect(panel.get_by_role("button", name="Delete line:1")).to_be_disabled()
    for theme in ("JupyterLab Light", "JupyterLab Dark", "JupyterLab Dark High Contrast"):
        show_theme(page, theme)
        shot(f"side-panel-{theme.split(maxsplit=1)[-1].lower().replace(' ', '-')}")
        assert serious_problems(page, PANEL) == []
        assert serious_problems(page, ".mljlab-View") == []

    press(page, panel.get_by_role("button", name="line-one", exact=True))
    expect(page.get_by_role("tab", name="Monitor: line-one")).to_be_visible()
    expect(page.locator(".mljlab-View .mlj-panel")).to_contain_text("Requests per second")
    shot("side-panel-monitor")

    choose(page, "line-one", "Try it")
    page.get_by_role("textbox", name="Request", exact=True).fill('{"data": [[3.0]]}')
    send = page.get_by_role("button", name="Send", exact=True)
    press(page, send)
    expect(page.get_by_text("Answered in")).to_be_visible()

    expect(panel.get_by_role("img", name=re.compile("p95 .* ms"))).to_be_visible()

    choose(page, "line-one", "Scale")
    page.get_by_role("dialog").get_by_role("textbox").fill("2")
    page.keyboard.press("Enter")
    expect(line.first).to_contain_text("2/2 replicas")

    choose(page, "line-one", "Delete")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Delete endpoint line-one?")
    press(page, dialog.get_by_role("button", name="Delete"))
    expect(panel.get_by_text("There is none in this workspace yet")).to_be_visible()
    assert page.evaluate("() => [...window.jupyterapp.serviceManager.kernels.running()].length") == 0


def test_an_endpoint_with_two_versions_is_lived_through_with_the_keyboard_alone(lab_page: Page) -> None:
    walk(lab_page, "local", "line:1", "line-two")


def test_tabs_come_back_with_what_was_typed_after_the_page_was_loaded_again(lab_page: Page, lab: Lab) -> None:
    page = lab_page
    page.evaluate("() => window.jupyterapp.commands.execute('mljupyter:deploy')")
    page.get_by_label("Name of the endpoint").fill("kept-name")
    page.get_by_label("Name of the endpoint").press("Tab")
    expect(page.get_by_role("tab", name="Deploy a model")).to_be_visible()
    wait_until_saved(lab, page)
    page.goto(f"{lab.url}lab?token={lab.token}")
    expect(page.get_by_label("Name of the endpoint")).to_have_value("kept-name")


def test_what_was_typed_into_a_wizard_is_there_again_after_the_server_was_restarted(lab_page: Page, lab: Lab) -> None:
    page = lab_page
    page.evaluate("() => window.jupyterapp.commands.execute('mljupyter:deploy')")
    name, memory = page.get_by_label("Name of the endpoint"), page.get_by_label("Memory", exact=False).first
    heading = page.locator(".mlj h3")
    name.fill("kept-name")
    for words in ("Where should it run?", "How large, and how many?"):
        page.get_by_role("button", name="Next", exact=True).click()
        expect(heading).to_have_text(words)
    memory.fill("1.5")
    # JupyterLab says in a dialog of its own that the server is away.
    page.add_locator_handler(page.locator(".jp-Dialog"), lambda: page.keyboard.press("Escape"))
    lab.restart()
    expect(page.get_by_text("This is what was typed before.")).to_be_visible()
    expect(heading).to_have_text("How large, and how many?")
    expect(memory).to_have_value("1.5")
    for _ in range(2):
        page.get_by_role("button", name="Back", exact=True).click()
    expect(name).to_have_value("kept-name")
    page.evaluate("() => window.jupyterapp.commands.execute('application:close')")
    page.wait_for_function("() => !Object.keys(sessionStorage).some((key) => key.includes('mljupyter:typed'))")


def test_on_a_slow_link_every_view_says_that_it_loads_and_a_second_press_does_nothing(lab_page: Page) -> None:
    page = lab_page
    panel = page.locator(PANEL)
    link = page.context.new_cdp_session(page)
    slow = {"offline": False, "latency": 400, "downloadThroughput": 50_000, "uploadThroughput": 50_000}
    link.send("Network.enable")
    link.send("Network.emulateNetworkConditions", slow)
    page.evaluate(SLOW_MESSAGES)
    page.evaluate(NOTE_WAITING)

    def said(words: str) -> None:
        """Wait until a person was told something, and forget what was said."""
        page.wait_for_function("(words) => window.said.includes(words)", arg=words)
        page.evaluate("() => { window.said = []; }")

    page.evaluate("() => window.jupyterapp.commands.execute('mljupyter:show-panel')")
    open_section(panel, "Models")
    said("Models: Loading …")
    expect(panel.get_by_role("button", name="Deploy line:1")).to_be_visible()

    page.evaluate("() => window.jupyterapp.commands.execute('mljupyter:attach')")
    tab = page.locator(".mljlab-View").filter(visible=True)
    said("tab: Loading …")
    # The checks have ended before the code that shows them has arrived: nothing of that is lost.
    expect(tab.get_by_text("Can be used now.").first).to_be_visible()

    panel.get_by_role("button", name="Deploy line:1").click()
    heading = tab.locator(".mlj h3")
    tab.get_by_label("Name of the endpoint").fill("slow-one")
    following = tab.get_by_role("button", name="Next", exact=True)
    deploy = tab.get_by_role("button", name="Deploy now")
    following.dblclick()
    said("tab: Working …")
    expect(heading).to_have_text("Where should it run?")  # the second press has opened no further step
    until_offered(tab, deploy)
    deploy.dblclick()
    line = panel.locator("li", has=page.get_by_role("button", name="slow-one", exact=True))
    expect(line.first).to_contain_text("Healthy")

    panel.get_by_role("button", name="slow-one", exact=True).click()
    said("tab: Loading …")
    expect(tab.locator(".mlj-panel")).to_contain_text("Requests per second")
    panel.get_by_role("button", name="Actions on slow-one").click()
    page.get_by_role("menuitem", name="History", exact=True).click()
    deployments = tab.get_by_role("list", name="What has happened").get_by_role("listitem")
    expect(deployments.filter(has_text="created")).to_have_count(1)
    expect(deployments.filter(has_text="updated")).to_have_count(0)
    page.evaluate("() => window.endSlowness()")
    link.detach()
    page.evaluate("() => window.jupyterapp.commands.execute('application:close-all')")
    expect(page.locator(".mljlab-View")).to_have_count(0)


def test_the_settings_choose_the_target_of_the_next_deployment(lab_page: Page) -> None:
    page = lab_page
    page.evaluate("() => window.jupyterapp.commands.execute('settingeditor:open', { query: 'mljupyter' })")
    editor = page.locator(".jp-SettingsPanel")
    for title in ("Workspace", "Compute target", "Refresh", "Metrics window", "A certificate ends within thirty days"):
        expect(editor.get_by_text(title, exact=True).first).to_be_visible()
    editor.locator("input[id$='_target']").fill("docker")
    editor.locator("input[id$='_target']").press("Tab")
    # The page has the setting when the server has it and was asked for it again.
    restore = editor.get_by_role("button", name="Restore to Defaults")
    expect(restore).to_be_visible()
    page.evaluate("() => window.jupyterapp.commands.execute('mljupyter:deploy')")
    page.get_by_role("button", name="Next", exact=True).click()
    expect(page.get_by_role("radio", name=re.compile("docker"))).to_be_checked()
    reset = "() => window.jupyterapp.serviceManager.settings.save('mljupyter-labextension:panel', '{}')"
    page.evaluate(reset)  # other tests share the settings


def test_all_commands_have_a_label_and_the_launcher_opens_a_wizard(lab_page: Page) -> None:
    page = lab_page
    labels = page.evaluate(
        """() => {
            const { commands } = window.jupyterapp;
            const own = commands.listCommands().filter((id) => id.startsWith('mljupyter:'));
            return Object.fromEntries(own.map((id) => [id, commands.label(id, { isPalette: true })]));
        }"""
    )
    assert {"Deploy a model", "Register a model", "Attach a cluster", "Show endpoints"} <= set(labels.values())
    assert all(labels.values())
    page.locator(".jp-LauncherCard", has_text="Deploy a model").click()
    expect(page.get_by_label("Name of the endpoint")).to_be_visible()


def test_an_endpoint_that_is_dragged_into_a_notebook_becomes_a_cell(
    lab_page: Page, lab: Lab, opened: Callable[..., Notebook]
) -> None:
    notebook = opened("1 + 1")
    page = notebook.page
    to_panel(page)
    panel = page.locator(PANEL)
    expect(panel.get_by_text("There is none in this workspace yet")).to_be_visible()
    press(page, panel.get_by_text("Models", exact=True))
    for place in (notebook.cell(0), panel.locator(".mljlab-model").first):
        place.hover()  # it stands still
    source = panel.locator(".mljlab-model").first.bounding_box()
    target = notebook.cell(0).bounding_box()
    assert source is not None and target is not None
    page.mouse.move(source["x"] + 20, source["y"] + 8)
    page.mouse.down()
    page.mouse.move(source["x"] + 60, source["y"] + 20, steps=5)
    page.mouse.move(target["x"] + 100, target["y"] + target["height"] - 4, steps=10)
    page.mouse.up()
    page.wait_for_function("() => window.jupyterapp.shell.currentWidget.content.model.sharedModel.cells.length === 2")
    assert any('Model(Workspace.from_config(), id="line:1")' in source for source in notebook.sources())


def test_a_file_is_registered_from_the_file_browser(lab_page: Page, lab: Lab) -> None:
    (lab.directory / "wine.pkl").write_bytes(b"content")
    page = lab_page
    page.evaluate("() => window.jupyterapp.commands.execute('filebrowser:activate')")
    page.evaluate("() => window.jupyterapp.commands.execute('filebrowser:refresh')")
    page.get_by_role("listitem", name=re.compile("wine.pkl")).click(button="right")
    expect(page.get_by_role("menuitem", name="Use as scoring script …")).to_have_count(0)
    page.get_by_role("menuitem", name="Register as model …").click()
    expect(page.get_by_label("Path")).to_have_value(str(lab.directory / "wine.pkl"))
    following = page.get_by_role("button", name="Next", exact=True)
    following.click()
    expect(page.get_by_text("Under which name?")).to_be_visible()


def test_without_a_websocket_the_panel_asks_at_intervals(lab_page: Page, lab: Lab) -> None:
    page = lab_page
    page.add_init_script(
        """window.WebSocket = class extends WebSocket {
            constructor(url, ...more) { super(String(url).replace('mljupyter/channel', 'mljupyter/nothing'), ...more); }
        };"""
    )
    page.goto(f"{lab.url}lab?token={lab.token}&reset")
    wait_started(page)
    page.evaluate("() => window.jupyterapp.commands.execute('mljupyter:show-panel')")
    expect(page.locator(PANEL).get_by_text("There is none in this workspace yet")).to_be_visible()
