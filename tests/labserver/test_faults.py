"""What a page is told when a server, a controller or a cluster fails, and that nothing is lost or done twice."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import websocket

from mljupyter.labserver.channel import BEAT_SETTING
from mljupyter.labserver.handler import REQUEST_ID
from mljupyter.labserver.routes import ROUTES
from tests.labserver.conftest import Page, running
from tests.labserver.refusing import FILE
from tests.leftovers import end_what_was_started_below
from tests.ports import free_port
from tests.waiting import promised, wait_until

DEPLOY = """
from sklearn.linear_model import LinearRegression
from mljupyter.core import Model, Workspace
import joblib
ws = Workspace.create("{workspace}", exist_ok=True)
joblib.dump(LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0]), "{path}")
model = Model.register(ws, "{path}", "{model}", model_framework=Model.Framework.SCIKITLEARN)
service = Model.deploy(ws, "{name}", [model])
service.wait_for_deployment()
assert service.state == "Healthy", service.get_logs()
"""
TEAM = "Team_9-a"
MODEL = "aZ.0_9-line"
MOST_PER_SECOND = 4
"""Messages about changes that a page gets."""
NAME = "a-0-line-9"
"""Names with all kinds of characters that the rules allow."""
ENDPOINT = f"workspaces/{TEAM}/endpoints/{NAME}"


class Site:
    """A server that can be started again at the same address, with an endpoint, and an authorizer that can refuse."""

    def __init__(self, place: Path) -> None:
        self.refused = place / "refused"
        self.refused.write_text("")
        self._place, self._port, self._stack = place, free_port(), ExitStack()
        self.start()

    def start(self) -> None:
        self.server = self._stack.enter_context(
            running(
                self._place,
                "--ServerApp.authorizer_class=tests.labserver.refusing.Refusing",
                f"--ServerApp.tornado_settings={{'{BEAT_SETTING}': 0.5}}",
                port=self._port,
                environment={FILE: str(self.refused), "PYTHONPATH": str(Path(__file__).parents[2])},
            )
        )

    def stop(self) -> None:
        self._stack.close()

    @property
    def controllers(self) -> list[psutil.Process]:
        return [
            process
            for process in psutil.process_iter(["cmdline", "status"])
            if process.info["status"] != psutil.STATUS_ZOMBIE
            and "mljupyter.controller" in (words := process.info["cmdline"] or ())
            and any(str(self.server.home) in word for word in words)
        ]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    place = tmp_path_factory.mktemp("faults")
    found = Site(place)
    try:
        path = place / "line.pkl"
        found.server.sdk(DEPLOY.format(workspace=TEAM, path=path, model=MODEL, name=NAME))
        yield found
    finally:
        found.stop()
        end_what_was_started_below(place)


@pytest.fixture(autouse=True)
def nothing_is_refused(site: Site) -> Iterator[None]:
    yield
    site.refused.write_text("")


def rows(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return the endpoints of a message by name."""
    return {row["name"]: row for row in message.get("rows", [])}


def known(page: Page) -> dict[str, Any]:
    """Follow the workspace, and return the first message with its endpoint: a control plane may be coming back."""
    page.tell(do="follow", workspace=TEAM)
    return page.hear(lambda found: NAME in rows(found))


def settled(page: Page, wanted: int | None = None) -> dict[str, Any]:
    """Follow the workspace until the endpoint has the replicas that it should have, and return its row."""

    def is_so(row: dict[str, Any] | None) -> bool:
        replicas = [replica for version in (row or {}).get("versions", []) for replica in version["replicas"]]
        phases = {replica["phase"] for replica in replicas}
        should = row["wanted"] if row is not None and wanted is None else wanted
        return row is not None and should == row["wanted"] == row["ready"] == len(replicas) and phases == {"ready"}

    found = rows(known(page))[NAME]
    while not is_so(found):
        found = rows(page.hear(lambda message: NAME in rows(message)))[NAME]
    return dict(found)


