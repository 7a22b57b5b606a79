"""The walk: a registered model is deployed, watched, tried, gets traffic, and is deleted; no kernel, no mouse."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect

from tests.browser.keyboard import Keyboard
from tests.browser.lab import PANEL, THEMES, serious_problems, show_theme, to_panel, wait_started

VIEW = ".mljlab-View:visible"
_MOST_PAGES = 8
_NOTICED_MS = 20_000


def walk(page: Page, target: str, model: str, name: str, *, script: str = "", with_axe: bool = True) -> None:
    """Walk through the life of an endpoint with two versions.

    Parameters:
        page: JupyterLab, in which no notebook is open.
        target: the compute target.
        model: a registered model whose script answers ``{"data": [[3.0]]}``, such as ``line:1``.
        name: the name of the new endpoint.
        script: the scoring script to choose, for a model that needs one.
        with_axe: check every view with axe, in the light theme and in the dark one.

    """
    keyboard, panel = Keyboard(page), page.locator(PANEL)
    models = panel.get_by_text("Models", exact=True)
    line = panel.get_by_role("listitem").filter(has=page.get_by_role("button", name=name, exact=True)).first
    wait_started(page)
    page.wait_for_selector(".jp-LauncherCard")
    to_panel(page)
    keyboard.use(models)
    _deploy(keyboard, panel, model, name, target, "blue", script)
    to_panel(page)
    expect(line).to_contain_text("Healthy")
    expect(line).to_contain_text(target)
    _deploy(keyboard, panel, model, name, target, "green", script)
    to_panel(page)
    expect(line).to_contain_text("2/2 replicas")

    keyboard.use(panel.get_by_role("button", name=f"Versions of {name}"))
    expect(line.get_by_text("green", exact=True)).to_be_visible()
    keyboard.use(panel.get_by_role("button", name=name, exact=True))
    expect(page.get_by_role("tab", name=f"Monitor: {name}")).to_be_visible()
    expect(page.locator(VIEW)).to_contain_text("Requests per second")

    _act(keyboard, panel, name, "Shift traffic")
    share = page.get_by_role("spinbutton", name="green, percent")
    keyboard.type(share, "30")
    keyboard.press("Tab")
    keyboard.use(_button(page, "Next"))
    keyboard.use(_button(page, "Apply now"))
    to_panel(page)
    expect(line).to_contain_text("green 30 %")

    _act(keyboard, panel, name, "Try it")
    keyboard.type(page.get_by_role("textbox", name="Request", exact=True), '{"data": [[3.0]]}')
    keyboard.use(_button(page, "Send"))
    expect(page.get_by_text("Answered in")).to_be_visible()

    _act(keyboard, panel, name, "Logs")
    expect(page.get_by_role("tab", name=f"Logs: {name}")).to_be_visible()
    expect(page.locator(VIEW)).to_contain_text(re.compile("answer requests"))
    if with_axe:
        for theme in THEMES:
            _check_all(page, theme)

    dialog = page.get_by_role("dialog")
    _act(keyboard, panel, name, "Delete")
    expect(dialog).to_contain_text(f"Delete endpoint {name}?")
    expect(dialog.locator(":focus")).to_be_visible()
    keyboard.press("Escape")
    expect(dialog).not_to_be_visible()
    _act(keyboard, panel, name, "Delete")
    keyboard.use(dialog.get_by_role("button", name="Delete"))
    expect(line).not_to_be_visible()
    assert page.evaluate("() => [...window.jupyterapp.serviceManager.kernels.running()].length") == 0


def _deploy(keyboard: Keyboard, panel: Locator, model: str, name: str, target: str, version: str, script: str) -> None:
    page = keyboard.page
    tabs = page.get_by_role("tab", name="Deploy a model")
    before = tabs.count()
    keyboard.use(panel.get_by_role("button", name=f"Deploy {model}"))
    try:
        expect(tabs).to_have_count(before + 1, timeout=_NOTICED_MS)
    except AssertionError:  # the launcher had taken the focus between the last Tab and Enter: a person tries again
        keyboard.use(panel.get_by_role("button", name=f"Deploy {model}"))
        expect(tabs).to_have_count(before + 1)
    form = page.locator(VIEW)
    keyboard.type(form.get_by_label("Name of the endpoint"), name)
    if script:
        keyboard.go_to(form.get_by_label("Scoring script"))
        page.keyboard.type(script)  # the beginning of an option chooses it
    deploy, following = _button(page, "Deploy now"), _button(page, "Next")
    for _ in range(_MOST_PAGES):
        heading = form.locator("h3").inner_text()
        if "Where should it run" in heading:
            keyboard.choose(form.get_by_role("radio", name=re.compile(rf"^{target}\b")))
        if "Which part of the requests" in heading:
            keyboard.type(form.get_by_label("Name of the version"), version)
        expect(deploy.or_(following)).to_be_enabled()
        if deploy.is_visible():
            break
        keyboard.use(following)
        expect(form.locator("h3")).not_to_have_text(heading)
    keyboard.use(deploy)


def _act(keyboard: Keyboard, panel: Locator, name: str, action: str) -> None:
    to_panel(keyboard.page)
    keyboard.use(panel.get_by_role("button", name=f"Actions on {name}"))
    keyboard.choose_in_menu(keyboard.page.get_by_role("menuitem", name=action, exact=True))


def _button(page: Page, name: str) -> Locator:
    return page.locator(VIEW).get_by_role("button", name=name, exact=True)


def _check_all(page: Page, theme: str) -> None:
    """Check the panel and all open tabs with axe: wizards, monitor, form and log."""
    show_theme(page, THEMES[theme])
    assert serious_problems(page, PANEL) == []
    tabs = page.evaluate(
        "() => [...window.jupyterapp.shell.widgets('main')].map(({ id }) => id).filter((id) => /^mljupyter-/.test(id))"
    )
    assert len(tabs) >= len(("deploy", "monitor", "traffic", "try", "logs"))
    for tab in tabs:
        page.evaluate("(id) => window.jupyterapp.shell.activateById(id)", tab)
        page.locator(f"[id='{tab}']").wait_for()
        assert serious_problems(page, f"[id='{tab}'] .mljlab-View") == [], tab
