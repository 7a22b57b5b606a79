"""One JupyterLab and one browser for all tests; a new page for each."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from playwright.sync_api import Error as PageError

from tests.browser.lab import CHROMIUM, PANEL, Lab, Notebook, launched, notebook, running
from tests.leftovers import end_what_was_started_below
from tests.waiting import HANG_SECONDS, wait_until

RESOLVER = "--host-resolver-rules=MAP *.example 127.0.0.1"  # to the browser, a name of this machine is another machine
SEEN = {"panel": PANEL, "tab": "#jp-main-dock-panel > .jp-mod-current, .lm-DockPanel-widget", "dialog": ".jp-Dialog"}
SEEN_CHARACTERS = 3000
SEEN_WITHIN_MS = 10_000
SCREENSHOTS = os.environ.get("MLJUPYTER_SCREENSHOTS")


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium, without a window; gone before other tests run, whose event loops its driver would not let start."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium; make chromium installs Debian's")
    expect.set_options(timeout=HANG_SECONDS * 1000)
    with sync_playwright() as playwright:
        found = launched(playwright, RESOLVER)
        yield found
        found.close()


@pytest.fixture(scope="package")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """Return what all pages share: the browser keeps JupyterLab's scripts, compiled, from one page to the next.

    Pages are as wide as a laptop's screen, and high enough for the longest form.
    """
    found = browser.new_context(
        viewport={"width": 1280, "height": 1200}, device_scale_factor=1, reduced_motion="reduce"
    )
    found.set_default_timeout(HANG_SECONDS * 1000)
    yield found
    found.close()


@pytest.fixture(scope="package")
def lab(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """JupyterLab on an empty directory, with a home of its own."""
    home = tmp_path_factory.mktemp("home")
    directory = tmp_path_factory.mktemp("notebooks")
    try:
        with running(directory, home) as found:
            yield found
    finally:
        end_what_was_started_below(home / "mljupyter")


@pytest.fixture(scope="package")
def line_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fitted model in a file. To import its library takes longer than to register it."""
    import joblib
    from sklearn.linear_model import LinearRegression

    path = tmp_path_factory.mktemp("model") / "line.pkl"
    joblib.dump(LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0]), path)
    return path


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to the report of a failed test the parts of the page that a person would look at."""
    report = yield
    page = getattr(item, "funcargs", {}).get("page")
    if report.failed and report.when == "call" and isinstance(page, Page) and not page.is_closed():
        report.sections.append(("page", seen(page)))
    return report


def seen(page: Page) -> str:
    """Return the panel, the open tab and the dialogs of a page, as text."""
    found = []
    for name, selector in SEEN.items():
        for part in page.locator(selector).filter(visible=True).all():
            with suppress(PageError):  # it has gone, or the page does not answer any more
                found.append(f"{name}:\n{part.aria_snapshot(timeout=SEEN_WITHIN_MS)[:SEEN_CHARACTERS]}")
    return "\n\n".join([page.url, *found])


@pytest.fixture
def page(context: BrowserContext, lab: Lab) -> Iterator[Page]:
    """Return a page; when it is closed, its kernels and what they have deployed are gone, too."""
    found = context.new_page()
    yield found
    found.close()
    lab.end_kernels()

    def is_clean() -> bool:
        end_what_was_started_below(lab.home / "mljupyter")
        shutil.rmtree(lab.home / "mljupyter", ignore_errors=True)
        return not (lab.home / "mljupyter").exists()

    wait_until(is_clean, "nothing of the last page is left")  # a tab of the server may have been asking at that moment


@pytest.fixture
def opened(page: Page, lab: Lab, request: pytest.FixtureRequest) -> Callable[..., Notebook]:
    """Return a function that opens a notebook with the given cells, or a copy of a file."""

    def open_notebook(*cells: str, path: Path | None = None) -> Notebook:
        name = f"{request.node.name}.ipynb"
        if path is not None:
            shutil.copy(path, lab.directory / name)
            shutil.copytree(path.parent / "images", lab.directory / "images", dirs_exist_ok=True)
        else:
            notebook(list(cells), lab.directory / name)
        found = Notebook(page, lab, name)
        found.open()
        return found

    return open_notebook


@pytest.fixture
def shot(page: Page) -> Callable[..., None]:
    """Return a function that keeps a picture of the page, or of one element of it, in MLJUPYTER_SCREENSHOTS.

    Without that variable it only waits for the element.
    """

    def take(name: str, selector: str | None = None) -> None:
        element = page.locator(selector or "body").first
        if selector is not None:  # the body of JupyterLab has no height of its own, and counts as hidden
            element.wait_for()
        if SCREENSHOTS is None:
            return
        path = Path(SCREENSHOTS).absolute() / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        if selector is None:
            page.screenshot(path=path)
        else:
            element.screenshot(path=path)
        _make_small(path)

    return take


def _make_small(path: Path) -> None:
    """Keep a picture with 256 colours: it looks the same, and the repository has to carry it."""
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(
            path, optimize=True
        )