def test_an_authorizer_that_refuses_is_obeyed_by_every_route_and_by_the_channel(site: Site) -> None:
    site.refused.write_text("read write execute")
    with site.server.client() as client:
        for path in ROUTES:
            for method in ("GET", "POST", "DELETE"):
                answer = client.request(method, path.replace("([^/]+)", "x"))
                assert answer.status_code == 403, (method, path)
    with pytest.raises(websocket.WebSocketBadStatusException, match="403"), site.server.page():
        pass


def test_somebody_who_may_only_read_changes_nothing(site: Site) -> None:
    site.refused.write_text("write execute")
    with site.server.client() as client:
        assert client.get(ENDPOINT).json()["row"]["name"] == NAME
        assert client.post(f"{ENDPOINT}/actions/scale", json={"replicas": "5"}).status_code == 403
        assert client.delete(ENDPOINT).status_code == 403
        assert client.get(ENDPOINT).json()["row"]["wanted"] != 5
    with pytest.raises(websocket.WebSocketBadStatusException, match="403"), site.server.page():
        pass


def test_names_with_every_allowed_character_are_listed_shown_and_changed(site: Site) -> None:
    with site.server.client() as client, site.server.page() as page:
        assert list(rows(known(page))) == [NAME]
        (model,) = client.get(f"workspaces/{TEAM}/models").json()
        assert (model["name"], model["usedBy"]) == (MODEL, [NAME])
        assert client.delete(f"workspaces/{TEAM}/models/{MODEL}/1").status_code == 400
        assert client.post(f"{ENDPOINT}/actions/scale", json={"replicas": "1"}).status_code == 200
        page.tell(do="open", view="named", kind="monitor", workspace=TEAM, given={"name": NAME})
        assert page.hear(lambda found: found.get("view") == "named")["is"] == "view"
        page.tell(do="close", view="named")


def test_an_idle_connection_beats_so_that_a_page_notices_its_end(site: Site) -> None:
    with site.server.page() as page:
        first = page.hear(lambda found: found["is"] == "beat")
        assert page.hear(lambda found: found["is"] == "beat")["time"] > first["time"]


def test_many_changes_in_a_moment_are_few_messages_and_the_last_one_is_not_lost(site: Site) -> None:
    with site.server.page() as page, site.server.client() as client:
        known(page)
        began = time.monotonic()
        for number in range(40):
            client.post(f"{ENDPOINT}/actions/scale", json={"replicas": f"1:{2 + number}"}).raise_for_status()
        last = client.get(ENDPOINT).json()["row"]["updated"]
        times: list[float] = []
        while not times or times[-1] < last:
            times.append(rows(page.hear(lambda found: found["is"] == "endpoints"))[NAME]["updated"])
        assert len(times) <= MOST_PER_SECOND * (time.monotonic() - began) + 2  # however slow the machine is
        assert times == sorted(set(times))


def test_two_pages_that_change_one_endpoint_end_with_the_same_state(site: Site) -> None:
    with site.server.page() as one, site.server.page() as other, site.server.client() as client:
        known(one)
        known(other)

        def scale(number: int) -> httpx.Response:
            return client.post(f"{ENDPOINT}/actions/scale", json={"replicas": str(number)})

        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(scale, [1, 2]))
        for answer in answers:  # a page that comes second hears so, or its change is the one that stays
            assert answer.status_code == 200 or answer.json()["message"], answer.text
        wanted = client.get(ENDPOINT).json()["row"]["wanted"]
        assert wanted in (1, 2)

        scale(wanted)
        with site.server.page() as third:
            assert settled(third, wanted)["wanted"] == wanted
        missing = client.post(f"workspaces/{TEAM}/endpoints/gone-meanwhile/actions/scale", json={"replicas": "2"})
        assert missing.status_code == 404
        assert "gone-meanwhile" in missing.json()["message"]


