"""--env and --env-from: variables for scoring scripts, and secrets that are shown nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from mljupyter.core.variables import variables_in
from mljupyter.exceptions import UserErrorException
from mljupyter.notebook.options.command_line import line_of, typed_of
from mljupyter.notebook.options.option import Option
from mljupyter.notebook.options.option_values import read
from tests.magics.conftest import Shell

READING = (
    "import json, os\ndef init():\n    pass\ndef run(data):\n    return [os.environ.get(n) for n in json.loads(data)]\n"
)


def test_a_file_of_variables_is_read(tmp_path: Path) -> None:
    file = tmp_path / "serving.env"
    file.write_text("# which model\n\nLEVEL=3\nexport NAME = \"a b\"\nEMPTY=\nURL='http://x/?a=b'\n")
    assert variables_in(file) == {"LEVEL": "3", "NAME": "a b", "EMPTY": "", "URL": "http://x/?a=b"}


@pytest.mark.parametrize("line", ["hunter2", "A B=hunter2", "=hunter2", "1A=hunter2"])
def test_a_line_that_is_none_is_named_by_its_number_alone(tmp_path: Path, line: str) -> None:
    file = tmp_path / "serving.env"
    file.write_text(f"A=1\n{line}\n")
    with pytest.raises(UserErrorException) as caught:
        variables_in(file)
    assert "line 2" in caught.value.message
    assert "hunter2" not in caught.value.message


def test_values_are_typed_as_they_are_read() -> None:
    bounds = Option("autoscale", "least and most", kind="bounds")
    assert line_of("deploy", [bounds], {"autoscale": typed_of(read(bounds, "1:5"))}) == "%deploy --autoscale 1:5"


def test_what_is_wrong_with_a_variable_is_told_without_its_value(shell: Shell) -> None:
    shell.run(f"%%score reading\n{READING}")
    said = shell.error("%deploy adder --score reading --env 1A=hunter2")
    assert "'1A' is not of the form NAME=VALUE" in said
    assert "hunter2" not in said
    said = shell.error("%deploy adder --score reading --env-from missing.env")
    assert said == "--env-from: missing.env cannot be read: No such file or directory."


@pytest.mark.parametrize(
    "cell",
    [
        "env:\n  KEY: [hunter2]",
        "env:\n  KEY: {a: hunter2}",
        "env: [[KEY=hunter2]]",
        "defaultVersion: one\nversions: [{name: one, environmentVariables: {KEY: hunter2}}]",
        "defaultVersion: one\nversions:\n  one: [{environmentVariables: {KEY: hunter2}}]",
    ],
)
def test_what_is_wrong_with_a_cell_is_told_without_the_values_of_variables(shell: Shell, cell: str) -> None:
    assert "hunter2" not in shell.error(f"%%deploy adder\n{cell}")


def test_a_plan_names_variables_and_hides_their_values(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    shell.run(f"%%score reading\n{READING}")
    Path("serving.env").write_text("DATABASE=hunter2\n")
    capsys.readouterr()
    text = shell.run("%deploy adder --score reading --env API_KEY=hunter2 --env-from serving.env --dry-run").text()
    assert "versions.adder.environmentVariables.API_KEY = ***" in text
    assert "versions.adder.environmentVariables.DATABASE = ***" in text
    assert "hunter2" not in text + capsys.readouterr().out.partition("\nOut")[0]
    shell.run("%deploy adder --score reading --env API_KEY=x --env MODE=fast --dry-run;")
    assert "API_KEY is saved with the notebook" in capsys.readouterr().out
    code = shell.run("%deploy adder --score reading --env-from serving.env --code").text()
    assert "variables_in('serving.env')" in code
    assert "hunter2" not in code


@pytest.mark.parametrize(
    "body",
    [
        "score: reading\nenv: {MODE: fast, DEBUG: true, LEVEL: 08}\nautoscale: 1:5",
        "score: reading\nenv: [MODE=fast, DEBUG=true, LEVEL=08]\nautoscale: '1:5'",
    ],
)
def test_a_cell_gives_variables_and_bounds_as_they_are_written(shell: Shell, body: str) -> None:
    shell.run(f"%%score reading\n{READING}")
    version = shell.run(f"%%deploy adder --dry-run\n{body}").wanted.versions["adder"]
    assert version.environment_variables == {"MODE": "fast", "DEBUG": "true", "LEVEL": "08"}
    assert (version.scaling.autoscale.min_replicas, version.scaling.autoscale.max_replicas) == (1, 5)


@pytest.mark.system
def test_variables_reach_the_script_and_the_python_says_the_same(
    shell: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.run("%mlj workspace default --create -o ws")
    shell.run(f"%%score reading\n{READING}")
    Path("serving.env").write_text("DATABASE=from-file\nMODE=from-file\n")
    line = "%deploy adder --score reading --env MODE=fast --env-from serving.env"
    try:
        shell.run(f"{line} --quiet")
        assert shell.run('%invoke adder ["MODE", "DATABASE", "NOTHING"]') == ["fast", "from-file", None]
        exec(shell.run(f"{line} --code").text(), shell.variables)
        capsys.readouterr()
        shell.run(line)
        assert capsys.readouterr().out.startswith("adder → local: unchanged\n")
    finally:
        shell.variables["ws"].delete(delete_dependent_resources=True)
