"""The pictures of the documentation, taken anew: ``make screenshots``.

Not a test, and not collected as one: it takes a minute of load to look like work.
"""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.lab import PANEL, THEMES, Lab, Notebook, open_section, show_theme, to_panel, wait_started
from tests.browser.test_panels import LOAD, PREPARE, STOP, VERSIONS
from tests.quickstart import code

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs" / "images" / "panels"
TOUR_PICTURES = ROOT / "docs" / "images" / "tour"
LAB_PICTURES = ROOT / "docs" / "images" / "jupyterlab"
TOUR = ROOT / "notebooks" / "00-tour.ipynb"
_TOUR_FRAMES = 16  # of each rollout, about as many seconds
MORE = """
more = [threading.Thread(target=send, daemon=True) for _ in range(6)]
for thread in more: thread.start()
threads += more
"""


@pytest.fixture(autouse=True)
def _directory() -> None:
    PICTURES.mkdir(exist_ok=True)
    TOUR_PICTURES.mkdir(exist_ok=True)
    LAB_PICTURES.mkdir(exist_ok=True)


def taken(page: Page, selector: str) -> Image.Image:
    """Return a picture of an element in few colours: it is of lines and text."""
    picture = Image.open(io.BytesIO(page.locator(selector).first.screenshot()))
    return picture.convert("RGB").quantize(192, dither=Image.Dither.NONE)


def in_both_themes(notebook: Notebook, name: str, selector: str) -> None:
    """Keep a picture of an element in each theme."""
    for theme in THEMES:
        notebook.theme(theme)
        taken(notebook.page, selector).save(PICTURES / f"{name}-{theme}.png", optimize=True)
    notebook.theme("light")


def test_monitor_and_comparison(opened: Callable[..., Notebook]) -> None:
    notebook = opened(
        PREPARE.format(name="pictures"),
        VERSIONS.replace("autoscale_enabled=False, num_replicas=1", "autoscale_enabled=True, autoscale_max_replicas=6"),
        LOAD.format(name="both", clients=2),
        "%monitor both --window 1m",
        MORE,
        "%mlj compare both --live",
        STOP,
    )
    page = notebook.page
    page.set_viewport_size({"width": 1280, "height": 1800})
    for cell in range(4):
        notebook.run(cell)
    assert notebook.errors() == []
    frames = []
    for second in range(26):
        if second == 8:
            notebook.run(4)
        page.locator(".mlj-monitor").scroll_into_view_if_needed()
        frames.append(taken(page, ".mlj-monitor").crop((0, 0, 1080, 560)).resize((720, 373)))
        page.wait_for_timeout(1400)
    frames[0].save(
        PICTURES / "monitor.gif", save_all=True, append_images=frames[1:], duration=400, loop=0, optimize=True
    )
    in_both_themes(notebook, "monitor", ".mlj-monitor")
    notebook.run(5)
    expect(page.locator(".mlj-verdicts")).to_contain_text("faster")
    in_both_themes(notebook, "comparison", ".mlj-comparison")
    notebook.run(6)


def test_tour(opened: Callable[..., Notebook]) -> None:
    cells = code(json.loads(TOUR.read_text(encoding="utf-8")))
    live = next(number for number, cell in enumerate(cells) if cell.startswith("%monitor"))
    cells[live] = "%monitor diabetes --window 1m"
    # The page must hear of the panel: a cell that waits would hold its messages back.
    cells = [cell.replace(" --wait", "") if cell.startswith("%rollout") else cell for cell in cells]
    ended = next(number for number, cell in enumerate(cells) if cell.startswith("%undeploy"))
    notebook = opened(*cells)
    page = notebook.page
    page.set_viewport_size({"width": 1280, "height": 1500})
    for cell in range(live + 1):
        notebook.run(cell)
    panel = page.locator(".mlj-monitor")
    panel.get_by_text("Healthy").wait_for()
    frames: list[Image.Image] = []

    def film(count: int) -> None:
        for _ in range(count):
            panel.scroll_into_view_if_needed()
            frames.append(taken(page, ".mlj-monitor").crop((0, 0, 1080, 405)).resize((720, 270)))
            page.wait_for_timeout(1000)

    film(2)
    notebook.run(live + 1)
    film(_TOUR_FRAMES)
    for cell in range(live + 2, live + 5):
        notebook.run(cell)
        film(1)
    film(_TOUR_FRAMES)
    for cell in range(live + 5, ended - 1):
        notebook.run(cell)
    frames[0].save(
        TOUR_PICTURES / "tour.gif",
        save_all=True,
        append_images=frames[1:],
        duration=[400] * (len(frames) - 1) + [3000],
        loop=0,
        optimize=True,
    )
    notebook.run(ended - 1)
    chart = notebook.cell(ended - 1).locator(".js-plotly-plot, .plotly-graph-div").first
    chart.wait_for()
    Image.open(io.BytesIO(chart.screenshot())).save(TOUR_PICTURES / "shares.png", optimize=True)
    assert notebook.errors() == []


SERVED = """
import joblib, time
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import LinearRegression, LogisticRegression
from mljupyter.core import Model, Workspace
ws = Workspace.create("default", exist_ok=True)
services = []
for name, estimator, data in (
    ("iris", LogisticRegression(max_iter=1000), load_iris()), ("diabetes", LinearRegression(), load_diabetes())
):
    joblib.dump(estimator.fit(data.data, data.target), f"{name}.pkl")
    model = Model.register(ws, f"{name}.pkl", name, model_framework=Model.Framework.SCIKITLEARN)
    services.append((Model.deploy(ws, name, [model]), {"data": data.data[:5].tolist()}))
for service, _ in services:
    service.wait_for_deployment()
print("ready", flush=True)
import json
while True:
    for service, rows in services:
        service.run(json.dumps(rows))
    time.sleep(0.1)
"""


def test_side_panel(page: Page, lab: Lab, tmp_path: Path) -> None:
    environment = {**os.environ, "MLJUPYTER_HOME": str(lab.home / "mljupyter")}
    command = [sys.executable, "-c", SERVED]
    page.set_viewport_size({"width": 1280, "height": 800})
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as load:
        assert load.stdout is not None
        assert "ready\n" in iter(load.stdout.readline, "")
        page.goto(f"{lab.url}lab?token={lab.token}&reset")
        wait_started(page)
        to_panel(page)
        panel = page.locator(PANEL)
        panel.get_by_role("button", name="iris", exact=True).click()
        panel.get_by_role("button", name="Versions of iris").click()
        open_section(panel, "Models")
        expect(panel.get_by_role("img", name=re.compile("p95 .* ms"))).to_have_count(2)
        page.wait_for_timeout(30_000)  # for charts with something in them
        for theme, title in THEMES.items():
            show_theme(page, title)
            page.wait_for_timeout(2000)
            picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            small = picture.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)  # keeps rare colours
            small.save(LAB_PICTURES / f"side-panel-{theme}.png", optimize=True)
        load.kill()