def test_two_servers_on_one_workspace_see_what_the_other_does_and_do_nothing_twice(site: Site, tmp_path: Path) -> None:
    shared = {"MLJUPYTER_HOME": str(site.server.home)}
    with ExitStack() as stack:
        other = stack.enter_context(running(tmp_path, environment=shared))
        servers = site.server, other
        pages = [stack.enter_context(server.page()) for server in servers]
        clients = [stack.enter_context(server.client()) for server in servers]
        replicas = [settled(page)["versions"][0]["replicas"] for page in pages]
        assert replicas[0] == replicas[1]
        for number, client in enumerate(clients, 3):
            began = time.monotonic()
            client.post(f"{ENDPOINT}/actions/scale", json={"replicas": f"1:{number}"}).raise_for_status()
            updated = client.get(ENDPOINT).json()["row"]["updated"]
            for page in pages:
                page.hear(lambda found: NAME in rows(found) and rows(found)[NAME]["updated"] >= updated)  # noqa: B023
            assert time.monotonic() - began < promised(5)
        before = len(clients[0].get(f"{ENDPOINT}/history").json())
        pages[0].tell(do="open", view="h", kind="history", workspace=TEAM, given={"name": NAME})
        pages[1].tell(do="open", view="h", kind="history", workspace=TEAM, given={"name": NAME})
        for client in clients:  # the ids of requests are those of a page, so both servers make their own change
            client.post(f"{ENDPOINT}/actions/scale", json={"replicas": "1"}, headers={REQUEST_ID: "same"})
        assert [len(client.get(f"{ENDPOINT}/history").json()) - before for client in clients] == [1, 1]

        (controller,) = site.controllers
        now = [settled(page, 1)["versions"][0]["replicas"] for page in pages]
        controller.kill()
        for page in pages:
            page.hear(lambda found: bool(found.get("problems")))
        for page in pages:
            again = page.hear(lambda found: NAME in rows(found) and found["whole"] and not found["problems"])
            assert rows(again)[NAME]["versions"][0]["replicas"] == now[0]
        wait_until(lambda: len(site.controllers) == 1, "of those that pages have started one is left")


def test_a_change_that_a_page_sends_again_is_made_once(site: Site) -> None:
    with site.server.client() as client:
        before = len(client.get(f"{ENDPOINT}/history").json())

        def restart(request_id: str) -> httpx.Response:
            return client.post(f"{ENDPOINT}/actions/restart", json={}, headers={REQUEST_ID: request_id})

        with ThreadPoolExecutor(3) as pool:  # also while the first one has not been answered
            answers = list(pool.map(restart, ["a", "a", "a"]))
        answers.append(restart("a"))
        assert {(answer.status_code, answer.text) for answer in answers} == {(200, answers[0].text)}
        assert len(client.get(f"{ENDPOINT}/history").json()) == before + 1
        restart("b")
        assert len(client.get(f"{ENDPOINT}/history").json()) == before + 2


def test_what_a_page_says_again_after_its_connection_was_lost_is_heard_once(site: Site) -> None:
    def view(page: Page) -> dict[str, Any]:
        page.tell(do="open", view="again", kind="deploy", workspace=TEAM, given={"name": "some-name"})
        return page.hear(lambda found: found["is"] == "view")

    def step(state: dict[str, Any]) -> str:
        return next(str(step["name"]) for step in state["view"]["steps"] if step["state"] == "current")

    following = {"kind": "press", "button": "next"}
    with site.server.page() as page:
        opened = view(page)
        first = step(opened["state"])
        page.tell(**{"do": "tell", "view": "again", "from": "p", "number": 1, "content": following})
        assert page.hear(lambda found: found["is"] == "heard")["number"] == 1
        moved = page.hear(lambda found: found["is"] == "update" and step(found["state"]) != first)
    with site.server.page() as page:
        back = view(page)
        assert (back["born"], back["heard"]) == (opened["born"], ["p", 1])
        page.tell(**{"do": "tell", "view": "again", "from": "p", "number": 1, "content": following})
        page.hear(lambda found: found["is"] == "heard")
        page.tell(**{"do": "tell", "view": "again", "from": "p", "number": 2, "content": {"kind": "change"}})
        page.hear(lambda found: found["is"] == "heard" and found["number"] == 2)
        assert step(view(page)["state"]) == step(moved["state"])
        page.tell(do="close", view="again")


