"""Any JSON as a message of a browser: no exception reaches the kernel, nothing of it is run, the widget goes on."""

from __future__ import annotations

import builtins
import json
import logging
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import traitlets.log
from hypothesis import given
from hypothesis import strategies as st

from mljupyter.core import AksWebservice, InferenceConfig, Model, Workspace
from mljupyter.notebook.session import Session
from mljupyter.widgets.panels.comparison import Comparison
from mljupyter.widgets.panels.log_panel import LogPanel
from mljupyter.widgets.panels.log_sources import EndpointLog
from mljupyter.widgets.panels.monitor import Monitor
from mljupyter.widgets.wizard import Wizard
from mljupyter.widgets.wizards.attach_wizard import AttachWizard
from mljupyter.widgets.wizards.compare_wizard import CompareWizard
from mljupyter.widgets.wizards.deploy_wizard import DeployWizard
from mljupyter.widgets.wizards.register_wizard import RegisterWizard
from mljupyter.widgets.wizards.traffic_wizard import TrafficWizard
from tests.fuzz.budget import Budget
from tests.waiting import HANG_SECONDS

pytestmark = pytest.mark.system
CODE = "__import__('builtins').FUZZED.append(1)"
KEYS = ["source", "path", "name", "tags", "way", "shares", "version", "steps", "every", "guard", "replicas", "cpu"]
KEYS += ["memory", "model", "models", "target", "engine", "address", "auth", "variables", "score", "framework", "rate"]
STEPS = ["Model", "Where", "Size", "Review", "Progress", "What", "Name", "Shares", "Targets", "Docker engine", "Check"]
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(
        [CODE, f"{{{CODE}}}", f"${{{CODE}}}", f"!touch x; {CODE}", "watched", "9" * 5000, "1e400", "%s", "nan"]
    ),
)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
kinds = st.sampled_from(["change", "press", "hello", "watch", "log", "act", "window", "cancel", "other"])
messages = st.one_of(
    st.fixed_dictionaries(
        {"kind": st.just("change")}, optional={"key": st.sampled_from(KEYS) | anything, "value": anything}
    ),
    st.fixed_dictionaries(
        {"kind": st.just("press")},
        optional={"button": st.sampled_from(["next", "next", "back", "insert", "check", "again"]) | anything},
    ),
    st.fixed_dictionaries(
        {"kind": st.just("typed")},
        optional={
            "pages": st.dictionaries(
                st.sampled_from(STEPS), st.lists(st.tuples(st.sampled_from(KEYS), anything), max_size=3) | anything
            )
            | anything,
            "step": st.sampled_from(STEPS) | anything,
        },
    ),
    st.fixed_dictionaries(
        {"kind": kinds | anything},
        optional={
            "action": st.sampled_from(["traffic", "scale", "promote", "key", "rollback"]) | anything,
            "values": st.dictionaries(st.sampled_from(KEYS), anything, max_size=2) | anything,
            "seconds": anything,
            "replica": anything,
            "open": anything,
            "version": anything,
        },
    ),
    anything,
)
states = st.fixed_dictionaries(
    {}, optional={"view": anything, "seconds": anything, "_esm": anything, "other": anything}
)
comms = st.one_of(
    messages.map(lambda content: {"method": "custom", "content": content}),
    messages.map(lambda content: {"method": "custom", "content": content}),
    states.map(lambda state: {"method": "update", "state": state, "buffer_paths": []}),
    st.sampled_from([{"method": "request_state"}, {"method": "echo_update", "state": {}}]),
)


class _Shell:
    user_ns: dict[str, Any] = {}
    user_ns_hidden: dict[str, Any] = {}


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """A session in a workspace with an endpoint that widgets can show."""
    place = tmp_path_factory.mktemp("widgets")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLJUPYTER_HOME", str(place / "home"))
        (place / "work").mkdir()
        patch.chdir(place / "work")
        Path("score.py").write_text("def init(): pass\ndef run(data): return data\n")
        workspace = Workspace.create("widgets")
        session = Session(_Shell())
        session.use(workspace)
        size = AksWebservice.deploy_configuration(autoscale_enabled=False, num_replicas=1)
        service = Model.deploy(workspace, "watched", [], InferenceConfig("score.py"), size)
        service.wait_for_deployment()
        yield session
        for name in list(workspace.webservices):
            workspace.webservices[name].delete()
        workspace.controller.stop(force=True)


