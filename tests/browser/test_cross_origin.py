"""A web page of another origin in a real browser, which sends requests with a key to an endpoint."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext

from mljupyter.spec import Authentication
from tests.system.conftest import Machine, machine, machines, shared_machine  # noqa: F401 - fixtures

pytestmark = pytest.mark.system
SHARES_MACHINE = True
ASKS = """async ([uri, key]) => {
    try {
        const headers = {"Content-Type": "application/json", Authorization: "Bearer " + key};
        const answer = await fetch(uri, {method: "POST", headers, body: "[1]"});
        return [answer.status, await answer.json(), answer.headers.has("x-request-id")];
    } catch (error) {
        return [0, String(error), false];
    }
}"""


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "index.html").write_text("<!doctype html><title>A page of another origin</title>")
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_page_scores_with_a_key_where_its_origin_is_allowed_and_can_read_errors(
    context: BrowserContext,
    machine: Machine,  # noqa: F811
    origin: str,
) -> None:
    def endpoint(name: str, origins: str) -> tuple[str, str]:
        variables = {"AML_CORS_ORIGINS": origins}
        spec = machine.spec(name, authentication=Authentication.KEY, environmentVariables=variables)
        return str(machine.healthy(spec).status.scoring_uri), machine.client.keys(name)[0]

    page = context.new_page()
    page.goto(origin)

    def ask(uri: str, key: str) -> Any:
        return page.evaluate(ASKS, [uri, key])

    for name, origins in (("listed", f"https://example.org,{origin}"), ("everybody", "*")):
        uri, key = endpoint(name, origins)
        assert ask(uri, key)[::2] == [200, True]
        status, refusal, _ = ask(uri, "wrong")
        assert (status, refusal["code"]) == (401, "Unauthorized")
    uri, key = endpoint("others", "https://example.org")
    assert ask(uri, key)[:2] == [0, "TypeError: Failed to fetch"]
    page.close()
