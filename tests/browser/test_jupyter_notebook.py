"""The side panel in Jupyter Notebook: beside a notebook, with tabs on the page of the files."""

from __future__ import annotations

from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.lab import PANEL, Lab, notebook, wait_started


def test_the_panel_is_beside_a_notebook_and_its_views_are_tabs_of_a_page_that_is_there_again_after_a_reload(
    page: Page, lab: Lab, context: BrowserContext
) -> None:
    notebook(["1 + 1"], lab.directory / "beside.ipynb")
    page.goto(f"{lab.url}notebooks/beside.ipynb?token={lab.token}")
    check_notebook(page, context)


def check_notebook(page: Page, context: BrowserContext) -> None:
    """Check the panel and a view of a page with a notebook."""
    page.wait_for_selector(".jp-Notebook .jp-Cell")
    wait_started(page)
    page.keyboard.press("Control+Alt+e")
    panel = page.locator(PANEL)
    expect(panel.get_by_role("heading", name="Endpoints")).to_be_visible()
    with context.expect_page() as opened:
        panel.get_by_role("button", name="Deploy", exact=True).click()
    other = opened.value
    try:
        name = other.get_by_label("Name of the endpoint")
        expect(other.get_by_role("tab", name="Deploy a model")).to_be_visible()
        name.fill("kept-name")
        name.press("Tab")
        other.reload()
        expect(other.get_by_label("Name of the endpoint")).to_have_value("kept-name")
    finally:
        other.close()
