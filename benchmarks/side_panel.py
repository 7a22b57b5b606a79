"""Measure the side panel of JupyterLab with many endpoints: drawing, search, scrolling, and an idle page.

Run with ``python -m benchmarks.side_panel``. It needs Chromium. A real JupyterLab shows the panel; the endpoints are
those that this process tells of, as the server would. The work of the page is the CPU time of its main thread, as
Chromium counts it (``Performance.getMetrics``). JupyterLab itself does some: an idle page is measured with the
panel, and without the server extension, where the panel asks for nothing.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from tests.browser.crowd import Crowd
from tests.browser.lab import Lab, launched, running

PANEL = "#mljupyter-endpoints"
_LONG_TASKS = """() => {
    window.longTasks = [];
    new PerformanceObserver((list) => {
        window.longTasks.push(...list.getEntries().map((entry) => entry.duration));
    }).observe({ type: 'longtask' });
}"""
_SCROLL = """async (steps) => {
    const box = document.querySelector('#mljupyter-endpoints .mljlab-scroll');
    const times = [];
    for (let step = 0; step < steps; step += 1) {
        box.scrollTop += box.clientHeight / 2;
        const began = performance.now();
        await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
        times.push(performance.now() - began);
    }
    return times;
}"""


def main() -> None:
    """Measure, and print one line for each number of endpoints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endpoints", type=int, nargs="+", default=[10, 1000])
    parser.add_argument("--seconds", type=float, default=60.0, help="for how long an idle page is watched")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, sync_playwright() as playwright:
        home, notebooks = Path(directory) / "home", Path(directory) / "notebooks"
        home.mkdir()
        notebooks.mkdir()
        browser = launched(playwright)
        with running(notebooks, home) as lab:
            bare = browser.new_page()
            bare.route("**/mljupyter/version*", lambda route: route.fulfill(status=404, json={}))
            _open(bare, lab)
            print(json.dumps({"idle without the panel (% of a core)": _idle(bare, arguments.seconds)}), flush=True)
            bare.close()
            for count in arguments.endpoints:
                print(json.dumps(measured(browser, lab, count, arguments.seconds)), flush=True)
        browser.close()


def measured(browser: Browser, lab: Lab, count: int, seconds: float) -> dict[str, Any]:
    """Return the measurements of a page with so many endpoints."""
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    page.add_init_script(f"({_LONG_TASKS})()")
    crowd = Crowd(page, count)
    _open(page, lab)
    page.locator(f"{PANEL} .mljlab-endpoint").first.wait_for(timeout=120_000)
    link = page.context.new_cdp_session(page)
    link.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.wait_for_timeout(5000)
    found: dict[str, Any] = {
        "endpoints": count,
        "rows in the page": page.locator(f"{PANEL} .mljlab-endpoint").count(),
        "idle (% of a core)": _idle(page, seconds),
        "all endpoints drawn again (ms)": _work(page, link, crowd.tell_all, 10),
        "ten of them changed (ms)": _work(page, link, lambda: _change(crowd), 20),
        "a letter of a search (ms)": _work(page, link, lambda: _type(page), 10),
    }
    page.locator(f"{PANEL} input[type=search]").fill("")
    page.evaluate("() => { window.longTasks.length = 0; }")
    frames = page.evaluate(_SCROLL, 60)
    found["a step of scrolling, median and longest (ms)"] = [round(statistics.median(frames), 1), round(max(frames), 1)]
    found["tasks of more than 50 ms while scrolling"] = page.evaluate("() => window.longTasks.length")
    page.close()
    return found


def _open(page: Page, lab: Lab) -> None:
    page.goto(f"{lab.url}lab?token={lab.token}&reset")
    page.wait_for_selector(PANEL, state="attached", timeout=240_000)
    page.evaluate("() => window.jupyterapp.commands.execute('mljupyter:show-panel')")


def _change(crowd: Crowd) -> None:
    state = "Deleting" if crowd.rows[0]["state"] == "Transitioning" else "Transitioning"  # nobody is notified
    crowd.set(*range(10), state=state)


def _type(page: Page) -> None:
    search = page.locator(f"{PANEL} input[type=search]")
    search.press_sequentially("endpoint-0"[len(search.input_value()) % 10])


def _work(page: Page, link: CDPSession, act: Any, times: int) -> float:
    """Return the median of the page's work after something was done, in milliseconds."""
    works = []
    for _ in range(times):
        before = _tasks(link)
        act()
        page.wait_for_timeout(300)
        works.append(1000 * (_tasks(link) - before))
    return round(statistics.median(works), 1)


def _idle(page: Page, seconds: float) -> float:
    link = page.context.new_cdp_session(page)
    link.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.wait_for_timeout(10_000)
    before, began = _tasks(link), time.perf_counter()
    page.wait_for_timeout(1000 * seconds)
    share = (_tasks(link) - before) / (time.perf_counter() - began)
    link.detach()
    return round(100 * share, 2)


def _tasks(link: CDPSession) -> float:
    metrics = {metric["name"]: metric["value"] for metric in link.send("Performance.getMetrics")["metrics"]}
    return float(metrics["TaskDuration"])


if __name__ == "__main__":
    main()
