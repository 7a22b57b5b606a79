"""The side panel beside a notebook, and what it does with models, images and the history of an endpoint."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.lab import (
    PANEL,
    Lab,
    Notebook,
    open_section,
    serious_problems,
    show_theme,
    until_offered,
    wait_started,
    wait_until_saved,
)
from tests.testbed import needed
from tests.waiting import COMMAND_SECONDS

FIT = """from pathlib import Path
from time import sleep
from sklearn.linear_model import Ridge
ridge = Ridge().fit([[0.0], [1.0]], [0.0, 2.0])
while not Path("go").exists():
    sleep(0.05)"""
DEPLOY = """
import joblib
from sklearn.linear_model import LinearRegression
from mljupyter.core import Model, Workspace
ws = Workspace.create("default", exist_ok=True)
joblib.dump(LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0]), "line.pkl")
model = Model.register(ws, "line.pkl", "line", model_framework=Model.Framework.SCIKITLEARN)
service = Model.deploy(ws, "line", [model])
service.wait_for_deployment()
"""
IMAGE = """
from mljupyter.core import Image, Workspace
image = Image.register(Workspace.create("gallery", exist_ok=True), "own", {base!r})
image.wait_for_creation()
"""
OTHER_EXTENSION = """async () => {
    // What the build of an extension with the shared package does: the token of the page, not another one.
    const { IMLJupyter } = (await window._JUPYTERLAB['mljupyter-labextension'].get('./extension'))();
    const { commands } = window.jupyterapp;
    window.told = [];
    window.jupyterapp.registerPlugin({
        id: 'other:plugin',
        requires: [IMLJupyter],
        activate: (_, mlj) => {
            mlj.endpoints.changed.connect(() => window.told.push([...mlj.endpoints.rows.keys()].join()));
            commands.addCommand('other:greet', {
                label: 'Greet it', execute: ({ name }) => { window.greeted = name; },
            });
            mlj.menu.add({ command: 'other:greet', rank: 15 });
        },
    });
    await window.jupyterapp.activatePlugin('other:plugin');
}"""
OPEN = "(id) => window.jupyterapp.commands.execute(id)"


def sdk(lab: Lab, place: Path, code: str) -> None:
    """Run code with the SDK in a process that has the workspaces of the page."""
    environment = {**os.environ, "MLJUPYTER_HOME": str(lab.home / "mljupyter")}
    subprocess.run([sys.executable, "-c", code], cwd=place, env=environment, check=True, timeout=COMMAND_SECONDS)


def show_panel(page: Page, lab: Lab) -> None:
    """Open JupyterLab with the side panel and nothing else."""
    page.goto(f"{lab.url}lab?token={lab.token}&reset")
    wait_started(page)
    page.evaluate(OPEN, "mljupyter:show-panel")


def in_both_themes(page: Page, shot: Callable[..., None], name: str, *selectors: str) -> None:
    """Take a picture in the light and in the dark theme, and check what is shown."""
    for theme in ("JupyterLab Dark", "JupyterLab Light"):
        show_theme(page, theme)
        shot(f"{name}-{theme.split()[-1].lower()}")
        for selector in selectors:
            assert serious_problems(page, selector) == []


def test_a_wizard_asks_a_busy_kernel(
    page: Page, lab: Lab, opened: Callable[..., Notebook], shot: Callable[..., None]
) -> None:
    """It offers what the kernel has fitted once that is free, and writes the cell that deploys it."""
    (lab.directory / "go").unlink(missing_ok=True)
    notebook = opened(FIT)
    notebook.cell(0).locator(".cm-content").first.click()
    page.keyboard.press("Control+Enter")
    page.evaluate(OPEN, "mljupyter:deploy")
    name, model = page.get_by_label("Name of the endpoint"), page.get_by_label("Model", exact=True)
    expect(name).to_be_editable()  # the form does not wait for the kernel
    expect(model.locator("option", has_text="fitted in")).to_have_count(0)
    (lab.directory / "go").write_text("")
    expect(model.locator("option").first).to_have_text(f"ridge: Ridge, fitted in {notebook.name}")
    expect(model).to_have_value("estimator ridge")

    insert = page.get_by_role("button", name=f"Insert the line into {notebook.name}")
    until_offered(page, insert)
    expect(page.get_by_role("button", name="Deploy now")).to_have_attribute("aria-disabled", "true")
    shot("wizard-of-a-notebook")
    insert.click()
    expect(page.get_by_text(f"Inserted into {notebook.name}, below its active cell.")).to_be_visible()
    insert.click()
    notebook.command("docmanager:open", path=notebook.name)
    page.wait_for_function(
        "() => window.jupyterapp.shell.currentWidget?.content.model?.sharedModel?.cells.length === 2"
    )
    assert notebook.sources()[1] == "%load_ext mljupyter\n%deploy ridge ridge"  # in the default workspace
    assert notebook.counts() == [1, None]  # the kernel was asked without a trace


def test_a_dead_kernel_ends_no_panel(page: Page, lab: Lab, opened: Callable[..., Notebook], tmp_path: Path) -> None:
    """Panel, tabs and wizards go on; a wizard says that the kernel has lost its estimator, and still inserts a cell."""
    sdk(lab, tmp_path, DEPLOY)
    notebook = opened(FIT.split("\nwhile")[0])
    notebook.run(0)
    page.evaluate(OPEN, "mljupyter:show-panel")
    panel = page.locator(PANEL)
    panel.get_by_role("button", name="line", exact=True).click()
    monitor = page.locator(".mljlab-View", has_text="Requests per second")
    expect(monitor).to_be_visible()
    page.evaluate(OPEN, "mljupyter:deploy")
    model = page.get_by_label("Model", exact=True)
    expect(model.locator("option").first).to_have_text(f"ridge: Ridge, fitted in {notebook.name}")
    model.select_option("estimator ridge")

    page.add_locator_handler(page.locator(".jp-Dialog"), lambda: page.keyboard.press("Escape"))
    page.evaluate(
        """() => {
            const panel = [...window.jupyterapp.shell.widgets('main')].find((one) => one.sessionContext);
            panel.sessionContext.session.kernel.requestExecute({ code: 'import os; os.kill(os.getpid(), 9)' });
        }"""
    )
    lost = page.get_by_text(f"The kernel of {notebook.name} does not have 'ridge' any more")
    expect(lost.first).to_be_visible()
    page.get_by_role("button", name="Next", exact=True).click()
    expect(model).to_have_attribute("aria-invalid", "true")
    sdk(lab, tmp_path, "from mljupyter.core import Workspace\nWorkspace.get('default').webservices['line'].scale(2)")
    expect(panel.locator("li", has_text="line").first).to_contain_text("2/2 replicas")

    model.select_option("line")
    insert = page.get_by_role("button", name=f"Insert the line into {notebook.name}")
    until_offered(page, insert)
    insert.click()
    expect(page.get_by_text(f"Inserted into {notebook.name}, below its active cell.")).to_be_visible()
    page.get_by_role("tab", name="Monitor: line").click()
    expect(monitor).to_be_visible()


def test_a_model_in_use_is_downloaded_but_not_deleted_and_the_history_of_its_endpoint_is_kept_in_a_tab(
    page: Page, lab: Lab, shot: Callable[..., None], tmp_path: Path
) -> None:
    sdk(lab, tmp_path, DEPLOY)
    show_panel(page, lab)
    panel = page.locator(PANEL)
    open_section(panel, "Models")
    with page.expect_download() as started:
        panel.get_by_role("button", name="Download line:1").click()
    assert started.value.suggested_filename == "line.pkl"
    assert Path(started.value.path()).read_bytes() == (tmp_path / "line.pkl").read_bytes()
    expect(panel.get_by_role("button", name="Delete line:1")).to_be_disabled()
    page.evaluate("() => { window.jupyterapp.commands.execute('mljupyter:delete-model', { model: 'line:1' }); }")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Model line:1 is in use")
    dialog.get_by_role("button", name="Ok").click()
    open_section(panel, "Images")
    expect(panel.get_by_text("No images: a deployment to containers or a cluster builds one.")).to_be_visible()

    page.evaluate(OTHER_EXTENSION)
    panel.get_by_role("button", name="Actions on line").click()
    expect(page.locator(".lm-Menu").get_by_role("menuitem").nth(1)).to_have_text("Greet it")
    page.get_by_role("menuitem", name="Greet it").click()
    page.wait_for_function("() => window.greeted === 'line'")
    panel.get_by_role("button", name="Actions on line").click()
    page.get_by_role("menuitem", name="History", exact=True).click()
    events = page.get_by_role("list", name="What has happened").get_by_role("listitem")
    expect(events.first).to_contain_text("created (1)")
    sdk(lab, tmp_path, "from mljupyter.core import Workspace\nWorkspace.get('default').webservices['line'].scale(2)")
    expect(events.first).to_contain_text("versions.line.scaling.replicas: 1 → 2")
    page.wait_for_function("() => window.told.includes('line')")
    page.get_by_label("Events shown").select_option("Deployments")
    expect(events.filter(visible=True)).to_have_count(1)
    page.get_by_label("Events shown").select_option("Everything")
    in_both_themes(page, shot, "panel-history", PANEL, ".mljlab-View")

    wait_until_saved(lab, page)
    page.goto(f"{lab.url}lab?token={lab.token}")
    expect(page.get_by_role("tab", name="History: line")).to_be_visible()
    expect(events.last).to_contain_text("created (1)")


def test_an_image_is_listed_its_build_log_is_a_tab_and_it_is_deleted_after_a_question(
    page: Page, lab: Lab, shot: Callable[..., None], tmp_path: Path
) -> None:
    needed("MLJUPYTER_TEST_DOCKER")
    sdk(lab, tmp_path, IMAGE.format(base=needed("MLJUPYTER_TEST_BASE_IMAGE")))
    show_panel(page, lab)
    panel = page.locator(PANEL)
    panel.get_by_label("Workspace").select_option("gallery")
    open_section(panel, "Images")
    image = panel.get_by_role("listitem").filter(has_text="own:1")
    expect(image).to_contain_text(re.compile(r"[\d.]+ [MG]B · docker · "))
    image.get_by_role("button", name="Build log of own:1").click()
    expect(page.get_by_role("tab", name="Build log: own:1")).to_be_visible()
    expect(page.get_by_role("region", name="Log of own:1")).to_contain_text("Succeeded")
    in_both_themes(page, shot, "panel-images", PANEL, ".mljlab-View")
    image.get_by_role("button", name="Delete image own:1").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Delete image own:1?")
    dialog.get_by_role("button", name="Delete").click()
    expect(panel.get_by_text("No images:")).to_be_visible()


def test_every_command_says_which_arguments_it_takes(page: Page, lab: Lab) -> None:
    page.goto(f"{lab.url}lab?token={lab.token}&reset")
    wait_started(page)
    described = page.evaluate(
        """async () => {
            const { commands } = window.jupyterapp;
            const own = commands.listCommands().filter((id) => id.startsWith('mljupyter:'));
            const found = await Promise.all(own.map(async (id) => [id, (await commands.describedBy(id)).args]));
            return Object.fromEntries(found);
        }"""
    )
    assert len(described) > 20
    assert all(arguments and arguments["type"] == "object" for arguments in described.values()), described
    assert "name" in described["mljupyter:history"]["properties"]
