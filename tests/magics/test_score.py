"""%%score: the script is checked, tried in a process of its own, and kept."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest

from tests.magics.conftest import SCRIPT, Shell
from tests.waiting import promised, wait_until


def cell(line: str, script: str = SCRIPT) -> str:
    return f"%%score {line}\n{script}"


def test_a_script_is_checked_and_kept_for_its_owner_alone(shell: Shell, home: Path) -> None:
    assert shell.run(cell("sums")).text() == "✓ sums: checked"
    kept = home / "workspaces/default/scoring/sums/score.py"
    assert kept.read_text().endswith(SCRIPT)
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700


def test_a_sample_is_answered_in_one_line_that_is_the_same_every_time(shell: Shell) -> None:
    shell.variables["rows"] = {"data": [[1, 2], [3, 4]]}
    for _ in range(2):
        assert shell.run(cell("sums --sample rows")).text() == "✓ sums: sample → [6, 14]"
    assert shell.run(cell('sums --sample {"data": [[5]]}')).text() == "✓ sums: sample → [10]"


def test_a_long_answer_is_shortened(shell: Shell) -> None:
    shell.variables["rows"] = {"data": [[1]] * 1000}
    text = shell.run(cell("sums --sample rows")).text()
    assert len(text) < 130
    assert text.endswith("…")


def test_the_sample_runs_in_another_process(shell: Shell) -> None:
    script = "import os\ndef init(): pass\ndef run(data): return os.getpid()"
    assert shell.run(cell("own --sample 1", script)).text() != f"✓ own: sample → {os.getpid()}"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("factor *", "factor +* "), "Line 9: invalid syntax\n    return [factor +*  sum(row)"),
        (("def run", "def runs"), "The cell does not define run()."),
        (("def init", "def start"), "The cell does not define init()."),
        (("import json", "%pip install json"), "Magics and shell commands cannot be part of a scoring script."),
    ],
)
def test_a_script_that_cannot_work_is_not_kept(shell: Shell, home: Path, change: tuple[str, str], said: str) -> None:
    assert said in shell.error(cell("sums", SCRIPT.replace(*change)))
    assert not (home / "workspaces/default/scoring/sums").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("factor = 2", "factor = 1 / 0"), "init() failed on line 6 of the cell:\n  factor = 1 / 0\nZeroDivisionError"),
        (('["data"]', '["rows"]'), "run(sample) failed on line 9 of the cell:\n  return [factor * sum(row)"),
        (("import json", "import jsonn"), "the script failed on line 2 of the cell:\n  import jsonn\nModuleNotFound"),
        (("factor = 2", "raise SystemExit(3)"), "init() failed on line 6 of the cell:"),
        (("factor = 2", "__import__('os')._exit(3)"), "The script ended its process with status 3."),
        (("return [", "return {1, 2} or ["), "run(sample) failed: run() returned a set that cannot become JSON"),
    ],
)
def test_a_failing_sample_shows_the_line_of_the_cell(shell: Shell, change: tuple[str, str], said: str) -> None:
    said_here = shell.error(cell('sums --sample {"data": [[1]]}', SCRIPT.replace(*change)))
    assert said_here.startswith(said)
    assert len(said_here.splitlines()) <= 4
    assert "/tmp" not in said_here


def test_a_script_that_hangs_is_ended_with_what_it_started(shell: Shell, tmp_path: Path) -> None:
    mark = tmp_path / "child"
    script = (
        "import subprocess, time\n"
        "def init():\n    child = subprocess.Popen(['sleep', '600'])\n"
        f"    open({str(mark)!r}, 'w').write(str(child.pid))\n"
        "    time.sleep(600)\n"
        "def run(data): pass"
    )
    for seconds in (2, 10, 60):  # by then init() must have begun, which takes longer on a slow machine
        start = time.monotonic()
        assert f"took longer than {seconds} s" in shell.error(cell(f"slow --sample 1 --timeout {seconds}s", script))
        assert time.monotonic() - start < seconds + promised(8)
        if mark.exists():
            break
    import psutil

    pid = int(mark.read_text())

    def ended() -> bool:
        try:
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    wait_until(ended, what="the child is ended")


def test_a_failed_try_leaves_the_kept_script_as_it_was(shell: Shell, home: Path) -> None:
    shell.run(cell("sums"))
    shell.error(cell('sums --sample {"data": 5}'))
    assert (home / "workspaces/default/scoring/sums/score.py").read_text().endswith(SCRIPT)


def test_the_files_of_the_source_directory_are_where_a_replica_has_them(shell: Shell) -> None:
    source = Path("helpers")
    source.mkdir()
    (source / "extra.json").write_text("7")
    (source / "tools.py").write_text("def double(x): return 2 * x")
    script = (
        "import json\nfrom tools import double\n"
        "def init():\n    global extra\n    extra = json.load(open('helpers/extra.json'))\n"
        "def run(data): return double(extra)"
    )
    assert shell.run(cell("tool --source-directory helpers --sample 1", script)).text() == "✓ tool: sample → 14"
    shell.run(cell("tool --source-directory helpers -o config", script))
    config = shell.variables["config"]
    assert (config.source_path.name, config.script_in_source) == ("helpers", "score.py")
    assert (config.source_path / "tools.py").read_text() == "def double(x): return 2 * x"


def test_a_source_directory_with_a_script_of_that_name_is_refused(shell: Shell) -> None:
    Path("helpers").mkdir()
    Path("helpers/score.py").write_text("")
    assert "has a score.py of its own" in shell.error(cell("tool --source-directory helpers"))


def test_init_finds_a_registered_model(shell: Shell) -> None:
    Path("weights.json").write_text("[3]")
    shell.run(
        "from mljupyter.core import Model, Workspace\n"
        "Model.register(Workspace.create('default', exist_ok=True), 'weights.json', 'weights')"
    )
    script = (
        "import json, os\n"
        "def init():\n    global w\n    w = json.load(open(os.environ['AZUREML_MODEL_DIR'] + '/weights.json'))\n"
        "def run(data): return [w[0], os.path.relpath(os.environ['AZUREML_MODEL_DIR'])]"
    )
    expected = '✓ weigh: sample → [3, "azureml-models/weights/1"]'
    assert shell.run(cell("weigh --model weights --sample 1", script)).text() == expected
    assert shell.run(cell("weigh --model weights:1 --sample 1", script)).text() == expected


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("../up", "Invalid scoring script name '../up'. Use 1 to 64 letters"),
        ("sums --source-directory nowhere", "--source-directory nowhere: there is no such directory."),
        ("sums --sample nothing", "There is no variable 'nothing'."),
        ("sums --sample 1 --model nothing", "There is no registered model 'nothing' in this workspace."),
        ("sums --timeout 0s", "--timeout: 0s is below 0.1, the least allowed."),
        ("", "Missing: NAME"),
    ],
)
def test_a_wrong_line_is_refused(shell: Shell, line: str, said: str) -> None:
    assert shell.error(cell(line)).startswith(said)


def test_the_line_form_says_where_the_script_goes(shell: Shell) -> None:
    assert shell.error("%score sums") == "The scoring script goes into the cell: start it with %%score sums"


def test_the_umbrella_takes_a_cell_as_well(shell: Shell) -> None:
    assert shell.run(f"%%mlj score sums\n{SCRIPT}").text() == "✓ sums: checked"


def test_both_forms_of_the_outcome_are_free_of_anything_that_changes(shell: Shell) -> None:
    shown = [shell.run(cell('sums --sample {"data": [[1]]}')) for _ in range(2)]
    assert shown[0].text() == shown[1].text()
    assert shown[0]._repr_html_() == shown[1]._repr_html_()


SCHEMA = """
import numpy as np
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.schema_decorators import input_schema

