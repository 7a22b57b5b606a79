"""The live panels in a real JupyterLab: they follow the load, act, and survive a reload and a new kernel."""

from __future__ import annotations

import re
from collections.abc import Callable

import pandas as pd
from PIL import Image
from playwright.sync_api import Locator, expect

from tests.browser.lab import Notebook, parted_numbers, serious_problems
from tests.waiting import wait_until

PREPARE = """
%load_ext mljupyter
%mlj workspace {name} --create -o ws
"""
SCRIPT = """%%score sleeper
import time
def init():
    print("ready to score")
def run(data):
    time.sleep(0.05)
    return 1
"""
LOAD = """
import threading
import httpx
endpoint = ws.webservices["{name}"]
headers = {{"Authorization": f"Bearer {{endpoint.get_keys()[0]}}"}}
stop = threading.Event()
def send():
    with httpx.Client(headers=headers) as client:
        while not stop.is_set():
            client.post(endpoint.scoring_uri, content=b"1")
threads = [threading.Thread(target=send, daemon=True) for _ in range({clients})]
for thread in threads: thread.start()
"""
TALKING = """%%score talks
import logging
def init():
    print("the weights are read")
def run(data):
    logging.getLogger("scoring").warning("asked: %s", data)
    return 1
"""
BROKEN = """%%score broken
def init():
    raise OSError("no such weights")
def run(data):
    return 1
"""
STOP = "stop.set()\nfor thread in threads: thread.join()"
AGAIN = """
%load_ext mljupyter
%mlj workspace watched
"""
VERSIONS = """
from pathlib import Path
from mljupyter.core import AksEndpoint, InferenceConfig, Model
def config(milliseconds):
    Path(f"after_{milliseconds}.py").write_text(
        f"import time\\ndef init(): pass\\ndef run(data): time.sleep({milliseconds} / 1000)")
    return InferenceConfig(entry_script=f"after_{milliseconds}.py")
both = Model.deploy(ws, "both", [], config(80), AksEndpoint.deploy_configuration(
    version_name="blue", traffic_percentile=50, autoscale_enabled=False, num_replicas=1))
both.wait_for_deployment()
both.create_version(
    "green", inference_config=config(10), traffic_percentile=50, autoscale_enabled=False, num_replicas=1)
both.wait_for_deployment()
"""


def looks_right(notebook: Notebook, shot: Callable[..., None], name: str, selector: str) -> None:
    """Keep a picture in each theme, and let axe look at it, also where it is narrow; no number loses its unit."""
    notebook.page.set_viewport_size({"width": 1280, "height": 1700})
    for theme in notebook.themes():
        notebook.theme(theme)
        shot(f"{name}-{theme}", selector)
        assert serious_problems(notebook.page, selector) == []
    for width in (700, 520):
        notebook.page.set_viewport_size({"width": width, "height": 1700})
        assert parted_numbers(notebook.page, selector) == []
    assert serious_problems(notebook.page, selector) == []


def number(panel: Locator, label: str) -> Locator:
    """Return the number below a label."""
    return panel.locator(".mlj-now li").filter(has_text=label).locator("b")


