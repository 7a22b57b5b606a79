"""The deploy wizard in a real JupyterLab, walked by keyboard."""

from __future__ import annotations

import time
from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.lab import Notebook, narrow_problems, serious_problems
from tests.waiting import promised

PREPARE = """%env DOCKER_HOST=unix:///nowhere.sock
%load_ext mljupyter
%mlj workspace wizard --create -o ws
from pathlib import Path
from mljupyter.core import Model
Path("weights.txt").write_text("3")
Model.register(ws, "weights.txt", "weights");
"""
SCRIPT = """%%score times-three
import json, os
def init():
    global factor
    factor = float(open(os.path.join(os.environ["AZUREML_MODEL_DIR"], "weights.txt")).read())
def run(data):
    return [factor * value for value in json.loads(data)["data"]]
"""


OWN_MODEL = """
%load_ext mljupyter
%mlj workspace newcomer --create
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
X, y = load_wine(return_X_y=True, as_frame=True)
wine = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
"""
LONGEST_SECONDS = 120
TYPING_MS = 60  # between two keys of somebody who types fast


def correct_what_is_wrong(notebook: Notebook) -> None:
    """Fill in the first page at human speed with two mistakes, and correct them by Tab, arrows and mouse."""
    page, keys = notebook.page, notebook.page.keyboard
    form = page.get_by_role("form", name="Deploy a model")
    name, sample = form.get_by_label("Name of the endpoint"), form.get_by_label("Sample rows")
    method = form.get_by_label("Method")
    expect(name).to_have_value("wine")  # proposed
    name.focus()
    keys.press("Control+a")
    keys.type("My Wine", delay=TYPING_MS)
    for _ in range(4):
        keys.press("Tab")
    expect(sample).to_be_focused()
    keys.type("nope[:3]", delay=TYPING_MS)
    keys.press("Enter")
    form.get_by_text("Invalid endpoint name").wait_for()
    form.get_by_text("'nope'").wait_for()
    expect(name).to_be_focused()
    keys.press("Control+a")
    keys.type("my-wine", delay=TYPING_MS)
    form.get_by_text("Invalid endpoint name").wait_for(state="hidden")
    for _ in range(3):
        keys.press("Tab")
    expect(method).to_be_focused()
    keys.press("ArrowDown")
    form.get_by_text("'nope'").wait_for(state="hidden")  # the page was drawn again
    keys.press("ArrowUp")
    expect(method).to_be_focused()
    sample.click(click_count=3)
    keys.type("X[:3]", delay=TYPING_MS)
    expect(sample).to_be_focused()
    assert [name.input_value(), method.input_value(), sample.input_value()] == ["my-wine", "", "X[:3]"]


def test_a_newcomer_deploys_a_model_of_their_own_within_two_minutes(
    opened: Callable[..., Notebook], shot: Callable[..., None]
) -> None:
    notebook = opened(OWN_MODEL, "%deploy")
    notebook.run(0)
    began = time.monotonic()
    notebook.run(1)
    page = notebook.page
    form = page.get_by_role("form", name="Deploy a model")
    chosen = form.get_by_label("Model").locator("option:checked")
    assert chosen.inner_text() == "wine: Pipeline, fitted here"  # the only one there is
    correct_what_is_wrong(notebook)
    shot("deploy-1-estimator-light", "form.mlj")
    notebook.theme("dark")
    shot("deploy-1-estimator-dark", "form.mlj")
    notebook.theme("light")
    for heading in ("Where", "How large", "Who may", "Which part", "Is this what you want?"):
        form.get_by_role("button", name="Next").click()
        form.get_by_role("heading", name=heading).wait_for()
        form.get_by_role("button", name="Next" if heading[0] != "I" else "Deploy now", disabled=False).wait_for()
    form.get_by_role("button", name="Size").click()
    form.get_by_role("heading", name="How large").wait_for()
    form.get_by_role("button", name="Review").click()
    form.get_by_role("heading", name="Is this what you want?").wait_for()
    expect(form.get_by_role("button", name="Progress")).to_have_attribute("aria-disabled", "true")
    expect(form.get_by_text("Generated scoring script")).to_be_visible()
    assert "%deploy my-wine wine --sample X[:3]" in form.get_by_label("Equivalent magic").inner_text()
    form.get_by_role("button", name="Deploy now").click()
    form.get_by_role("heading", name="Endpoint is ready").wait_for()
    assert "$SCORING_KEY" in form.get_by_label("With curl, in a shell").inner_text()
    form.get_by_role("button", name="Insert a call below").click()
    form.get_by_text("Inserted below").wait_for()
    line, call = "%deploy my-wine wine --sample X[:3]", "%invoke my-wine X[:3]"
    assert notebook.sources()[2:4] == [line, call], "run from the top, the call finds the endpoint"
    form.get_by_role("button", name="Insert a call below").click()
    assert notebook.sources()[2:4] == [line, call], "a text is inserted once"
    expect(notebook.run(3)).to_contain_text("[0, 0, 0]")
    seconds = time.monotonic() - began
    print(f"{seconds:.1f} s from %deploy to the first answer")
    assert seconds < promised(LONGEST_SECONDS)
    assert notebook.errors() == []


