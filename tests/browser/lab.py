"""A real JupyterLab server, and a page in a real browser that shows one of its notebooks."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, Playwright, expect
from playwright.sync_api import TimeoutError as PageTimeoutError

from tests.ports import free_port
from tests.waiting import COMMAND_SECONDS, HANG_SECONDS, wait_until

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
LABEXTENSION = Path(__file__).parents[2] / "labextension" / "prebuilt"
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
SERVER_EXTENSION = "mljupyter.labserver"
PANEL = "#mljupyter-endpoints"
_HAS_KEYS = "() => window.jupyterapp?.commands.keyBindings.some(({ command }) => command === 'mljupyter:show-panel')"
_IS_LAID_OUT = """() => {
    const launcher = document.querySelector('.jp-Launcher');
    const main = [...window.jupyterapp.shell.widgets('main')];
    return main.length > 0 && (launcher === null || main.length > 1 || launcher.contains(document.activeElement));
}"""
"""JupyterLab opens the launcher some time after its start if no tab is open, in front of what was opened meanwhile."""
_MOST_TRIES = 10
_NOTICED_MS = 20_000
_LOOK_EVERY = 100
"""Milliseconds between two looks at a page that waits for its kernel. By default, it is drawn anew for each look."""
_SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "docmanager-extension/plugin": {"autosave": False},
    "application-extension/sidebar": {},
}


def launched(playwright: Playwright, *arguments: str) -> Browser:
    """Start Chromium without a window; it does not notice changes of this machine's network (see `chromium`)."""
    return playwright.chromium.launch(
        executable_path=Path(__file__).with_name("chromium"),
        args=["--no-sandbox", *arguments],
        env={**os.environ, "MLJUPYTER_CHROMIUM": str(CHROMIUM)},
    )


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab: where it answers, the directory it shows, and the home of its settings and workspaces."""

    url: str
    token: str
    directory: Path
    home: Path
    restart: Callable[[], None] = lambda: None
    """Kills the server, and starts another one at the same address; kernels end."""

    def address(self, notebook: str) -> str:
        """Return the address that opens a notebook."""
        return f"{self.url}lab/tree/{notebook}?token={self.token}&reset"

    def end_kernels(self) -> None:
        """End all kernels."""
        headers = {"Authorization": f"token {self.token}"}
        with httpx.Client(base_url=f"{self.url}api/", headers=headers, timeout=HANG_SECONDS) as client:
            for session in client.get("sessions").raise_for_status().json():
                client.delete(f"sessions/{session['id']}").raise_for_status()


def prepared(home: Path, theme: str = "light") -> dict[str, str]:
    """Prepare a home for a server with the extension of these sources; return the server's environment.

    Settings, data, workspaces and the files of running servers (`home / "runtime"`) live below it.
    """
    settings = home / "settings"
    chosen = {**_SETTINGS, "apputils-extension/themes": {"theme": THEMES[theme]}}
    for plugin, values in chosen.items():
        path = settings / "@jupyterlab" / f"{plugin}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    place = home / "data" / "labextensions" / "mljupyter-labextension"
    place.parent.mkdir(parents=True)
    place.symlink_to(LABEXTENSION)  # that of these sources, whatever is installed
    runtime = home / "runtime"
    runtime.mkdir(mode=0o700)
    # Controllers reserve their ports in the home directory: those of other tests must see the reservations.
    reservations = Path.home() / ".mljupyter"
    reservations.mkdir(mode=0o700, exist_ok=True)
    (home / reservations.name).symlink_to(reservations)
    return {
        **os.environ,
        "HOME": str(home),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_PREFER_ENV_PATH": "0",  # the extension of these sources goes before that of the environment
        "JUPYTER_RUNTIME_DIR": str(runtime),
        "JUPYTERLAB_SETTINGS_DIR": str(settings),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "IPYTHONDIR": str(home / "ipython"),
        "MLJUPYTER_HOME": str(home / "mljupyter"),
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]),
    }


@contextmanager
def running(directory: Path, home: Path, theme: str = "light", extension: str = SERVER_EXTENSION) -> Iterator[Lab]:
    """Run JupyterLab on a directory until left; its settings, data and workspaces live below `home`.

    Parameters:
        directory: is shown in the file browser.
        home: must be empty.
        theme: one of `THEMES`.
        extension: the module of the server extension; empty for none.

    """
    environment = {**prepared(home, theme), "JUPYTER_TOKEN": secrets.token_hex(16)}
    runtime = home / "runtime"
    arguments = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.root_dir={directory}",
        "--LabApp.expose_app_in_browser=True",
        "--JupyterNotebookApp.expose_app_in_browser=True",
        "--LabApp.extension_manager=readonly",
        f"--ServerApp.jpserver_extensions={ {SERVER_EXTENSION: False, **({extension: True} if extension else {})} }",
    ]
    log = home / "lab.log"
    server: subprocess.Popen[bytes] | None = None

    def start(port: int) -> Any:
        nonlocal server
        for left in runtime.glob("jpserver-*"):
            left.unlink()
        with log.open("wb") as output:
            command = [*arguments, f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
            server = subprocess.Popen(command, env=environment, stdout=output, stderr=output, cwd=directory)
        found = wait_until(lambda: list(runtime.glob("jpserver-*.json")), "the Jupyter server")
        about = wait_until(lambda: _read(found[0]), "the server's address")
        wait_until(lambda: "is running at" in log.read_text(errors="replace"), "the server's start")
        return about

    def end() -> None:
        assert server is not None
        family = [*psutil.Process(server.pid).children(recursive=True), psutil.Process(server.pid)]
        for process in family:  # a kernel that is waiting for something would hold up an orderly end
            with suppress(psutil.NoSuchProcess):
                process.kill()
        server.wait(HANG_SECONDS)

    def restart() -> None:
        end()
        start(about["port"])

    try:
        about = start(free_port())  # which no connection gets while the server is away
        yield Lab(about["url"], about["token"], directory, home, restart)
    finally:
        end()


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except ValueError:
        return None


def wait_started(page: Page) -> None:
    """Wait until JupyterLab, or Jupyter Notebook, has started: keys have commands, and the layout stays as it is."""
    page.wait_for_function(_HAS_KEYS)
    page.wait_for_selector(PANEL, state="attached")
    page.evaluate("() => window.jupyterapp.restored.then(() => null)")
    page.locator("#jupyterlab-splash").wait_for(state="detached")
    page.wait_for_function(_IS_LAID_OUT)


def to_panel(page: Page) -> None:
    """Press the keys for the panel until it has the focus."""
    panel = expect(page.locator(PANEL))
    _repeat(lambda: page.keyboard.press("Control+Alt+e"), lambda: panel.to_be_focused(timeout=_NOTICED_MS))


def open_section(panel: Locator, title: str) -> None:
    """Open a part of the panel, such as ``Models``.

    A list above it that appears just then moves it away from under the mouse: then a person clicks once more.
    """
    part = panel.locator("details", has=panel.page.locator("summary", has_text=title))
    _repeat(part.locator("summary").click, lambda: expect(part).to_have_attribute("open", "", timeout=_NOTICED_MS))


def _repeat(act: Callable[[], None], check: Callable[[], None]) -> None:
    """Do something until a check passes; the last failure of the check is raised."""
    for _ in range(_MOST_TRIES - 1):
        act()
        with suppress(AssertionError):
            check()
            return
    act()
    check()


def show_theme(page: Page, title: str) -> None:
    """Change the theme to one of JupyterLab, such as ``JupyterLab Dark``, and wait until it is shown."""
    page.evaluate("(theme) => { window.jupyterapp.commands.execute('apputils:change-theme', { theme }); }", title)
    page.wait_for_function("(title) => document.body.dataset.jpThemeName === title", arg=title)
    page.locator("#jupyterlab-splash").wait_for(state="detached")


def notebook(cells: list[str], path: Path) -> None:
    """Write a notebook with these code cells."""
    document = {
        "cells": [
            {
                "cell_type": "code",
                "execution_count": None,
                "id": f"cell-{number}",
                "metadata": {},
                "outputs": [],
                "source": source,
            }
            for number, source in enumerate(cells)
        ],
        "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    path.write_text(json.dumps(document))


_NOTE_RUN = """(index) => {
    const cells = [...window.jupyterapp.shell.currentWidget.content.widgets];
    const { model } = cells.filter((cell) => cell.model.type === 'code')[index];
    const note = (_, { name, newValue }) => {
        if (name === 'executionCount' && newValue !== null) {
            model.stateChanged.disconnect(note);
            window.hasRun = true;
        }
    };
    window.hasRun = false;
    model.stateChanged.connect(note);
}"""
"""Note the next end of a code cell in ``window.hasRun``."""


class Notebook:
    """One notebook in a page, driven as a person does: by what is to be seen, and by the keyboard."""

    def __init__(self, page: Page, lab: Lab, name: str) -> None:
        self.page = page
        self.lab = lab
        self.name = name

    def open(self) -> None:
        """Open the notebook in the light theme, and wait until its kernel is there."""
        self.page.goto(self.lab.address(self.name))
        self.wait_kernel()
        wait_started(self.page)
        self.command("application:toggle-left-area")
        self.theme("light")

    def wait_kernel(self) -> None:
        """Wait until the kernel of a page that was just opened is there."""
        try:
            self.wait_idle(60)
        except PageTimeoutError:  # Jupyter misses a kernel that starts too slowly; people load the page again
            self.page.reload()
            self.wait_idle()

    def reload(self, shown: Locator) -> None:
        """Load the page again, and return when something is shown.

        ipywidgets gives a kernel 4 s to send the state of all widgets. After that it may show an error, and people load
        the page again.
        """
        lost = self.page.get_by_text("Error displaying widget")
        began = time.monotonic()
        while time.monotonic() < began + HANG_SECONDS:
            self.page.reload()
            self.wait_idle()
            expect(shown.filter(visible=True).or_(lost).first).to_be_attached()
            if shown.first.is_visible():
                return
        raise AssertionError("each time, ipywidgets did not get the state of the widgets within 4 s")

    def command(self, name: str, **arguments: object) -> None:
        """Execute one of JupyterLab's commands."""
        self.page.evaluate("([name, args]) => { window.jupyterapp.commands.execute(name, args); }", [name, arguments])

    def wait_idle(self, seconds: float = COMMAND_SECONDS) -> None:
        """Wait until the kernel is there and has nothing to do."""
        self.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=seconds * 1000)
        self.page.wait_for_function(
            """() => {
                const panel = window.jupyterapp?.shell.currentWidget;
                const cells = [...(panel?.content?.widgets ?? [])];
                return panel?.sessionContext?.session?.kernel?.status === 'idle'
                    && !cells.some((cell) => cell.model.executionState === 'running');
            }""",
            timeout=seconds * 1000,
            polling=_LOOK_EVERY,
        )

    def run_all(self) -> None:
        """Clear all outputs, run all cells, and wait for the last one."""
        self.page.evaluate(
            """async () => {
                const { commands } = window.jupyterapp;
                await commands.execute('editmenu:clear-all');
                await commands.execute('notebook:run-all-cells');
            }"""
        )
        self.wait_idle()

    def run(self, index: int, seconds: float = COMMAND_SECONDS) -> Locator:
        """Run one code cell, wait until it is done, and return its output area."""
        cell = self.cell(index)
        cell.locator(".cm-content").first.click()
        before = self.sources()
        self.page.evaluate(_NOTE_RUN, index)  # the number of an earlier run says nothing of this one
        self.page.keyboard.press("Shift+Enter")
        self.page.wait_for_function("() => window.hasRun", timeout=seconds * 1000, polling=_LOOK_EVERY)
        assert self.sources()[: len(before)] == before
        return cell.locator(".jp-OutputArea").first

    def cell(self, index: int) -> Locator:
        """Return a code cell."""
        return self.page.locator(".jp-CodeCell").nth(index)

    def sources(self) -> list[str]:
        """Return the text of all code cells, also of those that are not on the screen."""
        found: list[str] = self.page.evaluate(
            """() => {
                const panel = window.jupyterapp.shell.currentWidget;
                return [...panel.content.model.sharedModel.cells].map((cell) => cell.getSource());
            }"""
        )
        return found

    def counts(self) -> list[int | None]:
        """Return the execution count of each code cell; None for one that has not run."""
        found: list[int | None] = self.page.evaluate(
            """() => [...window.jupyterapp.shell.currentWidget.content.model.sharedModel.cells]
                .filter((cell) => cell.cell_type === 'code').map((cell) => cell.execution_count)"""
        )
        return found

    def save(self) -> None:
        """Save the notebook, and wait until it is."""
        self.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")

    def restart_kernel(self) -> None:
        """Restart the kernel without asking, and wait until it is there again."""
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
        self.wait_idle()

    def errors(self) -> list[str]:
        """Return the text of every error output."""
        found: list[str] = self.page.evaluate(
            """() => {
                const panel = window.jupyterapp.shell.currentWidget;
                return [...panel.content.model.sharedModel.cells]
                    .flatMap((cell) => cell.outputs ?? [])
                    .filter((output) => output.output_type === 'error')
                    .map((output) => output.evalue);
            }"""
        )
        return found

    def themes(self) -> list[str]:
        """Return all themes, the one that is shown first: a change takes a second of a processor."""
        shown = self.page.evaluate("() => document.body.dataset.jpThemeName")
        return sorted(THEMES, key=lambda name: THEMES[name] != shown)

    def theme(self, name: str) -> None:
        """Change the theme."""
        show_theme(self.page, THEMES[name])


