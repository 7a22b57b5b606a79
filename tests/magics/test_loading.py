"""Loading and unloading: quick, repeatable, and polite to other extensions."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mljupyter.magics.catalog import SHORT
from tests.magics.conftest import Shell
from tests.waiting import promised

LOAD = """
import time
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
start = time.process_time()
shell.run_line_magic("load_ext", "mljupyter")
print(time.process_time() - start)
"""


@pytest.mark.alone
def test_loading_takes_less_than_150_ms_of_a_core_beyond_ipython(home: Path) -> None:
    def seconds() -> float:
        return float(subprocess.run([sys.executable, "-c", LOAD], capture_output=True, text=True, check=True).stdout)

    assert min(seconds() for _ in range(3)) < promised(0.150)


def test_loading_imports_neither_the_sdk_nor_anything_heavy(home: Path) -> None:
    code = (
        "import sys; from mljupyter.magics import registration\n"
        "heavy = {'mljupyter.core', 'mljupyter.widgets', 'anywidget', 'docker', 'ipywidgets', 'plotly', 'pydantic', "
        "'sqlalchemy', 'httpx', 'numpy', 'pandas', 'sklearn'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_every_magic_is_there_under_its_short_name_and_under_mlj(shell: Shell) -> None:
    magics = shell.ip.magics_manager.lsmagic()
    assert {magic.name for magic in SHORT} | {"mlj"} <= set(magics["line"])
    assert {"score", "mlj"} <= set(magics["cell"])
    overview = shell.run("%mlj").text()
    assert all(magic.name in overview for magic in SHORT)
    assert "doctor" in overview


def test_loading_again_changes_nothing(shell: Shell) -> None:
    matchers = len(shell.ip.Completer.custom_matchers)
    shell.run("%reload_ext mljupyter")
    from mljupyter.magics.registration import load

    load(shell.ip)
    assert len(shell.ip.Completer.custom_matchers) == matchers
    assert shell.run("%endpoints --help").text().startswith("usage: %endpoints")


def test_unloading_leaves_nothing_behind(shell: Shell) -> None:
    shell.run("%unload_ext mljupyter")
    assert not {"mlj", "deploy", "score"} & {
        name for kind in shell.ip.magics_manager.lsmagic().values() for name in kind
    }
    assert not shell.ip.Completer.custom_matchers
    shell.run("%load_ext mljupyter")


def test_a_name_of_another_extension_stays_its_own(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    shell.run("%unload_ext mljupyter")
    shell.ip.register_magic_function(lambda line: "theirs", "line", "logs")
    capsys.readouterr()
    shell.run("%load_ext mljupyter")
    said = capsys.readouterr().err
    assert said == "mljupyter: %logs belongs to another extension: use %mlj logs.\n"
    assert shell.run("%logs x") == "theirs"
    assert shell.run("%mlj logs --help").text().startswith("usage: %logs")
    shell.run("%unload_ext mljupyter")
    assert shell.run("%logs x") == "theirs"
    shell.run("%load_ext mljupyter")


def test_the_question_mark_shows_the_help_text(shell: Shell) -> None:
    found = shell.ip.object_inspect("%deploy")
    assert found["docstring"].startswith("usage: %deploy NAME [ESTIMATOR] [options]")