def test_a_controller_that_is_killed_comes_back_with_its_endpoints_and_the_same_replicas(site: Site) -> None:
    with site.server.page() as page:
        replicas = settled(page)["versions"][0]["replicas"]
        (controller,) = site.controllers
        controller.kill()
        failed = page.hear(lambda found: bool(found.get("problems")))
        assert list(rows(failed)) == [NAME]
        (problem,) = failed["problems"]
        assert problem["message"]
        assert 0 < problem["asOf"] <= failed["time"]
        again = page.hear(lambda found: NAME in rows(found) and found["whole"] and not found["problems"])
        assert rows(again)[NAME]["versions"][0]["replicas"] == replicas


def test_endpoints_of_a_controller_that_died_before_the_page_was_opened_are_listed(site: Site) -> None:
    (controller,) = site.controllers
    controller.kill()
    wait_until(lambda: not site.controllers, "the controller is gone")
    site.stop()
    site.start()
    with site.server.page() as page:
        assert list(rows(known(page))) == [NAME]


def test_after_the_server_was_started_again_a_page_learns_what_is_there_now(site: Site) -> None:
    with site.server.page() as page:
        before = settled(page)
        page.tell(do="open", view="old", kind="monitor", workspace=TEAM, given={"name": NAME})
        born = page.hear(lambda found: found.get("view") == "old")["born"]
        site.stop()
        with pytest.raises((websocket.WebSocketException, OSError)):
            page.hear(lambda _: False)
    site.start()
    with site.server.page() as page:
        now = settled(page)
        assert [version["replicas"] for version in now["versions"]] == [
            version["replicas"] for version in before["versions"]
        ]
        page.tell(do="open", view="old", kind="monitor", workspace=TEAM, given={"name": NAME})
        opened = page.hear(lambda found: found.get("view") == "old")
        assert opened["is"] == "view"
        assert opened["born"] != born  # so that the page sends nothing again that was meant for the one before
        page.tell(do="close", view="old")


def test_a_log_that_has_grown_as_long_as_it_can_opens_with_its_end(site: Site) -> None:
    """Replicas rotate their logs: of a gigabyte of output, the newest forty megabytes are on the disk."""
    log = max(
        site.server.home.glob(f"workspaces/{TEAM}/control/replicas/*/replica.log"),
        key=lambda path: path.stat().st_mtime,
    )
    line = b"x" * 99 + b"\n"
    for part in (1, 2, 3):
        log.with_name(f"{log.name}.{part}").write_bytes(line * 100_000)
    with log.open("ab") as stream:
        stream.write(line * 90_000 + b"the newest line\n")
    server = psutil.Process(site.server.pid)
    before = server.memory_info().rss
    with site.server.page() as page:
        page.tell(do="open", view="long", kind="logs", workspace=TEAM, given={"name": NAME})
        assert page.hear(lambda found: found.get("view") == "long")["is"] == "view"
        page.tell(do="tell", view="long", content={"kind": "hello"})
        told = page.hear(lambda found: found["is"] == "message" and "the newest line" in str(found["content"]))
        assert len(told["content"]["lines"]) < 1100
        page.tell(do="close", view="long")
    assert server.memory_info().rss - before < 100_000_000


