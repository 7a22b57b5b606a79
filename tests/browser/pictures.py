"""The pictures of the documentation, taken anew: ``make screenshots``.

Not a test, and not collected as one: it takes a minute of load to look like work.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.lab import THEMES, Notebook
from tests.browser.test_panels import LOAD, PREPARE, STOP, VERSIONS

PICTURES = Path(__file__).parents[2] / "docs" / "images" / "panels"
MORE = """
more = [threading.Thread(target=send, daemon=True) for _ in range(6)]
for thread in more: thread.start()
threads += more
"""


@pytest.fixture(autouse=True)
def _directory() -> None:
    PICTURES.mkdir(exist_ok=True)


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