def saved_tabs(lab: Lab) -> set[str]:
    """Return the ids of our tabs in the layout that JupyterLab has saved last."""
    headers = {"Authorization": f"token {lab.token}"}
    address = f"{lab.url}lab/api/workspaces/default"
    saved = httpx.get(address, headers=headers, timeout=HANG_SECONDS).json()["data"]
    return set(re.findall(r"mljupyter-views:[\w-]+", json.dumps(saved.get("layout-restorer:data", {}).get("main", {}))))


def wait_until_saved(lab: Lab, page: Page) -> None:
    """Wait until the saved layout has the tabs of this page, at least one: it may still be that of an earlier page."""
    shown = """() => [...window.jupyterapp.shell.widgets('main')].map(({ id }) => id)
        .filter((id) => /^mljupyter-[0-9a-f-]{36}$/.test(id)).map((id) => id.replace('-', '-views:'))"""
    wait_until(lambda: set(page.evaluate(shown)) == saved_tabs(lab) != set(), "the layout is saved")


def serious_problems(page: Page, within: str) -> list[str]:
    """Return what axe finds below a selector: the rule, and where it is broken."""
    found = Axe().run(page, context={"include": [[within]]}, options={"resultTypes": ["violations"]})
    return [
        f"{problem['id']}: {problem['help']}: {[node['target'] for node in problem['nodes']]}"
        for problem in found.response["violations"]
    ]


