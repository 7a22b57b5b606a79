"""The side panel behind a real JupyterHub, whose browser sees another machine than the one that endpoints run on."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, WebSocket, expect

from tests.browser.hub import HOST, USER, Hub, running_hub
from tests.browser.lab import PANEL, notebook, to_panel
from tests.browser.test_jupyter_notebook import check_notebook
from tests.browser.test_side_panel import choose, press
from tests.leftovers import end_what_was_started_below
from tests.waiting import COMMAND_SECONDS, wait_until

pytestmark = pytest.mark.jupyter
DEPLOY = """
from sklearn.linear_model import LinearRegression
from mljupyter.core import Model, Webservice, Workspace
from mljupyter.core.webservice import AksWebservice
import joblib
ws = Workspace.create("default", exist_ok=True)
joblib.dump(LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0]), "line.pkl")
model = Model.register(ws, "line.pkl", "line", model_framework=Model.Framework.SCIKITLEARN)
size = AksWebservice.deploy_configuration(auth_enabled=True, autoscale_enabled=False, num_replicas=1)
service = Model.deploy(ws, "line", [model], deployment_config=size, deployment_target=ws.compute_targets["local"])
service.wait_for_deployment()
assert service.state == "Healthy", service.get_logs()
print(service.get_keys()[0])
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    place = tmp_path_factory.mktemp("hub")
    try:
        with running_hub(place) as found:
            yield found
    finally:
        end_what_was_started_below(place)


@pytest.fixture(scope="module")
def key(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the key of an endpoint of the user."""
    done = subprocess.run(
        [sys.executable, "-c", DEPLOY],
        cwd=tmp_path_factory.mktemp("model"),
        env=hub.environment,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def hub_page(hub: Hub, key: str, context: BrowserContext) -> Iterator[Page]:
    """Return the user's JupyterLab with the side panel."""
    page = context.new_page()
    page.sent = []  # type: ignore[attr-defined]
    page.told = []  # type: ignore[attr-defined]
    page.on("request", lambda request: page.sent.append((request.url, request.post_data or "")))  # type: ignore[attr-defined]
    page.pending = set()  # type: ignore[attr-defined]
    page.on("request", lambda request: page.pending.add(request))  # type: ignore[attr-defined]
    for end in ("requestfinished", "requestfailed"):
        page.on(end, lambda request: page.pending.discard(request))  # type: ignore[attr-defined, call-overload]
    page.on("websocket", lambda socket: listen(page, socket))
    hub.log_in(page)
    to_panel(page)
    yield page
    page.close()


def listen(page: Page, socket: WebSocket) -> None:
    page.sent.append((socket.url, ""))  # type: ignore[attr-defined]
    if "mljupyter/channel" in socket.url:
        socket.on("framereceived", lambda data: page.told.append(str(data)))  # type: ignore[attr-defined]


def test_an_endpoint_is_tried_through_the_server_and_its_key_stays_there(hub_page: Page, hub: Hub, key: str) -> None:
    page, panel = hub_page, hub_page.locator(PANEL)
    expect(panel.locator("li", has_text="line").first).to_contain_text("Healthy")
    choose(page, "line", "Try it")
    page.get_by_role("textbox", name="Request", exact=True).fill('{"data": [[3.0]]}')
    press(page, page.get_by_role("button", name="Send", exact=True))
    expect(page.get_by_text("Answered in")).to_be_visible()
    choose(page, "line", "Monitor")
    expect(page.locator(".mljlab-View .mlj-panel")).to_contain_text("Requests per second")

    asked = [url for url, _ in page.sent if not url.startswith(("blob:", "data:"))]  # type: ignore[attr-defined]
    assert {re.match(r"\w+://([^:/]+)", url)[1] for url in asked} == {HOST}  # type: ignore[index]
    assert any(f"/user/{USER}/mljupyter/channel" in url for url in asked)
    told = page.told  # type: ignore[attr-defined]
    assert any("line" in each for each in told)
    assert not [each for each in (*told, *map(str, page.sent), page.content()) if key in each]  # type: ignore[attr-defined]


def test_an_address_that_the_browser_cannot_reach_is_shown_as_such(hub_page: Page) -> None:
    panel = hub_page.locator(PANEL)
    press(hub_page, panel.get_by_role("button", name="Versions of line"))
    address = panel.locator(".mljlab-uri")
    expect(address).to_contain_text("/line/score")
    expect(address).to_contain_text("only on the machine of the Jupyter server")


def test_an_action_passes_the_protection_of_the_hub_against_other_sites(hub_page: Page) -> None:
    choose(hub_page, "line", "Scale")
    hub_page.get_by_role("dialog").get_by_role("textbox").fill("2")
    hub_page.keyboard.press("Enter")
    expect(hub_page.locator(PANEL).locator("li", has_text="line").first).to_contain_text("2/2 replicas")


def test_status_bar_running_section_menu_and_settings_of_jupyterlab_have_their_part(hub_page: Page) -> None:
    page = hub_page
    expect(page.locator("#jp-main-statusbar").get_by_role("button", name="1 endpoint")).to_be_visible()
    page.evaluate("() => window.jupyterapp.shell.activateById('jp-running-sessions')")
    running = page.locator("#jp-running-sessions")
    expect(running.get_by_text("line", exact=True)).to_be_visible()
    page.evaluate("() => window.jupyterapp.commands.execute('settingeditor:open', { query: 'mljupyter' })")
    expect(page.get_by_text("A deployment has ended").first).to_be_visible()
    page.get_by_role("menuitem", name="View", exact=True).click()
    page.get_by_role("menuitem", name="Show endpoints").click()
    expect(page.locator(PANEL)).to_be_visible()


def test_another_extension_gets_the_endpoints_by_the_token(hub_page: Page) -> None:
    names = hub_page.evaluate(
        """async () => {
            const { IMLJupyter } = (await window._JUPYTERLAB['mljupyter-labextension'].get('./index'))();
            const { endpoints } = await window.jupyterapp.resolveRequiredService(IMLJupyter);
            return [...endpoints.rows.keys()];
        }"""
    )
    assert names == ["line"]


def test_an_open_panel_is_no_activity_that_keeps_the_server_alive(hub_page: Page, hub: Hub) -> None:
    told = hub_page.told  # type: ignore[attr-defined]
    # JupyterLab asks for kernels and terminals while it is visible, which does count.
    hub_page.route(re.compile("/api/"), lambda route: route.abort())

    def has_asked() -> bool:
        hub_page.evaluate("() => 1")
        return not any("/api/" in request.url for request in hub_page.pending)  # type: ignore[attr-defined]

    wait_until(has_asked, "what it has asked before is answered")
    with hub.client() as client:
        before = client.get("api/status").raise_for_status().json()["last_activity"]
        seen = len(told)
        client.get("mljupyter/workspaces/default/models").raise_for_status()
        wait_until(lambda: hub_page.evaluate("() => 1") and len(told) > seen + 2, "the panel hears of its endpoints")
        assert client.get("api/status").json()["last_activity"] == before


def test_the_oldest_jupyter_notebook_has_the_panel_too(hub: Hub, hub_page: Page, context: BrowserContext) -> None:
    notebook(["1 + 1"], hub.directory / "beside.ipynb")
    page = context.new_page()  # it has the login of the other one
    page.goto(f"{hub.url}user/{USER}/notebooks/beside.ipynb")
    check_notebook(page, context)
    page.close()
