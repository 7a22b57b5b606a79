"""The routes and the channel of the server extension, with a real endpoint."""

from __future__ import annotations

import inspect
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import websocket

import mljupyter
from mljupyter.labserver.handler import Handler
from mljupyter.labserver.routes import ROUTES
from tests.labserver.conftest import Server
from tests.system.certificates import Files
from tests.waiting import HANG_SECONDS

ROUTER = "import mljupyter.core\nmljupyter.core.Workspace.get('team').router"
DAY = 86400
DEPLOY = """
from sklearn.linear_model import LinearRegression
from mljupyter.core import Model, Workspace
import joblib
ws = Workspace.create("team", exist_ok=True)
joblib.dump(LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0]), "{path}")
model = Model.register(ws, "{path}", "line", model_framework=Model.Framework.SCIKITLEARN)
service = Model.deploy(ws, "line", [model])
service.wait_for_deployment()
assert service.state == "Healthy", service.get_logs()
"""


@pytest.fixture(scope="module")
def line(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the name of an endpoint in the workspace ``team``."""
    server.sdk(DEPLOY.format(path=tmp_path_factory.mktemp("model") / "line.pkl"))
    yield "line"
    server.sdk("from mljupyter.core import Workspace\nWorkspace.get('team').webservices['line'].delete()")


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    """Return a client of the routes."""
    with server.client() as found:
        yield found


@pytest.mark.parametrize("path", [*sorted(ROUTES), "channel"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_no_route_answers_somebody_without_a_token(server: Server, path: str, method: str) -> None:
    address = f"{server.url}mljupyter/{path.replace('([^/]+)', 'x')}"
    answer = httpx.request(method, address, timeout=HANG_SECONDS, follow_redirects=False)
    assert answer.status_code in (302, 403, 405)
    assert answer.status_code != 302 or "/login" in answer.headers["location"]


def test_no_route_has_a_method_of_its_own_that_could_forget_to_ask_who_it_is() -> None:
    for handler in ROUTES.values():
        for name in ("get", "post", "put", "patch", "delete", "head", "options"):
            owner = next(part for part in inspect.getmro(handler) if name in vars(part))
            assert owner is Handler or not owner.__module__.startswith("mljupyter"), (handler, name)


def test_the_channel_refuses_somebody_without_a_token(server: Server) -> None:
    with pytest.raises(websocket.WebSocketBadStatusException, match="403"):
        websocket.create_connection(f"{server.url.replace('http', 'ws', 1)}mljupyter/channel", timeout=HANG_SECONDS)


def test_the_channel_refuses_the_page_of_another_host(server: Server) -> None:
    with httpx.Client(timeout=HANG_SECONDS) as browser:  # a browser sends its cookie along, whatever page asks
        browser.get(f"{server.url}api/contents", params={"token": server.token}).raise_for_status()
        cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    address = f"{server.url.replace('http', 'ws', 1)}mljupyter/channel"
    websocket.create_connection(address, timeout=HANG_SECONDS, cookie=cookie).close()
    with pytest.raises(websocket.WebSocketBadStatusException, match="403"):
        websocket.create_connection(address, timeout=HANG_SECONDS, cookie=cookie, origin="http://evil.example")


def test_version_and_workspaces_are_told(client: httpx.Client, line: str) -> None:
    assert client.get("version").json() == {"version": mljupyter.__version__}
    assert "team" in client.get("workspaces").json()["names"]


def test_a_page_creates_no_workspace_until_something_is_deployed_or_registered(new_server: Server) -> None:
    nothing = {"default": "", "names": []}
    (new_server.home.parent / "line.pkl").write_bytes(b"x")
    with new_server.client() as client, new_server.page() as page:
        assert client.get("workspaces").json() == nothing
        for kind in ("deploy", "attach", "traffic"):
            page.tell(do="open", view=kind, kind=kind, workspace="", given={})
            assert page.hear(lambda message: message.get("view") is not None)["is"] == "view"
            page.tell(do="close", view=kind)
        page.tell(do="open", view="m", kind="monitor", workspace="", given={"name": "line"})
        assert "no workspace yet" in page.hear(lambda message: message.get("view") == "m")["message"]
        page.tell(do="open", view="r", kind="register", workspace="", given={"path": "line.pkl"})
        assert page.hear(lambda message: message.get("view") == "r")["is"] == "view"
        for button in ("next", "next"):
            page.tell(do="tell", view="r", content={"kind": "press", "button": button})
        page.hear(lambda message: message["is"] == "update" and "Register now" in str(message))
        assert client.get("workspaces").json() == nothing
        assert not new_server.home.exists()
        page.tell(do="tell", view="r", content={"kind": "press", "button": "register"})
        page.hear(lambda message: message["is"] == "update" and "line:1" in str(message))
        assert client.get("workspaces").json() == {"default": "default", "names": ["default"]}
        page.tell(do="close", view="r")


def test_a_workspace_that_was_created_again_is_another_one(server: Server, client: httpx.Client) -> None:
    again = "from mljupyter.core import Workspace\nWorkspace.create('again')"
    server.sdk(again)
    with server.page() as page:
        page.tell(do="follow", workspace="again")
        page.hear(lambda message: message["is"] == "endpoints" and message["known"])
        server.sdk("from mljupyter.core import Workspace\nWorkspace.get('again').delete()")
        page.hear(lambda message: message["is"] == "endpoints" and message["gone"])
        assert client.get("workspaces/again/models").status_code == 404
        server.sdk(again)
        assert client.get("workspaces/again/models").json() == []
        page.tell(do="unfollow", workspace="again")
        page.tell(do="follow", workspace="again")
        assert not page.hear(lambda message: message["is"] == "endpoints" and message["known"])["gone"]


def test_an_unknown_workspace_is_an_error_with_the_way_out(client: httpx.Client, line: str) -> None:
    answer = client.get("workspaces/taem/endpoints")
    assert answer.status_code == 404
    assert "Did you mean 'team'?" in answer.json()["message"]
    assert "Workspace.create" in answer.json()["hint"]


def test_an_endpoint_is_listed_shown_changed_and_its_model_is_in_use(client: httpx.Client, line: str) -> None:
    (row,) = client.get("workspaces/team/endpoints").json()["rows"]
    assert (row["name"], row["state"], row["ready"], row["target"]) == ("line", "Healthy", 1, "local")
    assert row["versions"][0]["share"] == 100
    one = client.get("workspaces/team/endpoints/line").json()
    assert list(one) == ["row"]  # a spec has paths and environment variables, which no page needs
    assert one["row"] == row
    assert "line/score" in client.get("workspaces/team/endpoints/line/clients").json()["curl"]
    history = client.get("workspaces/team/endpoints/line/history").json()
    assert history[-1]["action"] == "created"
    assert all("spec" not in entry for entry in history)  # environment variables may hold secrets
    (model,) = client.get("workspaces/team/models").json()
    assert (model["name"], model["version"], model["usedBy"]) == ("line", 1, ["line"])
    assert model["size"] > 0
    targets = {target["name"]: target for target in client.get("workspaces/team/targets").json()}
    assert targets["local"]["problem"] == ""
    assert "line" in str(client.get("workspaces/team/models/line/1").json()["usedBy"])
    refused = client.delete("workspaces/team/models/line/1")
    assert refused.status_code == 400
    assert "line" in refused.json()["message"]
    said = client.post("workspaces/team/endpoints/line/actions/scale", json={"replicas": "2"})
    assert said.status_code == 200, said.text
    assert "2 replicas" in said.json()["said"]
    wrong = client.post("workspaces/team/endpoints/line/actions/scale", json={"replicas": "many"})
    assert wrong.status_code == 400
    assert "many" in wrong.json()["message"]
    missing = client.post("workspaces/team/endpoints/none/actions/restart", json={})
    assert missing.status_code == 404
    assert missing.json()["code"] == "WebserviceNotFound"


BAD_BODIES = [
    "{",
    "[1]",
    '"text"',
    b"\xff\xfe",
    "[" * 100_000,
    '{"replicas": ' * 50_000,
    '{"replicas": ' + "9" * 5000 + "}",
]


@pytest.mark.parametrize("body", BAD_BODIES, ids=lambda body: repr(body[:12]))
def test_a_request_that_is_no_json_object_is_refused_with_the_rule(
    client: httpx.Client, line: str, body: str | bytes
) -> None:
    answer = client.post("workspaces/team/endpoints/line/actions/scale", content=body)
    assert answer.status_code == 400
    assert "JSON" in answer.json()["message"]


@pytest.mark.parametrize("replicas", [None, [1], {"a": 1}, 1e999, "1:" + "9" * 40, "\u202e1", "-1", "x" * 900_000])
def test_a_value_that_breaks_a_rule_is_refused_with_it(client: httpx.Client, line: str, replicas: Any) -> None:
    body = json.dumps({"replicas": replicas})
    answer = client.post("workspaces/team/endpoints/line/actions/scale", content=body)
    assert answer.status_code == 400, answer.text
    assert len(answer.json()["message"]) < 1000
    assert client.post("workspaces/team/endpoints/line/actions/scale", content="x" * 1_000_001).status_code == 413


@pytest.mark.parametrize(
    "name",
    ["line%2Fkeys", "line%2Fhistory", "..%2Fline", "%2E%2E", "%00", "l%C4%B1ne", "%EF%BD%8Cine", "line%0A", "x" * 3000],
)
def test_a_name_in_an_address_is_a_name_and_leads_nowhere_else(client: httpx.Client, line: str, name: str) -> None:
    """``line/keys`` would be another route of the control plane; letters that look like others are not those."""
    place = f"workspaces/team/endpoints/{name}"
    for answer in (
        client.get(place),
        client.get(f"{place}/history"),
        client.get(f"{place}/clients"),
        client.post(f"{place}/actions/restart", json={}),
        client.delete(place),
        client.get(f"workspaces/team/models/{name}/1"),
        client.get(f"workspaces/team/models/line/{name}/content"),
        client.delete(f"workspaces/team/images/{name}/1"),
    ):
        assert answer.status_code == 404, (answer.url, answer.text)
        assert "NotFound" in answer.json()["message"]
    assert client.get(f"workspaces/{name}/endpoints").status_code in (400, 404)
    assert client.get(f"modules/{name}").status_code == 400
    assert client.get("workspaces/team/endpoints/line").status_code == 200


def test_a_change_without_the_token_of_its_form_is_refused(server: Server, line: str) -> None:
    """A page of another site makes a browser send its cookies, and no more."""
    with httpx.Client(timeout=HANG_SECONDS) as browser:
        browser.get(f"{server.url}api/contents", params={"token": server.token}).raise_for_status()
        place = f"{server.url}mljupyter/workspaces/team/endpoints/line"
        assert browser.get(place).status_code == 200
        for answer in (browser.post(f"{place}/actions/restart", json={}), browser.delete(place)):
            assert answer.status_code == 403
            assert "_xsrf" in answer.text


def test_a_page_is_told_of_all_endpoints_and_then_of_changes_alone(server: Server, line: str) -> None:
    with server.page() as page:
        page.tell(do="follow", workspace="team")
        whole = page.hear(lambda message: message["is"] == "endpoints" and bool(message["rows"]))
        assert whole["whole"]
        assert whole["rows"][0]["name"] == "line"
        with server.client() as client:
            client.post("workspaces/team/endpoints/line/actions/scale", json={"replicas": "1:3"})
        changed = page.hear(lambda message: message["is"] == "endpoints")
        assert not changed["whole"]
        assert [row["name"] for row in changed["rows"]] == ["line"]


def test_a_page_gets_the_rates_of_the_endpoints_that_it_shows(server: Server, line: str) -> None:
    server.sdk(
        "from mljupyter.core import Workspace\nWorkspace.get('team').webservices['line'].run('{\"data\": [[1]]}')"
    )
    with server.page() as page:
        page.tell(do="rates", workspace="team", names=["line", "unknown"])
        found = page.hear(lambda message: message["is"] == "rates" and any(message["rates"]["line"]["points"]))
        assert list(found["rates"]) == ["line"]
        assert found["rates"]["line"]["p95"] > 0
        page.tell(do="rates", workspace="team", names="line")
        assert "a list" in page.hear(lambda message: message["is"] == "error")["message"]


def test_a_page_hears_that_the_certificate_of_an_endpoint_ends_soon_and_that_it_was_renewed(
    server: Server, line: str, tmp_path: Path
) -> None:
    files = Files(tmp_path, "localhost", days=20)
    own = f"certificate_file={str(files.certificate)!r}, key_file={str(files.key)!r}, host='localhost'"

    def told(message: dict[str, Any]) -> Any:
        return next((row["certificate"] for row in message.get("rows", []) if row["name"] == line), None)

    with server.page() as page:
        page.tell(do="follow", workspace="team")
        page.hear(lambda message: message["is"] == "endpoints" and message["rows"])
        server.sdk(f"{ROUTER}.enable_tls({own})")
        certificate = told(page.hear(lambda message: (told(message) or {}).get("problem") is not None))
        assert certificate["problem"]["code"] == "CertificateExpires"
        assert "localhost" in certificate["problem"]["message"]
        assert 19 * DAY < certificate["ends"] - time.time() <= 20 * DAY
        files.renew(days=90)
        renewed = told(page.hear(lambda message: told(message) is not None and told(message)["problem"] is None))
        assert renewed["ends"] - time.time() > 80 * DAY
        server.sdk(f"{ROUTER}.disable_tls()")
        page.hear(lambda message: message["is"] == "endpoints" and message["rows"] and told(message) is None)


def test_a_page_hears_why_a_workspace_cannot_be_followed(server: Server, line: str) -> None:
    with server.page() as page:
        page.tell(do="follow", workspace="taem")
        error = page.hear(lambda message: message["is"] == "error")
        assert error["workspace"] == "taem"
        assert "Did you mean 'team'?" in error["message"]


@pytest.mark.parametrize(
    "message",
    [
        *('{"do": "dance"}', "[]", "no json", "[" * 100_000, '{"do": ["open"]}', '{"do": "open"}'),
        *('{"do": "open", "view": 3}', '{"do": "tell", "view": ["x"]}', '{"do": "follow", "workspace": "a\\u0000b"}'),
        '{"do": "open", "view": "v", "kind": "deploy", "workspace": {"a": 1}}',
        '{"do": "open", "view": "v", "kind": "deploy", "workspace": "team", "given": [1]}',
        '{"do": "open", "view": "v", "kind": "deploy", "workspace": "team", "given": {"name": {"a": 1}}}',
        f'{{"do": "open", "view": "{"v" * 5000}", "kind": "deploy", "workspace": "team", "given": {{}}}}',
        '{"do": "open", "view": "v", "kind": "monitor", "workspace": "team", "given": {"name": "line/keys"}}',
        '{"do": "open", "view": "v", "kind": "register", "workspace": "team", "given": {"path": "../../etc/passwd"}}',
        '{"do": "open", "view": "v", "kind": "register", "workspace": "team", "given": {"path": "/etc/passwd"}}',
        '{"do": "open", "view": "v", "kind": "deploy", "workspace": "team", "given": {"score": "a/../../b"}}',
        '{"do": "open", "view": "v", "kind": "register", "workspace": "team", "given": {"path": "a\\u0000b"}}',
        '{"do": "open", "view": "v", "kind": "register", "workspace": "team", "given": {"path": "\\ud800"}}',
    ],
    ids=lambda message: message[:60],
)
def test_a_message_that_breaks_a_rule_is_answered_and_the_connection_stays(
    server: Server, line: str, message: str
) -> None:
    log = server.home.parent / "server.log"
    before = log.stat().st_size
    with server.page() as page:
        page._connection.send(message)
        error = page.hear(lambda found: found["is"] == "error")
        assert error["message"]
        assert error["code"] != "FailedError"
        assert "Traceback" not in log.read_text()[before:]
        page.tell(do="follow", workspace="team")
        assert page.hear(lambda found: found["is"] == "endpoints")


def test_a_monitor_runs_without_a_kernel_and_survives_the_loss_of_its_page(server: Server, line: str) -> None:
    with server.page() as page:
        page.tell(do="open", view="m1", kind="monitor", workspace="team", given={"name": "line"})
        opened = page.hear(lambda message: message.get("view") == "m1")
        assert (opened["is"], opened["module"]) == ("view", "monitor")
        assert opened["state"]["seconds"] > 0
        page.tell(do="tell", view="m1", content={"kind": "hello"})
        tick = page.hear(lambda message: message["is"] == "message" and message["content"]["kind"] == "tick")
        assert tick["content"]["whole"]
    with server.page() as page:
        page.tell(do="open", view="m1", kind="monitor", workspace="team", given={"name": "line"})
        assert page.hear(lambda message: message.get("view") == "m1")["is"] == "view"
        page.tell(do="close", view="m1")
        page.tell(do="tell", view="m1", content={"kind": "hello"})
        assert page.hear(lambda message: message.get("view") == "m1" and message["is"] == "ended")


def test_the_history_of_an_endpoint_is_a_view_that_follows_its_changes(server: Server, line: str) -> None:
    def has(message: dict[str, Any], kind: str) -> bool:
        content = message.get("content") or {}
        return any(event["kind"] == kind for event in content.get("entries", []))

    with server.page() as page, server.client() as client:
        page.tell(do="open", view="h1", kind="history", workspace="team", given={"name": "line"})
        assert page.hear(lambda message: message.get("view") == "h1")["module"] == "history"
        page.tell(do="tell", view="h1", content={"kind": "hello"})
        page.hear(lambda message: message["is"] == "message" and has(message, "deployment"))
        client.post("workspaces/team/endpoints/line/actions/scale", json={"replicas": "1:4"})
        newest = page.hear(
            lambda message: message["is"] == "message" and has(message, "scaling") and "→ 4" in str(message)
        )["content"]["entries"][0]
        assert newest["what"].startswith("updated")
        page.tell(do="close", view="h1")


def test_a_wizard_offers_the_estimators_of_a_notebook_that_the_page_tells_of(server: Server, line: str) -> None:
    with server.page() as page:
        page.tell(do="open", view="f1", kind="deploy", workspace="team", given={})
        page.hear(lambda message: message.get("view") == "f1")
        page.tell(do="tell", view="f1", content={"kind": "fitted", "place": 3, "estimators": "none"})
        told = {"ridge": "Ridge", "no name": "Ridge", "number": 3}
        page.tell(do="tell", view="f1", content={"kind": "fitted", "place": "a.ipynb", "estimators": told})
        update = page.hear(lambda message: message["is"] == "update" and "fitted in" in str(message))
        (model,) = (field for field in update["state"]["view"]["fields"] if field["key"] == "model")
        assert model["options"][0]["label"] == "ridge: Ridge, fitted in a.ipynb"
        assert not any("number" in option["label"] or "no name" in option["label"] for option in model["options"])
        page.tell(do="close", view="f1")


def test_a_wizard_says_that_the_kernel_does_not_have_the_chosen_estimator_any_more(server: Server, line: str) -> None:
    def of_model(message: dict[str, Any]) -> dict[str, Any]:
        fields = message.get("state", {}).get("view", {}).get("fields", [])
        return next((field for field in fields if field["key"] == "model"), {})

    def fitted(*names: str) -> dict[str, Any]:
        return {"kind": "fitted", "place": "a.ipynb", "estimators": dict.fromkeys(names, "Ridge")}

    with server.page() as page:
        page.tell(do="open", view="f2", kind="deploy", workspace="team", given={})
        page.tell(do="tell", view="f2", content=fitted("ridge"))
        page.tell(do="tell", view="f2", content={"kind": "change", "key": "model", "value": "estimator ridge"})
        page.hear(lambda message: of_model(message).get("value") == "estimator ridge")
        page.tell(do="tell", view="f2", content=fitted())
        page.tell(do="tell", view="f2", content={"kind": "press", "button": "next"})
        field = of_model(page.hear(lambda message: bool(of_model(message).get("error"))))
        assert field["error"].startswith("The kernel of a.ipynb does not have 'ridge' any more")
        assert field["value"] == "estimator ridge"
        page.tell(do="tell", view="f2", content=fitted("ridge"))
        page.hear(lambda message: of_model(message).get("error") == "")
        page.tell(do="close", view="f2")


def test_a_wizard_runs_without_a_kernel_and_keeps_what_was_typed(server: Server, line: str) -> None:
    with server.page() as page:
        page.tell(do="open", view="w1", kind="deploy", workspace="team", given={"name": "typed-here"})
        opened = page.hear(lambda message: message.get("view") == "w1")
        assert (opened["is"], opened["module"]) == ("view", "wizard")
        assert opened["state"]["view"]["title"] == "Deploy a model"
        values = {field["key"]: field.get("value") for field in opened["state"]["view"]["fields"]}
        assert values["name"] == "typed-here"
        page.tell(do="tell", view="w1", content={"kind": "change", "key": "name", "value": "other-name"})
        page.hear(lambda message: message["is"] == "update" and "other-name" in str(message["state"]))
    with server.page() as page:
        page.tell(do="open", view="w1", kind="deploy", workspace="team", given={})
        assert "other-name" in str(page.hear(lambda message: message.get("view") == "w1")["state"])
        page.tell(do="close", view="w1")


def test_a_page_that_asks_for_too_much_at_once_is_cut_off_and_others_go_on(server: Server, line: str) -> None:
    with server.page() as other, server.page() as page, server.client() as client:
        with pytest.raises((websocket.WebSocketException, OSError, ValueError)):  # the text after the last one is empty
            for number in range(20_000):
                page.tell(do="open", view=f"flood {number}", kind="nothing", workspace="team", given={})
            page.hear(lambda _: False)
        other.tell(do="follow", workspace="team")
        assert other.hear(lambda message: message["is"] == "endpoints" and bool(message["rows"]))
        assert client.get("version").status_code == 200


def test_a_wizard_bears_whatever_is_sent_to_it(server: Server, line: str) -> None:
    sent: list[Any] = [None, 1, "x", [], {}, {"kind": 1}, {"kind": "press", "button": "step 99999999999"}]
    sent += [{"kind": "press", "button": None}, {"kind": "change", "key": "nothing", "value": {}}]
    sent += [
        {"kind": "change", "key": key, "value": value} for key in ("name", "model") for value in ({"a": [1]}, ["a"])
    ]
    log = server.home.parent / "server.log"
    before = log.stat().st_size
    with server.page() as page:
        page.tell(do="open", view="any", kind="deploy", workspace="team", given={})
        page.hear(lambda message: message.get("view") == "any")
        for content in sent:
            page.tell(do="tell", view="any", content=content)
        page.tell(do="tell", view="any", content={"kind": "change", "key": "name", "value": "still-here"})
        page.hear(lambda message: message["is"] == "update" and "still-here" in str(message["state"]))
        page.tell(do="close", view="any")
        page.tell(do="tell", view="any", content={})
        page.hear(lambda message: message["is"] == "ended")
    assert "Traceback" not in log.read_text()[before:]


def test_a_view_of_an_endpoint_that_does_not_exist_says_so(server: Server, line: str) -> None:
    with server.page() as page:
        page.tell(do="open", view="x", kind="monitor", workspace="team", given={"name": "nowhere"})
        error = page.hear(lambda message: message.get("view") == "x")
        assert error["is"] == "error"
        assert "nowhere" in error["message"]
        page.tell(do="open", view="x", kind="graph", workspace="team", given={"name": "line"})
        assert "'graph' is not a view" in page.hear(lambda message: message.get("view") == "x")["message"]


def test_an_open_page_is_no_activity_that_keeps_a_server_alive(server: Server, line: str) -> None:
    headers = {"Authorization": f"token {server.token}"}

    def last_activity() -> str:
        status = httpx.get(f"{server.url}api/status", headers=headers, timeout=HANG_SECONDS)
        return str(status.json()["last_activity"])

    before = last_activity()
    with server.page() as page, server.client() as client:
        page.tell(do="follow", workspace="team")
        page.hear(lambda message: message["is"] == "endpoints" and bool(message["rows"]))
        client.get("workspaces/team/models")
    assert last_activity() == before