def test_the_monitor_follows_the_load_acts_and_comes_back(
    opened: Callable[..., Notebook], shot: Callable[..., None]
) -> None:
    notebook = opened(
        PREPARE.format(name="watched"),
        SCRIPT,
        "%deploy watched --score sleeper",
        LOAD.format(name="watched", clients=4),
        "%monitor watched",
        STOP,
        AGAIN,
    )
    for cell in range(5):
        notebook.run(cell)
    page = notebook.page
    panel = page.get_by_role("region", name="watched", exact=True)
    expect(panel.get_by_text("Healthy")).to_be_visible()
    expect(panel.get_by_role("list", name="Decisions")).to_contain_text("run or wait")
    expect(number(panel, "Requests per second")).to_have_text(re.compile("^[1-9]"))
    panel.get_by_role("button", name="Scale").click()
    page.keyboard.press("Tab")
    expect(panel.get_by_label("Replicas, or minimum:maximum")).to_be_focused()
    page.keyboard.type("2")
    page.keyboard.press("Enter")
    expect(panel.get_by_text("watched gets 2 replicas.")).to_be_visible()
    expect(number(panel, "Replicas ready")).to_have_text("2 / 2")
    replica_logs = panel.get_by_role("button", name="Log of watched-")
    expect(replica_logs).to_have_count(2)  # those that the autoscaler had started are gone
    replica_logs.first.click()
    expect(panel.get_by_role("log")).to_contain_text("ready to score")
    panel.get_by_text("Log of watched-").click()
    looks_right(notebook, shot, "monitor", ".mlj-monitor")
    notebook.run(5)
    notebook.save()
    notebook.reload(panel.get_by_text("Healthy"))
    notebook.restart_kernel()
    expect(page.get_by_text("The kernel has ended. Run the cell again")).to_be_visible()
    saved = page.locator(".mlj-static")
    expect(saved).to_be_hidden()
    notebook.save()
    notebook.reload(saved)  # opened again, without the kernel that knew the panel
    expect(saved.get_by_role("table")).to_contain_text("watched")
    expect(saved).to_contain_text("%monitor watched shows it live again.")
    expect(page.get_by_text("Error displaying widget").filter(visible=True)).to_have_count(0)
    notebook.run(6)
    notebook.run(4)
    expect(page.get_by_role("region", name="watched", exact=True).get_by_text("Healthy")).to_be_visible()
    assert notebook.errors() == []


def test_a_chart_is_read_with_the_mouse_and_zoomed_together_with_the_others(
    opened: Callable[..., Notebook], shot: Callable[..., None]
) -> None:
    notebook = opened(
        PREPARE.format(name="charted"),
        SCRIPT,
        "%deploy charted --score sleeper",
        LOAD.format(name="charted", clients=2),
        "%monitor charted",
        STOP,
    )
    for cell in range(5):
        notebook.run(cell)
    page = notebook.page
    panel = page.get_by_role("region", name="charted", exact=True)
    latency = panel.locator(".mlj-chart").filter(has_text="Latency")
    traffic = panel.locator(".mlj-chart").filter(has_text="Requests per second")
    plot = latency.locator(".u-over")
    expect(latency.locator(".mlj-legend li").first).to_contain_text(re.compile(r"p50\d.*\sms"))
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    assert box is not None
    middle, end, height = box["x"] + box["width"] / 2, box["x"] + box["width"] - 2, box["y"] + box["height"] / 2

    page.mouse.move(end, height)
    moment = latency.locator(".mlj-moment")
    expect(moment).to_have_text(re.compile(r"^\d\d:\d\d:\d\d$"))
    expect(traffic.locator(".mlj-moment")).to_have_text(re.compile(r"^\d\d:\d\d:\d\d$"))
    expect(traffic.locator(".mlj-legend b")).to_have_text(re.compile(r"^[\d.]+$"))

    page.mouse.move(middle, height)
    page.mouse.down()
    page.mouse.move(end, height, steps=5)
    page.mouse.up()
    reset = panel.get_by_role("button", name="Reset zoom")
    expect(reset).to_be_visible()

    def show_the_same() -> bool:
        labels = [chart.locator(".mlj-plot").get_attribute("aria-label") or "" for chart in (latency, traffic)]
        shown = [re.search(r"(\d\d:\d\d:\d\d) to (\d\d:\d\d:\d\d)", label) for label in labels]
        return shown[0] is not None and shown[1] is not None and shown[0][0] == shown[1][0]

    wait_until(show_the_same, "both charts show the same period")
    for theme in notebook.themes():
        notebook.theme(theme)
        shot(f"monitor-zoomed-{theme}", ".mlj-monitor")
    plot.dblclick()
    expect(reset).to_be_hidden()
    latency.locator(".mlj-plot").focus()
    page.keyboard.press("+")
    expect(reset).to_be_visible()
    page.keyboard.press("Escape")
    expect(reset).to_be_hidden()
    keeps_what_it_shows(panel)
    notebook.run(5)
    assert notebook.errors() == []


