"""The state of widgets in saved notebooks: an output below the view that every reader can show."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nbformat
import pytest
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from nbconvert import HTMLExporter

from mljupyter.notebook.views.views import Table
from mljupyter.widgets import fields
from mljupyter.widgets.panels.live_panel import LivePanel
from mljupyter.widgets.saved_state import STYLE, SavedState, state_of, state_of_form
from mljupyter.widgets.wizard import Page, Wizard
from tests.waiting import HANG_SECONDS

VIEW = "application/vnd.jupyter.widget-view+json"


class Outputs(DisplayPublisher):
    """The outputs of a cell as a front end keeps them."""

    def __init__(self, shell: Any) -> None:
        super().__init__(shell=shell)
        self.kept: list[tuple[str | None, dict[str, Any]]] = []

    def publish(self, data: Any, *_: Any, transient: Any = None, update: bool = False, **__: Any) -> None:
        place = (transient or {}).get("display_id")
        if update:
            self.kept = [(key, dict(data) if key == place else kept) for key, kept in self.kept]
        else:
            self.kept.append((place, dict(data)))


@pytest.fixture
def outputs(monkeypatch: pytest.MonkeyPatch) -> Outputs:
    shell = InteractiveShell.instance()
    found = Outputs(shell)
    monkeypatch.setattr(shell, "display_pub", found)
    monkeypatch.setattr(shell, "kernel", object(), raising=False)
    return found


class Named(Page):
    """A page with a name to type, and what comes of it."""

    name, heading = "Name", "Under which name?"

    def __init__(self) -> None:
        self.typed = ""

    def fields(self) -> list[fields.Field]:
        return [fields.text("name", "Name", self.typed), fields.code("line", "The line", f"%deploy {self.typed}<b>")]

    def change(self, key: str, value: Any) -> None:
        self.typed = str(value)

    def errors(self) -> dict[str, str]:
        return {} if self.typed != "9" else {"name": "A name begins with a letter."}


def test_the_view_and_its_state_are_two_outputs_because_readers_prefer_a_dead_widget_to_all_other_forms_of_one(
    outputs: Outputs,
) -> None:
    wizard = Wizard("Deploy a model", [Named(), Page()], "%deploy")
    wizard._ipython_display_()
    (_, view), (_, state) = outputs.kept
    assert VIEW in view and view["text/html"].startswith("<!--")
    assert VIEW not in state
    assert "To open it again, run %deploy." in state["text/plain"] and "run %deploy." in state["text/html"]
    wizard.close()


def test_the_last_state_of_a_form_replaces_the_first(outputs: Outputs) -> None:
    wizard = Wizard("Deploy a model", [Named(), Page()], "%deploy")
    wizard._ipython_display_()
    wizard.change("name", "9")
    wizard.press("next")
    assert wizard.settled(HANG_SECONDS)
    wizard.close()  # also without waiting for the next update
    (_, _), (_, state) = outputs.kept
    assert "Deploy a model, step 1 of 2: Under which name?" in state["text/plain"]
    assert "9 (A name begins with a letter.)" in state["text/plain"]
    assert "<pre>%deploy 9&lt;b&gt;</pre>" in state["text/html"]


def test_an_unchanged_state_is_not_sent_again_and_the_pause_between_updates_grows(outputs: Outputs) -> None:
    saved = SavedState(10.0, 15.0)
    saved.update(state_of("0", "0", "again"))
    assert outputs.kept == [], "nobody sees it yet"
    saved.show({VIEW: {}}, "title", state_of("1", "1", "again"))
    first = saved.wait_seconds()
    saved.update(state_of("1", "1", "again"))
    assert saved.wait_seconds() <= first <= 10
    saved.update(state_of("2", "2", "again"))
    assert outputs.kept[-1][1]["text/plain"] == "2\nagain"
    assert 10 < saved.wait_seconds() <= 15


def test_every_kind_of_field_has_a_form_without_the_browser() -> None:
    shown = [
        fields.choice("size", "Size", "s", [fields.Choice("s", "Small")]),
        fields.check("tls", "TLS", True),
        fields.split("shares", "Shares", {"blue": 30, "green": 70}, "green"),
        fields.table("plan", "Changes", ["Field", "Now"], [["replicas", 2]]),
        fields.summary("address", "Address", [("Scoring URI", "http://here")]),
        fields.stages("stages", "Stages", [("build", "ok", "3 s")]),
        fields.log("log", "Log", [f"line {number}" for number in range(30)]),
        fields.code("python", "Python", "secret = 1", folded=True),
    ]
    view = {"title": "T", "heading": "H", "status": "Failed.", "fields": shown, "steps": []}
    text = state_of_form(view, "again")["text/plain"]
    for part in (
        "Small",
        "TLS",
        "yes",
        "blue 30 %, green 70 %",
        "replicas",
        "http://here",
        "3 s",
        "line 29",
        "Failed.",
    ):
        assert part in text
    assert "line 9\n" not in text and "secret" not in text


def test_the_state_brings_the_rule_that_hides_a_dead_view_above_it() -> None:
    assert STYLE in state_of("1", "1", "again")["text/html"]


class Counting(LivePanel):
    """A panel of an endpoint that is nowhere."""

    def _table(self) -> Table:
        return Table(["Version", "Requests"], [["blue", 7]], [{}], "")

    def _look(self, whole: bool) -> dict[str, Any]:
        return {}


@pytest.mark.parametrize(
    ("widget", "state", "line"),
    [
        (lambda: Wizard("Deploy a model", [Named(), Page()], "%deploy"), "Under which name?", "run %deploy."),
        (lambda: Counting(None, "iris", "%monitor iris"), "blue", "%monitor iris shows it live again."),  # type: ignore[arg-type]
    ],
)
def test_a_reader_without_widgets_sees_the_state_and_the_line_that_revives_it_and_no_error(
    outputs: Outputs, widget: Callable[[], Any], state: str, line: str
) -> None:
    shown = widget()
    shown._ipython_display_()
    shown.close()
    found = [nbformat.v4.new_output("display_data", data) for _, data in outputs.kept]
    cell = nbformat.v4.new_code_cell("widget", outputs=found)
    page, _ = HTMLExporter().from_notebook_node(nbformat.v4.new_notebook(cells=[cell]))
    assert "Error displaying widget" not in page and "Loading widget" not in page
    assert state in page and line in page
    alone = "".join(data["text/html"] for _, data in outputs.kept)  # VS Code, if it cannot draw the widget
    assert state in alone and line in alone
    assert "Error" not in alone
    words = "".join(data["text/plain"] for _, data in outputs.kept)
    assert state in words and line in words