def init(): pass

@input_schema("rows", NumpyParameterType(np.array([[1, 2]])))
def run(rows): return rows.sum(axis=1).tolist()
"""


def test_a_script_with_a_schema_is_tried_with_its_sample(shell: Shell) -> None:
    assert shell.run(cell('sums --sample {"rows": [[1, 2]]}', SCHEMA)).text() == "✓ sums: sample → [3]"


RESPONDS = """
from azureml.contrib.services.aml_response import AMLResponse

def init(): pass

def run(data): return RESULT

def failing():
    yield "first"
    raise KeyError("half way")
"""


@pytest.mark.parametrize(
    ("result", "shown"),
    [
        ('AMLResponse("a text", 200)', '"a text"'),
        ('AMLResponse("", 204)', '""'),
        ('AMLResponse(b"\\xff", 200)', '"\ufffd"'),
        ("AMLResponse({'a': 1}, 201, json_str=True)", '{"a": 1}'),
        ('AMLResponse((part for part in ("in ", "pieces")), 200)', '"in pieces"'),
        ("(part for part in (1, 2))", "[1, 2]"),
    ],
)
def test_an_answer_of_the_script_s_own_is_shown_as_a_client_reads_it(shell: Shell, result: str, shown: str) -> None:
    assert shell.run(cell("own --sample 1", RESPONDS.replace("RESULT", result))).text() == f"✓ own: sample → {shown}"


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ('AMLResponse("no number", 400)', "run(sample) failed: run() answered 400: no number."),
        ('AMLResponse("", 503)', "run(sample) failed: run() answered 503."),
        ("AMLResponse(['a'], 422, json_str=True)", 'run(sample) failed: run() answered 422: ["a"].'),
        ("AMLResponse({'message': 'too long'}, 413, json_str=True)", "run(sample) failed: too long."),
        ("AMLResponse(failing(), 200)", "KeyError: 'half way'"),
        ("AMLResponse(iter([5]), 200)", "run(sample) failed: "),
    ],
)
def test_an_answer_that_is_no_success_is_told_with_its_text(shell: Shell, result: str, said: str) -> None:
    assert said in shell.error(cell("own --sample 1", RESPONDS.replace("RESULT", result)))