def narrow_problems(page: Page, within: str, shot: Callable[[], None] = lambda: None) -> list[str]:
    """Return what is cut off or covered below a selector when the page is 700 pixels wide; `shot` takes a picture."""
    before = page.viewport_size
    page.set_viewport_size({"width": 700, "height": 1200})
    found: list[str] = page.locator(within).evaluate(
        """async (form) => {
            await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
            const area = form.closest('.jp-OutputArea') ?? form;
            const isCovered = (button) => [...form.querySelectorAll('pre, td, dd')].some((text) => {
                if (!text.checkVisibility()) return false;
                const [one, other] = [button.getBoundingClientRect(), text.getBoundingClientRect()];
                return one.left < other.right && other.left < one.right
                    && one.top < other.bottom && other.top < one.bottom;
            });
            const isCut = (element) => element.getClientRects().length > 0 && !element.closest('.mlj-hidden')
                && element.getBoundingClientRect().right > area.getBoundingClientRect().right + 1;
            return [
                ...[...form.querySelectorAll('button, input, select, pre, p, dd, label')].filter(isCut)
                    .map((element) => `cut off: ${element.outerHTML.slice(0, 100)}`),
                ...[...form.querySelectorAll('.mlj-copy')]
                    .filter((button) => button.checkVisibility() && isCovered(button))
                    .map(() => 'a copy button covers text'),
            ];
        }"""
    )
    shot()
    if before is not None:
        page.set_viewport_size(before)
    return found