def test_a_model_is_deployed_by_keyboard_alone(opened: Callable[..., Notebook], shot: Callable[..., None]) -> None:
    notebook = opened(PREPARE, SCRIPT, "%deploy", '%invoke by-keys {"data": [1, 2]}')
    for cell in range(3):
        notebook.run(cell)
    page = notebook.page
    form = page.get_by_role("form", name="Deploy a model")
    form.get_by_role("heading", name="What do you want to deploy?").wait_for()
    keys = page.keyboard

    def shown(heading: str, name: str) -> None:
        form.get_by_role("heading", name=heading).wait_for()
        focused = page.evaluate_handle("() => document.activeElement")
        for theme in notebook.themes():
            notebook.theme(theme)
            shot(f"deploy-{name}-{theme}", "form.mlj")
            assert serious_problems(page, "form.mlj") == []
        narrow = narrow_problems(page, "form.mlj", lambda: shot(f"deploy-{name}-narrow", "form.mlj"))
        assert narrow == []
        focused.evaluate("(element) => element.focus()")  # a change of the theme may have taken it away

    form.get_by_label("Name of the endpoint").focus()
    keys.type("By Keys")
    keys.press("Enter")
    form.get_by_text("Invalid endpoint name").wait_for()
    shown("What do you want to deploy?", "1-model")
    expect(form.get_by_label("Name of the endpoint")).to_be_focused()
    keys.press("Control+a")
    keys.type("by-keys")
    keys.press("Enter")
    form.get_by_role("heading", name="Where should it run?").wait_for()
    form.get_by_role("radio", name="local").wait_for()
    form.get_by_role("button", name="Check again", disabled=False).wait_for()
    expect(form.get_by_role("radio", name="docker")).to_be_disabled()
    expect(form).to_contain_text("does not answer")
    shown("Where should it run?", "2-where")
    form.get_by_role("radio", name="local").focus()
    keys.press("Enter")
    form.get_by_role("heading", name="How large, and how many?").wait_for()
    form.get_by_label("Expected requests per second").focus()
    keys.type("20")
    keys.press("Tab")
    keys.type("100")
    form.get_by_text("3 replicas would be 70 % busy").wait_for()
    form.get_by_role("radio", name="Default").focus()
    keys.press("ArrowDown")
    keys.press("ArrowDown")
    most = form.get_by_label("Maximum", exact=True)
    most.focus()
    keys.press("Control+a")
    keys.type("0")
    keys.press("Enter")
    form.get_by_text("0 is below the minimum, 1.").wait_for()
    expect(most).to_be_focused()
    keys.press("Control+a")
    keys.type("2")
    form.get_by_text("With 2 at most, requests would have to wait.").wait_for()
    shown("How large, and how many?", "3-size")
    most.focus()
    keys.press("Enter")
    shown("Who may send requests?", "4-access")
    keys.press("Escape")
    form.get_by_role("heading", name="How large").wait_for()
    assert form.get_by_label("Expected requests per second").input_value() == "20"
    assert form.get_by_label("Maximum", exact=True).input_value() == "2"
    most.focus()
    keys.press("Enter")
    form.get_by_role("heading", name="Who may").wait_for()
    keys.press("Tab")
    keys.press("Enter")
    shown("Which part of the requests should it get?", "5-traffic")
    keys.press("Tab")
    keys.press("Enter")
    shown("Is this what you want?", "6-review")
    line = "%deploy by-keys --model weights --score times-three --autoscale 1:2"
    assert line in form.get_by_label("Equivalent magic").inner_text()
    assert "1 to 2, following the load" in form.inner_text()
    form.get_by_role("button", name="Insert the line below").focus()
    keys.press("Enter")
    form.get_by_text("Inserted below").wait_for()
    assert notebook.sources()[2:4] == ["%deploy", line]
    assert notebook.counts()[3] is None
    form.get_by_role("button", name="Deploy now").focus()
    keys.press("Enter")
    form.get_by_role("heading", name="Endpoint is ready").wait_for()
    shown("Endpoint is ready", "7-progress")
    form.get_by_role("button", name="Insert a call below").click()
    notebook.page.wait_for_function("() => document.querySelectorAll('.jp-CodeCell').length >= 6")
    call = "# Replace DATA by a variable, JSON or a file, then remove the marks.\n# %invoke by-keys DATA"
    assert notebook.sources()[2:5] == ["%deploy", line, call], "in the order of the insertions"
    expect(notebook.run(len(notebook.sources()) - 1)).to_contain_text("3.0")
    assert notebook.errors() == []