class Raised(logging.Handler):
    """What escapes from the threads and the handlers of widgets; ipywidgets shows the latter in the notebook."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        # A value of another type than the trait's is refused by ipywidgets, and the trait stays as it was.
        if record.exc_info and not isinstance(record.exc_info[1], traitlets.TraitError):
            self.found.append("".join(traceback.format_exception(record.exc_info[1])))

    def hook(self, hook: threading.ExceptHookArgs) -> None:
        self.found.append("".join(traceback.format_exception(hook.exc_value)))


@pytest.fixture
def raised(monkeypatch: pytest.MonkeyPatch) -> Iterator[Raised]:
    raised = Raised()
    monkeypatch.setattr(threading, "excepthook", raised.hook)
    monkeypatch.setattr(builtins, "FUZZED", [], raising=False)
    log = traitlets.log.get_logger()
    log.addHandler(raised)
    monkeypatch.setattr(log, "propagate", False)
    yield raised
    log.removeHandler(raised)


def check(raised: Raised) -> None:
    found, raised.found = raised.found, []
    assert not found, found[0]
    assert builtins.FUZZED == [], "what was typed was run"  # type: ignore[attr-defined]


def deliver(widget: Any, data: dict[str, Any]) -> None:
    """Give a widget a message as its comm does."""
    widget._handle_msg({"content": {"data": json.loads(json.dumps(data))}, "buffers": []})


WIZARDS = {
    "register": lambda session: RegisterWizard(session, {}),
    "traffic": lambda session: TrafficWizard(session, "watched"),
    "compare": lambda session: CompareWizard(session, "watched"),
    "attach": AttachWizard,
    "deploy": lambda session: DeployWizard(session, {}),
}


def test_a_wizard_takes_any_message(session: Session, raised: Raised, budget: Budget) -> None:
    @given(st.sampled_from(sorted(WIZARDS)), st.lists(comms, min_size=1, max_size=6))
    @budget.example
    def send(kind: str, sent: list[dict[str, Any]]) -> None:
        wizard: Wizard = WIZARDS[kind](session)
        try:
            for data in sent:
                deliver(wizard, data)
            assert wizard.settled(HANG_SECONDS), "the wizard is stuck"
            check(raised)
            shown = wizard._view()
            json.dumps(shown)
            assert shown["steps"][wizard._index]["state"] == "current"
            assert {"title", "heading", "fields", "buttons", "status"} <= set(shown)
            assert "Traceback" not in json.dumps(shown)
            wizard.press("back")
            assert wizard.settled(HANG_SECONDS), "the wizard is stuck"
            assert set(wizard.view) == set(shown)
        finally:
            wizard.close()

    budget.search(send)
    assert set(session.workspace().webservices) <= {"watched"}


def test_a_panel_takes_any_message(session: Session, raised: Raised, budget: Budget) -> None:
    workspace = session.workspace()
    panels = {
        "monitor": lambda: Monitor(workspace, "watched"),
        "comparison": lambda: Comparison(workspace, "watched"),
        "log": lambda: LogPanel(EndpointLog(workspace.webservices["watched"])),
    }

    @given(st.sampled_from(sorted(panels)), st.lists(comms, min_size=1, max_size=4))
    @budget.example
    def send(kind: str, sent: list[dict[str, Any]]) -> None:
        panel = panels[kind]()
        try:
            for data in sent:
                deliver(panel, data)
            if hasattr(panel, "_worker"):
                assert panel._worker.wait(HANG_SECONDS), "the panel is stuck"
            check(raised)
        finally:
            panel.close()

    budget.search(send)
    assert set(workspace.webservices) == {"watched"}
