"""The other wizards in a real JupyterLab: what they do, in both themes, and what is left of them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from functools import partial

from nbconvert import HTMLExporter
from playwright.sync_api import Locator, Page, expect

from tests.browser.lab import Lab, Notebook, narrow_problems, serious_problems
from tests.testbed import needed

LOAD = "%load_ext mljupyter\n%mlj workspace others --create -o ws"
MODEL = """
from pathlib import Path
import numpy as np
Path("churn.onnx").write_text("1")
class Forest:
    def predict(self, rows): return rows
    def fit(self): self.trees_ = 100; return self
forest = Forest().fit()
"""
TYPED = """
from mljupyter.core import InferenceConfig, Model
from mljupyter.core.webservice import AciWebservice
Path("typed.py").write_text('''
import pandas as pd
from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType
from inference_schema.schema_decorators import input_schema
def init(): pass
@input_schema("data", PandasParameterType(pd.DataFrame({"age": [1.5], "ok": [True]})))
def run(data): return data.to_dict("records")
''')
Model.deploy(ws, "typed", [], InferenceConfig("typed.py"), AciWebservice.deploy_configuration()).wait_for_deployment()
"""
VERSIONS = """
from mljupyter.core import InferenceConfig, Model
from mljupyter.core.webservice import AksEndpoint
Path("answer.py").write_text("def init(): pass\\ndef run(data): return data")
config = InferenceConfig("answer.py")
size = dict(num_replicas=1, cpu_cores=0.1, memory_gb=0.2)
endpoint = Model.deploy(ws, "churn", [], config, AksEndpoint.deploy_configuration(version_name="version-a", **size))
endpoint.create_version("version-b", inference_config=config, traffic_percentile=10, **size)
endpoint.create_version("version-c", inference_config=config, **size)
endpoint.wait_for_deployment()
"""


class Shown:
    """A form in a notebook; each of its pages is kept as a picture in both themes, and looked at by axe."""

    def __init__(self, notebook: Notebook, title: str, name: str, shot: Callable[..., None], cell: int) -> None:
        self.notebook = notebook
        self.form: Locator = notebook.page.get_by_role("form", name=title)
        self._selector = f".jp-CodeCell:nth-of-type({cell + 1}) form.mlj"
        self._name = name
        self._shot = shot

    def page(self, heading: str, name: str) -> Locator:
        self.form.get_by_role("heading", name=heading).wait_for()
        self.form.evaluate("form => form.setAttribute('data-shown', '')")
        for theme in self.notebook.themes():
            self.notebook.theme(theme)
            self._shot(f"{self._name}-{name}-{theme}", "form[data-shown]")
            assert serious_problems(self.notebook.page, "form[data-shown]") == []
        take = partial(self._shot, f"{self._name}-{name}-narrow", "form[data-shown]")
        assert narrow_problems(self.notebook.page, "form[data-shown]", take) == []
        self.form.evaluate("form => form.removeAttribute('data-shown')")
        return self.form

    def press(self, button: str) -> None:
        control = self.form.get_by_role("button", name=button)
        expect(control).to_be_enabled()
        control.focus()
        self.notebook.page.keyboard.press("Enter")


def test_a_fitted_variable_is_registered_and_its_code_kept(
    opened: Callable[..., Notebook], shot: Callable[..., None]
) -> None:
    notebook = opened(
        LOAD, MODEL, "%mlj register", "print(sorted(ws.models['forest'].tags.items()))", TYPED, "%mlj try typed"
    )
    for cell in range(3):
        notebook.run(cell)
    shown = Shown(notebook, "Register a model", "register", shot, 2)
    form = shown.page("What do you want to register?", "1-what")
    assert "churn.onnx (file, 1 byte)" in form.get_by_label("Model").inner_text()
    shown.press("Next")
    form.get_by_role("heading", name="Under which name?").wait_for()
    form.get_by_label("Tags").fill("area")
    shown.press("Next")
    form.get_by_text("'area' is not a tag").wait_for()
    expect(form.get_by_label("Tags")).to_be_focused()
    shown.page("Under which name?", "2-name")
    form.get_by_label("Tags").fill("area=demo")
    shown.press("Next")
    form.get_by_role("heading", name="Is this what you want?").wait_for()
    shown.press("Register now")
    form.get_by_text("forest:1").wait_for()
    shown.page("Is this what you want?", "3-register")
    expect(notebook.run(3)).to_contain_text("[('area', 'demo')]")
    notebook.run(4)
    notebook.run(5)
    shown = Shown(notebook, "Try it", "try", shot, 5)
    form = shown.page("Send a request to typed", "1-request")
    form.get_by_label("age").focus()
    notebook.page.keyboard.press("ControlOrMeta+A")
    notebook.page.keyboard.type("much")
    shown.press("Send")
    form.get_by_text("it must be a number").wait_for()
    form.get_by_label("age").fill("3.5")
    form.get_by_label("ok").select_option("false")
    shown.press("Send")
    form.get_by_text("Answered in").wait_for()
    assert '"age": 3.5' in form.inner_text()
    assert '"ok": false' in form.inner_text()
    shown.page("Send a request to typed", "2-answer")
    assert notebook.errors() == []


def test_requests_are_divided_compared_and_promoted_from_forms(
    opened: Callable[..., Notebook], shot: Callable[..., None]
) -> None:
    notebook = opened(
        LOAD, MODEL + VERSIONS, "%traffic", "%mlj compare", "%mlj attach", "%traffic churn -o shares\nshares"
    )
    for cell in range(3):
        notebook.run(cell)
    shown = Shown(notebook, "Shift traffic", "traffic", shot, 2)
    form = shown.page("Which endpoint?", "1-endpoint")
    shown.press("Next")
    form.get_by_role("heading", name="Who gets which part").wait_for()
    slider = form.get_by_role("slider", name="version-b, percent")
    slider.focus()
    notebook.page.keyboard.press("ArrowRight")
    form.get_by_role("spinbutton", name="version-a, percent").and_(notebook.page.locator("[disabled]")).wait_for()
    notebook.page.wait_for_function(
        "() => document.querySelector('input[type=number][aria-label^=version-a]').value === '89'"
    )
    shown.page("Who gets which part", "2-shares")
    form.get_by_role("radio", name="Step by step").check()
    steps, guard = form.get_by_role("textbox", name="Steps"), form.get_by_role("textbox", name="Guard")
    steps.fill("50, 25")
    shown.press("Next")
    form.get_by_text("each step must be above the one before").wait_for()
    expect(steps).to_be_focused()
    notebook.page.keyboard.press("Control+a")
    notebook.page.keyboard.type("25, 50", delay=60)
    form.get_by_text("each step must be above the one before").wait_for(state="hidden")
    for _ in range(2):
        notebook.page.keyboard.press("Tab")
    expect(guard).to_be_focused()
    notebook.page.keyboard.type("p95<200ms, errors<1%", delay=60)
    expect(guard).to_be_focused()
    assert [steps.input_value(), guard.input_value()] == ["25, 50", "p95<200ms, errors<1%"]
    shown.page("Who gets which part", "2-steps")
    form.get_by_role("radio", name="At once").check()
    shown.press("Next")
    shown.page("Is this what you want?", "3-review")
    assert "%traffic churn version-a=89 version-b=11 version-c=0" in form.inner_text()
    shown.press("Apply now")
    form.get_by_text("the router uses the new shares").wait_for()
    expect(notebook.run(5)).to_contain_text("11")

    notebook.run(3)
    shown = Shown(notebook, "Compare versions", "compare", shot, 3)
    form = shown.form
    form.get_by_role("heading", name="Which endpoint?").wait_for()
    shown.press("Next")
    form.get_by_role("heading", name="Which version is better?").wait_for()
    shown.press("Promote it")
    form.get_by_text("Choose the version").wait_for()
    form.get_by_role("radio", name="version-b").check()
    shown.page("Which version is better?", "1-compare")
    shown.press("Promote it")
    form.get_by_role("heading", name="Give it all requests?").wait_for()
    shown.press("Promote now")
    form.get_by_text("It is done.").wait_for()
    shown.page("Give it all requests?", "2-promote")

    notebook.run(4)
    shown = Shown(notebook, "Compute targets", "attach", shot, 4)
    form = shown.form
    form.get_by_role("button", name="Check again", disabled=False).wait_for()
    shown.page("Where can endpoints run?", "1-targets")
    expect(form).to_contain_text("Can be used now.")
    shown.press("Choose a Docker engine")
    form.get_by_role("heading", name="Which Docker engine?").wait_for()
    form.get_by_role("radio", name="another one").check()
    form.get_by_role("textbox", name="Address").fill("docker.example")
    shown.press("Next")
    form.get_by_text("is not the address of an engine").wait_for()
    shown.page("Which Docker engine?", "2-engine")
    form.get_by_role("textbox", name="Address").fill("unix:///nowhere.sock")
    shown.press("Next")
    form.get_by_role("button", name="Insert the code below", disabled=True).wait_for()
    shown.page("Use this engine", "3-use")
    assert notebook.errors() == []


def test_a_cluster_is_attached_and_detached_from_a_notebook(
    opened: Callable[..., Notebook], shot: Callable[..., None]
) -> None:
    kubeconfig, base = needed("TESTBED_KUBECONFIG"), needed("TESTBED_BASE_IMAGE")
    namespace = f"browser-{os.getpid()}"
    notebook = opened(
        f"%env KUBECONFIG={kubeconfig}\n%env MLJUPYTER_BASE_IMAGE={base}\n{LOAD}",
        "%mlj attach",
        "name = 'team'\n%mlj detach $name",
        "print(list(ws.compute_targets))",
    )
    for cell in range(2):
        notebook.run(cell)
    shown = Shown(notebook, "Compute targets", "cluster", shot, 1)
    form = shown.form
    form.get_by_role("heading", name="Where can endpoints run?").wait_for()
    form.get_by_role("radio", name="a Kubernetes cluster").check()
    shown.press("Attach a cluster")
    form.get_by_role("heading", name="Which cluster?").wait_for()
    form.get_by_role("textbox", name="Name", exact=True).fill("7up")
    form.get_by_role("textbox", name="Namespace").fill(namespace)
    form.get_by_role("radio", name="DevTest").check()
    form.get_by_role("radio", name="a port of each node").check()
    shown.press("Check it")
    form.get_by_text("a letter first").wait_for()
    shown.page("Which cluster?", "1-cluster")
    form.get_by_role("textbox", name="Name", exact=True).fill("team")
    shown.press("Check it")
    form.get_by_role("button", name="Check again", disabled=False).wait_for()
    shown.page("Can it be attached?", "2-check")
    assert "attaching checks from the nodes" in form.inner_text()
    shown.press("Continue")
    shown.page("Is this what you want?", "3-review")
    options = f"--context .+ --namespace {namespace} --purpose DevTest --service-type NodePort"
    assert re.search(f"%mlj attach team {options}", form.inner_text())
    shown.press("Attach now")
    form.get_by_role("button", name="Cancel").wait_for()
    form.get_by_role("heading", name="It is attached").wait_for()
    shown.page("It is attached", "4-attached")
    assert "/api/v1/service/NAME/score" in form.inner_text()
    expect(notebook.run(2)).to_contain_text("nothing of mljupyter is left there")
    expect(notebook.run(3)).to_contain_text("['local', 'docker']")
    assert notebook.errors() == []


def test_a_saved_form_keeps_its_last_state_for_every_reader(
    opened: Callable[..., Notebook], shot: Callable[..., None]
) -> None:
    notebook = opened(LOAD, MODEL, "%mlj register")
    for cell in range(3):
        notebook.run(cell)
    page, lab = notebook.page, notebook.lab
    form = page.get_by_role("form", name="Register a model")
    static = page.locator(".mlj-static")
    form.wait_for()
    expect(static).to_be_hidden()
    notebook.save()
    notebook.reload(form)  # the kernel still has it
    expect(static).to_be_hidden()
    notebook.run(2)
    form.get_by_role("button", name="Next").click()
    expect(static).to_contain_text("step 2 of 3")
    expect(static).to_be_hidden()
    notebook.save()
    notebook.restart_kernel()
    static.wait_for()
    expect(static).to_contain_text("run %mlj register")
    notebook.reload(static)
    shows_the_last_state_only(page)
    for theme in notebook.themes():
        notebook.theme(theme)
        shot(f"saved-form-{theme}")
        assert serious_problems(page, ".jp-OutputArea-child:has(.mlj-static)") == []
    saved = lab.directory / notebook.name
    page.goto(f"{lab.url}notebooks/{notebook.name}?token={lab.token}")
    shows_the_last_state_only(page)
    document = json.loads(saved.read_text())
    document["cells"][2]["outputs"][0]["data"]["text/html"] = ["<!-- changed by somebody else -->"]
    saved.write_text(json.dumps(document))
    page.goto(lab.address(notebook.name))  # not trusted any more: without styles of its own
    shows_the_last_state_only(page)
    html, _ = HTMLExporter().from_filename(str(saved))  # nbviewer shows the same
    page.set_content(html, wait_until="commit")
    shows_the_last_state_only(page)


def shows_the_last_state_only(page: Page) -> None:
    """Check that a reader without the kernel sees the form's last state, and no error or loading text."""
    expect(page.locator(".mlj-static")).to_be_visible()
    expect(page.locator(".mlj-static")).to_contain_text("step 2 of 3: Under which name?")
    expect(page.locator(".mlj-static")).to_contain_text("run %mlj register")
    expect(page.get_by_text(re.compile("(Error displaying|Loading) widget")).filter(visible=True)).to_have_count(0)
    expect(page.locator("form.mlj")).to_have_count(0)


def test_code_goes_into_a_new_cell_of_notebook_7_and_is_not_run(page: Page, lab: Lab) -> None:
    from tests.browser.lab import notebook as write

    write([LOAD, MODEL, "%mlj register", "x = 1"], lab.directory / "classic.ipynb")
    page.goto(f"{lab.url}notebooks/classic.ipynb?token={lab.token}")
    notebook = Notebook(page, lab, "classic.ipynb")
    notebook.wait_kernel()
    for cell in range(3):
        notebook.run(cell)
    form = page.get_by_role("form", name="Register a model")
    for _ in range(2):
        form.get_by_role("button", name="Next").click()
    before = notebook.sources()
    form.get_by_role("button", name="Insert the code below").click()
    form.get_by_text("Inserted below").wait_for()
    after = notebook.sources()
    assert [*after[:3], *after[4:]] == before
    assert "joblib.dump(forest" in after[3]
    assert notebook.counts()[3] is None
    notebook.command("notebook:undo-cell-action")
    page.wait_for_function(
        "(count) => [...window.jupyterapp.shell.currentWidget.content.widgets].length === count", arg=len(before)
    )
    assert notebook.sources() == before
