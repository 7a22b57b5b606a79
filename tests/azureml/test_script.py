"""Old scripts run by ``python -m mljupyter.azureml`` as Python runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import COMMAND_SECONDS


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "project").mkdir()
    return tmp_path / "project"


def run(home: Path, *arguments: str, expected: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "mljupyter.azureml", *arguments],
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        cwd=home,
        env={**os.environ, "MLJUPYTER_HOME": str(home.parent / "home")},
    )
    assert done.returncode == expected, (done.stdout, done.stderr)
    return done


def test_a_script_is_the_main_module_with_its_own_arguments_and_import_path(home: Path) -> None:
    (home / "scripts").mkdir()
    (home / "scripts" / "beside.py").write_text("from azureml.core import Workspace\nNAME = Workspace.__module__\n")
    (home / "scripts" / "train.py").write_text(
        "import json, pickle, sys, beside\n"
        "class Own: pass\n"
        "own = pickle.loads(pickle.dumps(Own)).__name__\n"
        "def main(): print(json.dumps([sys.argv, __file__, __name__, beside.NAME, own]))\n"
        "if __name__ == '__main__': main()\n"
    )
    done = run(home, "scripts/train.py", "--alpha", "1")
    path = "scripts/train.py"
    assert json.loads(done.stdout) == [[path, "--alpha", "1"], path, "__main__", "mljupyter.core.workspace", "Own"]


def test_a_module_is_run_with_m(home: Path) -> None:
    (home / "package").mkdir()
    (home / "package" / "__init__.py").touch()
    (home / "package" / "job.py").write_text("import sys, azureml.core; print(__name__, sys.argv[1:], __package__)")
    assert run(home, "-m", "package.job", "x").stdout == "__main__ ['x'] package\n"


def test_a_traceback_begins_with_the_script(home: Path) -> None:
    (home / "fails.py").write_text("def divide():\n    return 1 / 0\n\ndivide()\n")
    lines = run(home, "fails.py", expected=1).stderr.splitlines()
    assert lines[:2] == ["Traceback (most recent call last):", '  File "fails.py", line 4, in <module>']
    assert lines[-1] == "ZeroDivisionError: division by zero"


def test_the_exit_status_is_that_of_the_script(home: Path) -> None:
    (home / "ends.py").write_text("import sys; sys.exit(7)")
    run(home, "ends.py", expected=7)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "usage: python -m mljupyter.azureml SCRIPT.py"),
        (["-m"], "usage: python -m mljupyter.azureml SCRIPT.py"),
        (["none.py"], "mljupyter: the script 'none.py' cannot be read: No such file or directory."),
        (["-m", "no_such.module"], "mljupyter: there is no module 'no_such.module'."),
    ],
)
def test_wrong_usage_ends_with_status_2_and_a_line(home: Path, arguments: list[str], told: str) -> None:
    done = run(home, *arguments, expected=2)
    assert done.stderr.startswith(told)
    assert "Traceback" not in done.stderr


def test_processes_that_the_script_starts_find_its_functions(home: Path) -> None:
    (home / "parallel.py").write_text(
        "import multiprocessing\n"
        "def double(number): return 2 * number\n"
        "if __name__ == '__main__':\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool: print(pool.map(double, [1, 2]))\n"
    )
    assert run(home, "parallel.py").stdout == "[2, 4]\n"
