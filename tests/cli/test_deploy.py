"""``mljupyter score``, ``deploy`` and ``monitor``, and submitted scripts, on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from mljupyter.core import Workspace
from mljupyter.deploy.cell_script import first_line
from tests.cli.conftest import SCRIPT
from tests.cli.in_process import failed, run, run_json

pytestmark = pytest.mark.system
DATA = '{"data": [[1, 2]]}'


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("MLJUPYTER_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLJUPYTER_WORKSPACE", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "score.py").write_text(SCRIPT)
    workspace = Workspace.create("team")
    workspace.write_config()
    return workspace


def test_a_script_is_tried_stored_deployed_and_watched(workspace: Workspace, tmp_path: Path) -> None:
    assert run_json("score", "adder", "score.py", "--sample", DATA) == {"name": "adder", "tried": True, "result": [3]}
    assert "Did you mean 'adder'?" in failed("deploy", "sums", "--score", "addr")
    (tmp_path / "sums.yml").write_text("score: adder\nreplicas: 1\n")
    planned = run_json("deploy", "sums", "-f", "sums.yml", "--memory", "600Mi", "--dry-run")
    assert planned["versions"]["sums"]["scaling"]["replicas"] == 1
    try:
        assert run("deploy", "sums", "-f", "sums.yml").stdout.splitlines()[1].startswith("  Healthy: http://")
        assert run("deploy", "sums", "-f", "sums.yml").stdout.startswith("sums → local: unchanged")
        assert run_json("endpoint", "invoke", "sums", DATA) == [3]
        assert run("monitor", "--once").stdout.splitlines()[1].split()[:3] == ["sums", "sums", "1/1"]
        assert run("monitor", "sums", "--query", "[].endpoint", "-o", "tsv").stdout == "sums\n"
        assert run("traffic", "sums", "-o", "tsv", "--query", "[0].version").stdout == "sums\n"
    finally:
        workspace.delete(delete_dependent_resources=True)


def test_a_script_that_fails_on_the_sample_is_not_stored(workspace: Workspace) -> None:
    assert "run(sample) failed on line 7" in failed("score", "adder", "score.py", "--sample", "[]")
    assert "There is no scoring script 'adder'" in failed("deploy", "sums", "--score", "adder")


def test_a_start_that_fails_names_the_line_of_the_cell_or_of_the_file(workspace: Workspace, tmp_path: Path) -> None:
    script = "def init():\n    raise OSError('no weights')\ndef run(data): pass\n"
    (tmp_path / "broken.py").write_text(script)
    (tmp_path / "cell.py").write_text(f"{first_line('broken')}{script}")  # as %%score has stored it
    try:
        for file, place in (("broken.py", "line 2 of broken.py"), ("cell.py", "line 3 of the cell")):
            said = failed("deploy", "broken", "--score", file, "--replicas", "1")
            assert f"init() failed in {place}: OSError: no weights" in said
            assert f"in {place}: OSError" in run("endpoint", "show", "broken").stdout
    finally:
        workspace.delete(delete_dependent_resources=True)


def test_values_of_options_are_checked_and_end_with_2(workspace: Workspace) -> None:
    told = run("deploy", "sums", "--score", "score.py", "--replicas", "many", expected=2).output
    assert "'many' is not a whole number" in told
    assert "below 0.5 s" in run("monitor", "--every", "0.1s", expected=2).output


def test_a_submitted_script_is_followed_listed_and_its_model_registered(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(
        "import sys\nfrom pathlib import Path\nfrom mljupyter.core import Run\n"
        "Run.get_context().log('alpha', float(sys.argv[2]))\nPath('outputs').mkdir(exist_ok=True)\n"
        "Path('outputs/model.txt').write_text('1')\nprint('trained')\n"
    )
    done = run("run", "submit-script", "-e", "exp", "-t", "run.json", "train.py", "--alpha", "0.5")
    assert "trained" in done.stderr
    listed = run_json("run", "list", "-e", "exp", "--last", "5")
    assert [one["status"] for one in listed] == ["Completed"]
    assert "Metric alpha: " in run("run", "show", "-r", listed[0]["runId"]).stdout
    run("run", "update", "-r", listed[0]["runId"], "--add-tag", "a=b")
    registered = run_json("model", "register", "-n", "m", "-f", "run.json", "--asset-path", "outputs/model.txt")
    assert (registered["runId"], registered["experimentName"]) == (listed[0]["runId"], "exp")
    assert "ExperimentNotFound" in failed("run", "list", "-e", "nothing")
    assert run("run", "experiments").stdout.split() == ["NAME", "exp"]
