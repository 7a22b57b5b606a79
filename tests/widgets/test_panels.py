"""Panels without a browser: what they send, and that they rest when nobody looks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mljupyter.core import AksWebservice, InferenceConfig, Model, Webservice, Workspace
from mljupyter.errors import MLJupyterError
from mljupyter.widgets.panels import live_panel
from mljupyter.widgets.panels.actions import act
from mljupyter.widgets.panels.monitor import Monitor
from tests.waiting import wait_until

pytestmark = pytest.mark.system
SCRIPT = "def init(): print('ready')\ndef run(data): return 1\n"


class Recorded(Monitor):
    """A monitor whose messages are kept."""

    def __init__(self, *arguments: Any) -> None:
        self.sent: list[dict[str, Any]] = []
        super().__init__(*arguments)

    def send(self, content: Any, buffers: Any = None) -> None:
        """Keep the message."""
        self.sent.append(content)

    def ticks(self) -> list[dict[str, Any]]:
        """Return the messages of ticks so far."""
        return [message for message in self.sent if message["kind"] == "tick"]


@contextmanager
def deployed(directory: Path) -> Iterator[Webservice]:
    """Deploy a service below a directory; stop everything in the end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLJUPYTER_HOME", str(directory / "home"))
        (directory / "score.py").write_text(SCRIPT)
        config = InferenceConfig(entry_script="score.py", source_directory=str(directory))
        found = Model.deploy(
            Workspace.create("panels"),
            "watched",
            [],
            config,
            AksWebservice.deploy_configuration(autoscale_enabled=False, num_replicas=1),
        )
        found.wait_for_deployment()
        yield found
        found.workspace.controller.stop(force=True)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webservice]:
    """A service that no test changes."""
    with deployed(tmp_path_factory.mktemp("shared")) as found:
        yield found


@pytest.fixture
def own_service(tmp_path: Path) -> Iterator[Webservice]:
    """A service that the test may change or delete."""
    with deployed(tmp_path) as found:
        yield found


def test_a_monitor_sends_everything_once_then_what_is_new_and_rests_when_nobody_looks(
    service: Webservice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_panel, "_UNWATCHED_AFTER", 2.0)
    panel = Recorded(service.workspace, "watched")
    assert panel.sent == [], "nothing is asked before somebody looks"
    panel._received(None, {"kind": "hello"}, None)

    def are_two() -> bool:  # somebody looks until then, however long that takes
        panel._received(None, {"kind": "watch"}, None)
        return len(panel.ticks()) >= 2

    wait_until(are_two, "two messages")
    first, second = panel.ticks()[:2]
    assert (first["whole"], second["whole"]) == (True, False)
    assert [item["version"] for item in first["status"]["versions"]] == ["watched"]
    assert len(json.dumps(second)) < 8_000
    assert "router" not in first, "the router of a machine is one process"
    wait_until(lambda: panel._thread is None, "it rests")
    seen = len(panel.sent)
    panel._received(None, {"kind": "watch"}, None)
    wait_until(lambda: len(panel.sent) > seen, "it goes on")
    panel.close()
    wait_until(lambda: panel._thread is None, "it ends")


def test_a_panel_of_a_deleted_endpoint_says_so_and_goes_on(own_service: Webservice) -> None:
    panel = Recorded(own_service.workspace, "watched")
    own_service.delete()
    panel._received(None, {"kind": "hello"}, None)
    message = wait_until(lambda: [item for item in panel.sent if item["kind"] == "problem"], "the problem")[0]
    assert "watched" in message["problem"]
    panel.close()


def test_buttons_do_what_the_sdk_does_and_say_what_was_done(own_service: Webservice) -> None:
    service, workspace = own_service, own_service.workspace

    def replicas() -> set[str]:
        return {item.id for item in workspace.endpoints.endpoint("watched").status.versions["watched"].replicas}

    before = replicas()
    assert "2 replicas" in act(workspace, "watched", "scale", {"version": "watched", "replicas": "2"})
    service.wait_for_deployment()
    assert "replaced" in act(workspace, "watched", "restart", {"version": "watched"})
    service.wait_for_deployment()
    wait_until(lambda: not before & replicas(), "the replicas are replaced")
    keys = service.get_keys()
    assert "secondary key" in act(workspace, "watched", "key", {"key": "Secondary"})
    assert service.get_keys()[0] == keys[0]
    assert service.get_keys()[1] != keys[1]
    seen = {"generation": str(workspace.endpoints.endpoint("watched").generation)}
    with pytest.raises(MLJupyterError, match="The rollout of 'watched' has ended meanwhile"):
        act(workspace, "watched", "rollback", {**seen, "rollout": "true"})
    assert "is being restored" in act(workspace, "watched", "rollback", seen)
    with pytest.raises(MLJupyterError, match="was changed by another operation"):
        act(workspace, "watched", "rollback", seen)  # another person has seen the same state
    for action, values in (
        ("scale", {"replicas": "many"}),
        ("restart", {"version": "none"}),
        ("rollback", {"generation": "x"}),
        ("jump", {}),
    ):
        with pytest.raises(MLJupyterError):
            act(workspace, "watched", action, values)


@pytest.mark.parametrize("values", [1, ["ab"], "ab"])
def test_a_button_whose_values_have_another_form_does_nothing_and_says_so(service: Webservice, values: Any) -> None:
    panel = Recorded(service.workspace, "watched")
    generation = service.workspace.controller.endpoint("watched").generation
    content = {"kind": "act", "action": "traffic", "values": values}
    panel._handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})
    wait_until(lambda: panel.sent, what="an answer")
    text = f"values is a {type(values).__name__}: it must be a mapping from names to values."
    assert panel.sent == [{"kind": "said", "text": text, "failed": True}], "a form that failed keeps what was typed"
    assert service.workspace.controller.endpoint("watched").generation == generation
    panel.close()