def test_a_cluster_that_does_not_answer_hides_neither_local_endpoints_nor_models(site: Site, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, and never answers
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "away",
                    "contexts": [{"name": "away", "context": {"cluster": "away", "user": "nobody"}}],
                    "clusters": [{"name": "away", "cluster": {"server": address}}],
                    "users": [{"name": "nobody", "user": {}}],
                }
            )
        )
        record = site.server.home / "workspaces" / TEAM / "clusters" / "away.json"
        record.parent.mkdir(exist_ok=True)
        record.write_text(
            json.dumps(
                {
                    "name": "away",
                    "type": "Kubernetes",
                    "kubeconfig": str(kubeconfig),
                    "context": "away",
                    "namespace": "mljupyter",
                    "cluster": "away",
                }
            )
        )
        record.chmod(0o600)
        try:
            with site.server.page() as page, site.server.client() as client:
                page.tell(do="follow", workspace=TEAM)
                page.hear(lambda found: NAME in rows(found))  # at once: nobody waits for the cluster
                assert client.get(f"workspaces/{TEAM}/models").json()[0]["name"] == MODEL
                said = client.post(f"{ENDPOINT}/actions/scale", json={"replicas": "1"})
                assert said.status_code == 200, said.text
                silent.close()  # now connections are refused
                told = page.hear(lambda found: bool(found.get("problems")))
                assert list(rows(told)) == [NAME]
                (problem,) = told["problems"]
                assert (problem["target"], problem["read"], problem["asOf"]) == ("away", False, None)
                assert problem["message"]
        finally:
            record.unlink()


def test_a_controller_that_was_stopped_is_not_started_by_pages_that_look_at_its_endpoints(site: Site) -> None:
    views = ("monitor", "history", "comparison", "logs", "try")

    def opened(page: Page, kind: str, view: str) -> dict[str, Any]:
        page.tell(do="open", view=view, kind=kind, workspace=TEAM, given={"name": NAME})
        answer = page.hear(lambda found: found.get("view") == view)
        page.tell(do="tell", view=view, content={"kind": "hello"})
        return answer

    def says_how_to_start_it(text: str) -> bool:
        return "mljupyter controller start" in text

    stop = f"from mljupyter.core import Workspace\nassert Workspace.get('{TEAM}').controller.stop()"
    start = f"from mljupyter.core import Workspace\nWorkspace.get('{TEAM}').controller.ensure()"
    with site.server.page() as before, site.server.page() as after, site.server.client() as client:
        settled(before)
        before.tell(do="rates", workspace=TEAM, names=[NAME])
        assert [opened(before, kind, kind)["is"] for kind in views] == ["view"] * len(views)
        site.server.sdk(stop)
        told = before.hear(lambda found: bool(found.get("problems")))
        assert list(rows(told)) == [NAME]
        assert says_how_to_start_it(told["problems"][0]["message"])
        before.tell(do="tell", view="monitor", content={"kind": "watch"})  # somebody still looks
        before.hear(lambda found: found.get("view") == "monitor" and says_how_to_start_it(str(found.get("content"))))

        after.tell(do="follow", workspace=TEAM)
        told = after.hear(lambda found: found["is"] == "endpoints" and found["known"])
        assert says_how_to_start_it(told["problems"][0]["message"])
        for kind in views:  # as a page that is loaded again does
            assert says_how_to_start_it(opened(after, kind, f"{kind} again")["message"]), kind
            before.tell(do="close", view=kind)
        for path in (ENDPOINT, f"{ENDPOINT}/history", f"{ENDPOINT}/clients"):
            answer = client.get(path)
            assert answer.status_code == 503, path
            assert says_how_to_start_it(answer.json()["message"])
        assert client.get(f"workspaces/{TEAM}/models").json()[0]["name"] == MODEL
        assert client.get(f"workspaces/{TEAM}/endpoints").json()["rows"] == []
        assert client.get(f"workspaces/{TEAM}/targets").status_code == 200
        assert site.controllers == []

        site.server.sdk(start)
        assert list(rows(after.hear(lambda found: NAME in rows(found)))) == [NAME]
        before.hear(lambda found: NAME in rows(found) and not found.get("problems"))
