"""``%az`` and ``!az``: old command lines of Azure in a cell."""

from __future__ import annotations

import pytest

from tests.magics.conftest import Shell


def test_an_old_command_line_runs_as_it_stands(shell: Shell, capfd: pytest.CaptureFixture[str]) -> None:
    shell.run("name = 'default'")
    shell.run("%az account show --query name -o tsv && echo $name")
    assert capfd.readouterr().out.split() == ["default", "default"]


def test_a_failure_is_an_error_of_the_cell_and_says_why(shell: Shell, capfd: pytest.CaptureFixture[str]) -> None:
    assert shell.error("%az ml pipeline list") == "az ended with status 1; see above."
    assert "az ml pipeline is not there" in "".join(capfd.readouterr())


def test_a_shell_command_of_a_cell_finds_az(shell: Shell) -> None:
    shell.run("said = !az login 2>&1")
    assert "az login: nothing to do" in shell.variables["said"].n


def test_az_of_another_extension_stays(shell: Shell) -> None:
    shell.ip.run_line_magic("unload_ext", "mljupyter")
    shell.run("from IPython.core.magic import register_line_magic\n@register_line_magic\ndef az(line): return 'theirs'")
    shell.ip.run_line_magic("load_ext", "mljupyter")
    assert shell.run("%az login") == "theirs"
