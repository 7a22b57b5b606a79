"""Magics that look: models, compute targets, requests in a cell, errors as they are set to be shown."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from IPython.utils.capture import capture_output

from tests.magics.conftest import Shell

REGISTER = """
from mljupyter.core import Model, Workspace
ws = Workspace.create("default", exist_ok=True)
first = Model.register(ws, "weights.json", "weights", tags={"area": "demo", "a": "b"})
second = Model.register(ws, "weights.json", "weights")
other = Model.register(ws, "weights.json", "others", model_framework="Onnx", model_framework_version="1.17")
"""


@pytest.fixture
def registered(shell: Shell) -> Shell:
    Path("weights.json").write_text("[3]")
    shell.run(REGISTER)
    return shell


def undated(text: str) -> str:
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "DATE", text)


def test_models_are_listed_with_versions_and_tags(registered: Shell) -> None:
    end = "3 bytes  DATE"
    assert undated(registered.run("%models").text()) == (
        "Name     Versions  Framework  Tags  Used by  Size     Created\n"
        f"others   1         Onnx 1.17                 {end}\n"
        f"weights  2, 1                                {end}"
    )
    assert undated(registered.run("%models weights").text()) == (
        "Version  Framework  Tags            Properties  Used by  Size     Created\n"
        f"2                                                        {end}\n"
        f"1                   a=b, area=demo                       {end}"
    )
    assert [item["version"] for item in registered.run("%models weights:1").data] == [1]


def test_models_can_be_had_as_json(registered: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    registered.run("%models --json")
    assert {(item["id"], tuple(item["usedBy"])) for item in json.loads(capsys.readouterr().out)} == {
        ("weights:1", ()),
        ("weights:2", ()),
        ("others:1", ()),
    }


def test_a_model_that_is_not_there_is_an_error_with_the_nearest_name(registered: Shell) -> None:
    assert registered.error("%models wights").endswith("Did you mean 'weights'?")
    said = "There is no registered model 'weights:9' in this workspace. It has versions 1, 2."
    assert registered.error("%models weights:9") == said
    assert registered.error("%models delete weights:9") == f"{said} Nothing was deleted."
    assert registered.error("%deploy adder --score sums --model weights:9 --dry-run") == said


def test_a_workspace_without_models_says_how_to_begin(shell: Shell) -> None:
    assert shell.run("%models").text().startswith("No models yet.")


def test_compute_targets_come_with_the_reason_why_not(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    shown = shell.run("%compute")
    local, docker = shown.data
    assert (local["name"], local["provisioningErrors"]) == ("local", None)
    assert (docker["name"], docker["provisioningState"]) == ("docker", "Failed")
    lines = shown.text().splitlines()
    assert lines[1] == "✓  local   Local   ready"
    assert lines[2].startswith("✗  docker  Docker  ")
    assert docker["provisioningErrors"].split()[0] in lines[2]


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("%%invoke adder\n{'data': 1}", "Line 2 of the cell is not JSON"),
        ('%%invoke adder\n{\n  "data": [1,]\n}', "Line 3 of the cell is not JSON"),
        ('%%invoke adder 5\n{"data": 1}', "Give the data once"),
        (
            "%invoke adder",
            "Give the data once: on the line (%invoke adder DATA), or as JSON in the cell (%%invoke adder)",
        ),
    ],
)
def test_data_in_a_cell_is_checked_before_anything_is_sent(shell: Shell, cell: str, said: str) -> None:
    assert shell.error(cell).startswith(said)


def test_errors_can_be_shown_with_their_traceback(shell: Shell) -> None:
    def shown() -> str:
        with capture_output() as captured:
            shell.ip.run_cell("%deploy x --replicas two")
        return captured.stdout

    assert "Traceback" not in shown()
    shell.run("%config MLJupyter.short_errors = False")
    assert "Traceback" in shown()
    shell.run("%config MLJupyter.short_errors = True")
    assert "Traceback" not in shown()


def test_the_settings_are_there_once_however_often_the_extension_is_loaded(shell: Shell) -> None:
    for _ in range(2):
        shell.run("%reload_ext mljupyter")
    names = [type(known).__name__ for known in shell.ip.configurables]
    assert names.count("MLJupyter") == 1
    shell.run("%unload_ext mljupyter")
    assert "MLJupyter" not in [type(known).__name__ for known in shell.ip.configurables]
    shell.run("%load_ext mljupyter")