def keeps_what_it_shows(panel: Locator) -> None:
    """Check that charts stand still while they are paused, and are saved as a table and as a picture."""
    page, description = panel.page, panel.locator(".mlj-chart .mlj-plot").first
    pause = panel.get_by_role("button", name="Pause")

    def table() -> tuple[str, pd.DataFrame]:
        with page.expect_download() as found:
            panel.get_by_role("button", name="CSV").click()
        return found.value.suggested_filename, pd.read_csv(found.value.path(), parse_dates=["time"])

    # The first seconds also have the requests of %deploy for the description of the API, which take less.
    wait_until(lambda: table()[1]["Latency (ms): p50"].count() >= 5, "most seconds are of the load")
    pause.press("Enter")
    expect(pause).to_have_attribute("aria-pressed", "true")

    def period() -> str:
        found = re.search(r"\d\d:\d\d:\d\d to \d\d:\d\d:\d\d", description.get_attribute("aria-label") or "")
        assert found is not None
        return found.group()  # values of the last second may still come

    before = period()
    name, frame = table()
    with page.expect_download() as picture:
        panel.get_by_role("button", name="PNG").click()
    assert [name, picture.value.suggested_filename] == ["charted.csv", "charted.png"]
    assert frame["time"].is_monotonic_increasing and frame["time"].dt.tz is not None
    assert frame["Latency (ms): p50"].median() >= 50, "a request takes that long"
    assert frame["Requests per second: charted"].max() > 1
    assert frame.columns.is_unique
    with Image.open(picture.value.path()) as image:
        box = panel.locator(".mlj-charts").bounding_box()
        assert box is not None and abs(image.width - box["width"]) <= 1
        colours = image.convert("RGB").getcolors(2**24)
        assert colours is not None and len(colours) > 20, "charts and their words are drawn"
    requests = number(panel, "Requests per second")
    seen = requests.inner_text()
    expect(requests).not_to_have_text(seen)  # the numbers go on
    assert period() == before
    pause.press("Enter")
    wait_until(lambda: period() != before, "the charts go on")


def test_versions_are_compared_while_they_serve_and_one_is_promoted(
    opened: Callable[..., Notebook], shot: Callable[..., None]
) -> None:
    notebook = opened(
        PREPARE.format(name="compared"),
        VERSIONS,
        LOAD.format(name="both", clients=2),
        "%mlj compare both --live",
        STOP,
    )
    for cell in range(4):
        notebook.run(cell)
    page = notebook.page
    panel = page.get_by_role("region", name="both: versions compared")
    expect(panel.get_by_text(re.compile(r"faster than the control: .*×.*; no difference in errors\."))).to_be_visible()
    looks_right(notebook, shot, "comparison", ".mlj-comparison")
    panel.get_by_role("button", name="Promote a version").focus()
    page.keyboard.press("Enter")
    expect(panel.get_by_label("Give all requests to")).to_be_focused()
    page.keyboard.press("Tab")
    expect(panel.locator("button:focus")).to_be_enabled()
    page.keyboard.press("Enter")
    expect(panel.get_by_text("green is default and control")).to_be_visible()
    expect(panel.locator("thead")).to_contain_text("green control")
    notebook.run(4)
    assert notebook.errors() == []


def test_a_log_is_followed_searched_and_a_failing_stage_is_open(
    opened: Callable[..., Notebook], shot: Callable[..., None]
) -> None:
    notebook = opened(
        PREPARE.format(name="logged"),
        TALKING,
        "%deploy talker --score talks\n%logs talker -f",
        "%invoke talker [1]",
        BROKEN,
        "%deploy breaks --score broken --panel",
    )
    for cell in range(4):
        notebook.run(cell)
    page = notebook.page
    panel = page.get_by_role("region", name="Log of talker")
    log = panel.get_by_role("log")
    expect(panel.get_by_text("1 of 1 ready")).to_be_visible()
    expect(log).to_contain_text("asked: [1]")
    panel.get_by_role("searchbox").fill("ASKED")
    expect(log.locator("div:visible")).to_have_count(1)
    looks_right(notebook, shot, "log", ".mlj-log-panel")
    notebook.run(4)
    notebook.run(5)
    broken = page.get_by_role("region", name="Log of breaks")
    expect(broken.locator(".mlj-stages pre:visible")).to_contain_text("no such weights")
    looks_right(notebook, shot, "log-failed", "[aria-label='Log of breaks']")