def parted_numbers(page: Page, within: str) -> list[str]:
    """Return the texts below a selector in which a line ends between a number and its unit."""
    found: list[str] = page.locator(within).first.evaluate(
        r"""async (view) => {
            await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
            const texts = document.createTreeWalker(view, NodeFilter.SHOW_TEXT);
            const found = [];
            while (texts.nextNode()) {
                const text = texts.currentNode;
                if (text.parentElement.closest('pre, code')) continue;
                for (const match of text.data.matchAll(/\d\s(?:%|(?:ms|s|min|h|d|[KMG]B|cores)\b)/g)) {
                    const range = document.createRange();
                    range.setStart(text, match.index);
                    range.setEnd(text, match.index + match[0].length);
                    const lines = new Set([...range.getClientRects()].map((box) => Math.round(box.top)));
                    if (lines.size > 1) found.push(text.data);
                }
            }
            return found;
        }"""
    )
    return found


def until_offered(form: Page | Locator, button: Locator, press: Callable[[Locator], None] = Locator.click) -> None:
    """Go through the steps of the wizard in a page, or in one tab of it, until a button is there."""
    following = form.get_by_role("button", name="Next", exact=True)
    heading = form.locator("form.mlj h3").first
    for _ in range(8):
        expect(button.or_(following).first).to_be_enabled()
        if button.is_visible():
            break
        before = heading.inner_text()
        press(following)
        expect(heading).not_to_have_text(before)


def text_of(locator: Locator) -> str:
    """Return what a person reads there, with white space folded."""
    return re.sub(r"\s+", " ", locator.inner_text()).strip()
