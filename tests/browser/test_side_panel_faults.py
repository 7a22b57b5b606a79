"""The side panel with 1,000 endpoints, and when its server, its link or its reader is away."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, Route, expect

from tests.browser.crowd import EMPTY, WORKSPACE, Crowd
from tests.browser.lab import PANEL, Lab, open_section, serious_problems, wait_started
from tests.waiting import HANG_SECONDS

COUNT = 1000
DRAWN = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(null))))"
SET_HIDDEN = """(hidden) => {
    Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden });
    document.dispatchEvent(new Event('visibilitychange'));
}"""


class Shown:
    """A page that shows the endpoints of a crowd."""

    def __init__(self, page: Page, crowd: Crowd) -> None:
        self.page, self.crowd = page, crowd
        self.panel = page.locator(PANEL)

    def line(self, number: int) -> Locator:
        return self.panel.get_by_role("listitem").filter(has_text=f"endpoint-{number:04}")

    def until(self, is_so: Callable[[], bool]) -> None:
        """Let the page go on until something is so."""
        deadline = time.monotonic() + HANG_SECONDS
        while not is_so():
            assert time.monotonic() < deadline
            self.page.wait_for_timeout(50)


@pytest.fixture(scope="module")
def shown(context: BrowserContext, lab: Lab) -> Iterator[Shown]:
    page = context.new_page()
    crowd = Crowd(page, COUNT)
    page.goto(f"{lab.url}lab?token={lab.token}&reset")
    wait_started(page)
    page.evaluate("() => window.jupyterapp.commands.execute('mljupyter:show-panel')")
    found = Shown(page, crowd)
    expect(found.line(0)).to_be_visible()
    yield found
    page.close()


def test_of_a_thousand_endpoints_only_those_on_the_screen_are_in_the_page(shown: Shown) -> None:
    lines = shown.panel.locator(".mljlab-endpoint")
    expect(lines.nth(10)).to_be_attached()
    assert 10 < lines.count() < 60
    assert lines.first.get_attribute("aria-setsize") == str(COUNT)
    box = shown.panel.locator(".mljlab-scroll")
    box.evaluate("(box) => { box.scrollTop = box.scrollHeight; }")
    expect(shown.line(COUNT - 1)).to_be_visible()
    assert lines.count() < 60
    assert lines.last.get_attribute("aria-posinset") == str(COUNT)
    assert serious_problems(shown.page, PANEL) == []
    search = shown.panel.get_by_role("searchbox", name="Search endpoints")
    search.fill("0777")
    expect(lines).to_have_count(1)
    search.fill("no such endpoint")
    expect(shown.panel.get_by_text("No endpoint matches")).to_be_visible()
    search.fill("")
    expect(lines.nth(10)).to_be_visible()
    box.evaluate("(box) => { box.scrollTop = 0; }")
    expect(shown.line(0)).to_be_visible()


def test_rows_of_other_heights_do_not_overlap(shown: Shown) -> None:
    shown.crowd.set(0, 1, 2, state="Failed")
    shown.panel.get_by_role("button", name="Versions of endpoint-0001").click()
    expect(shown.line(1).get_by_text("green", exact=True)).to_be_visible()

    def is_apart(upper: int) -> bool:
        above, below = (shown.line(number).bounding_box() for number in (upper, upper + 1))
        return above is not None and below is not None and above["y"] + above["height"] <= below["y"] + 1

    shown.until(lambda: all(is_apart(number) for number in range(4)))  # heights are measured once they are drawn
    shown.panel.get_by_role("button", name="Versions of endpoint-0001").click()
    shown.crowd.set(0, 1, 2, state="Healthy")


def test_while_the_server_is_away_the_page_says_how_old_its_list_is_and_keeps_it(shown: Shown) -> None:
    shown.crowd.is_known = False  # a server that was just started does not know anything yet
    shown.crowd.lose()
    shown.crowd.rows[3]["state"] = "Failed"
    expect(shown.panel.get_by_text(re.compile(r"what was there at \d+:\d\d:\d\d"))).to_be_visible()
    expect(shown.line(3)).to_contain_text("Healthy")
    shown.until(lambda: shown.crowd.is_open)
    expect(shown.line(3)).to_contain_text("Healthy")
    shown.crowd.is_known = True
    shown.crowd.tell_all()
    expect(shown.line(3)).to_contain_text("Failed")
    expect(shown.panel.get_by_text("what was there at")).to_have_count(0)
    shown.crowd.tell_all()
    expect(shown.page.locator(".Toastify__toast").filter(has_text="endpoint-0003 has failed")).to_have_count(1)
    shown.crowd.set(3, state="Healthy")


def test_models_that_could_not_be_read_are_read_again_after_a_pause(shown: Shown) -> None:
    answers: list[dict[str, Any]] = [
        {"status": 500, "json": {"code": "FailedError", "message": "The catalog is locked.", "hint": ""}},
        {"json": [model("line")]},
    ]
    pattern = f"**/workspaces/{WORKSPACE}/models*"
    shown.page.route(pattern, lambda route: route.fulfill(**answers.pop(0)))
    open_section(shown.panel, "Models")
    expect(shown.panel.get_by_text("The catalog is locked. Trying again …")).to_be_visible()
    expect(shown.panel.get_by_text("line:1")).to_be_visible()
    expect(shown.panel.get_by_text("Trying again …")).to_have_count(0)
    shown.panel.get_by_text("Models", exact=True).click()
    shown.page.unroute(pattern)


def test_models_of_the_workspace_before_that_come_late_are_not_shown(shown: Shown) -> None:
    late: list[Route] = []
    patterns = {name: f"**/workspaces/{name}/models*" for name in (WORKSPACE, EMPTY)}
    shown.page.route(patterns[WORKSPACE], lambda route: late.append(route))
    shown.page.route(patterns[EMPTY], lambda route: route.fulfill(json=[model("theirs")]))
    open_section(shown.panel, "Models")
    shown.until(lambda: bool(late))
    workspace = shown.panel.get_by_label("Workspace")
    workspace.select_option(EMPTY)
    expect(shown.panel.get_by_text("theirs:1")).to_be_visible()
    with shown.page.expect_response(patterns[WORKSPACE]):
        late[0].fulfill(json=[model("ours")])
    shown.page.evaluate(DRAWN)
    expect(shown.panel.get_by_text("theirs:1")).to_be_visible()
    expect(shown.panel.get_by_text("ours:1")).to_have_count(0)
    shown.panel.get_by_text("Models", exact=True).click()
    for pattern in patterns.values():
        shown.page.unroute(pattern)
    workspace.select_option(WORKSPACE)
    expect(shown.line(0)).to_be_visible()


def model(name: str) -> dict[str, Any]:
    """Return a model as the server describes it."""
    return {"name": name, "version": 1, "framework": "", "size": 100, "created": time.time(), "usedBy": []}


def test_a_certificate_that_ends_soon_is_told_once_with_the_way_to_its_endpoint(shown: Shown) -> None:
    problem = {"code": "CertificateExpires", "message": "The certificate for 'localhost' ends in 20 days."}
    for number in (6, 7):  # one router, and so one certificate
        shown.crowd.rows[number]["certificate"] = {"ends": time.time() + 20 * 86400, "problem": problem}
    for _ in range(2):
        shown.crowd.tell_all()
    told = shown.page.locator(".Toastify__toast").filter(has_text="ends in 20 days")
    expect(told).to_have_count(1)
    expect(told).to_contain_text("The certificate of endpoint-0006 needs attention.")
    expect(told.get_by_role("button", name="Monitor")).to_be_visible()


def test_a_page_that_nobody_sees_has_no_connection_and_misses_nothing(shown: Shown) -> None:
    expect(shown.line(4)).to_contain_text("Healthy")
    shown.page.evaluate(DRAWN)  # what the page asks for the lines that it shows is asked
    asked = len(shown.crowd.asked)
    shown.page.evaluate(SET_HIDDEN, True)
    shown.until(lambda: not shown.crowd.is_open)
    shown.crowd.rows[4]["state"] = "Failed"
    connections = len(shown.crowd.connections)
    shown.page.wait_for_timeout(3000)  # longer than the first pause before a lost connection is tried again
    assert len(shown.crowd.connections) == connections
    assert len(shown.crowd.asked) == asked
    shown.page.evaluate(SET_HIDDEN, False)
    expect(shown.line(4)).to_contain_text("Failed")
    expect(shown.page.locator(".Toastify__toast").filter(has_text="endpoint-0004 has failed")).to_have_count(1)
    shown.crowd.set(4, state="Healthy")


def test_on_a_slow_and_broken_link_a_change_is_asked_for_until_it_is_answered_and_made_once(shown: Shown) -> None:
    ids: list[str] = []

    def answer(route: Route) -> None:
        ids.append(route.request.headers["x-mljupyter-request"])
        if len(ids) < 3:
            route.abort("connectionreset")
        else:
            route.fulfill(json={"said": "The replicas are replaced."})

    pattern = "**/actions/restart*"
    shown.page.route(pattern, answer)
    link = shown.page.context.new_cdp_session(shown.page)
    conditions = {"offline": False, "latency": 500, "downloadThroughput": 20_000, "uploadThroughput": 20_000}
    link.send("Network.emulateNetworkConditions", conditions)
    restart = "() => { window.jupyterapp.commands.execute('mljupyter:restart', { name: 'endpoint-0005' }); }"
    shown.page.evaluate(restart)
    shown.page.evaluate(restart)  # somebody who waits presses again
    expect(shown.page.get_by_text("The replicas are replaced.").first).to_be_visible()
    assert len(ids) == 3
    assert len(set(ids)) == 1
    link.send(
        "Network.emulateNetworkConditions",
        {**conditions, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1},
    )
    link.detach()
    shown.page.unroute(pattern)
