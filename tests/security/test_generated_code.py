"""Attacks by names, paths and values on code that is generated: for a cell below, for ``--code``, for a shell."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mljupyter.magics.catalog import DEPLOY
from mljupyter.magics.commands.dry_run import called
from mljupyter.magics.parsing import parse, split
from mljupyter.notebook.options.command_line import line_of, quoted, values_of
from mljupyter.notebook.options.deployment_options import DEPLOYMENT_OPTIONS
from mljupyter.notebook.plan import Deployment
from mljupyter.notebook.sources.docker_engines import address_rule
from mljupyter.notebook.sources.estimator import PlannedEstimator
from mljupyter.notebook.sources.expressions import written
from mljupyter.notebook.sources.preparation import Preparation
from mljupyter.notebook.sources.variables import variables_code
from tests.magics.conftest import SCRIPT, Shell, home, shell  # noqa: F401 - fixtures

HOSTILE = (
    "x\nimport os; os.system('touch PWNED') #",
    "x\rimport os",
    "x\x0cimport os",
    "x\u2028import os",
    "'); import os  #",
    "'''\nimport os\n'''",
    '"',
    "\\",
    "\\'",
    "''''",
    "{7*7}",
    "\0",
    "\ud800",
    "\x1b[31m",
    "\u202eradar",
)
texts = st.text(st.characters(exclude_categories=())) | st.sampled_from(HOSTILE)


def shape(code: str) -> str:
    """Return what code does, without its constants; it must be what Python reads."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant):
            node.value = None
    return ast.dump(tree)


def deployment_code(text: str) -> str:
    nothing = SimpleNamespace(endpoints=SimpleNamespace(endpoints=list))
    workspace: Any = SimpleNamespace(name="no-such-team", directory=Path("w") / text.replace("\0", ""), context=nothing)
    settings = {"description": text, "tags": {text: text}, "num_replicas": 2, "auth_enabled": False}
    model: Any = SimpleNamespace(name=text, version=1)
    lines = variables_code({"env_from": text, "env": [f"A={text}"]})
    preparation = Preparation(None, ("environment = None", *lines, "inference_config = None"))
    return Deployment(workspace, text, [model], preparation, "aks", settings, text).code()


@given(texts)
def test_no_text_adds_a_statement_to_the_code_of_a_deployment(text: str) -> None:
    assert shape(deployment_code(text)) == shape(deployment_code("plain"))


@given(texts)
@example("'" * 5)
def test_a_script_in_generated_code_is_written_as_it_is(text: str) -> None:
    workspace: Any = None
    planned = PlannedEstimator(workspace, "ridge", None, text, text, text, None)
    tree = ast.parse("\n".join(planned.code()))
    assert [type(statement) for statement in tree.body] == [ast.Assign, ast.Assign, ast.Expr, ast.Expr]
    write = tree.body[-1]
    assert isinstance(write, ast.Expr) and isinstance(write.value, ast.Call)
    assert ast.literal_eval(write.value.args[0]) == text


@given(texts)
def test_the_call_of_a_method_is_one_statement(text: str) -> None:
    assert shape(called("update", {"description": text, "tags": {text: text}})) == shape(
        called("update", {"description": "", "tags": {"": ""}})
    )


@given(texts.map(lambda text: text.strip()).filter(bool))
@example("--code")
@example("None")
@example("-h")
@example("-¡")
@example("[1].py")
@example('{"a": 1}')
@example("a b'c\"d")
@example("X[['age', 'sex']]")
@example("df['a'] + 1")
@example("'a' 'b'")
def test_the_line_of_the_wizard_is_one_line_and_means_what_was_typed(text: str) -> None:
    typed = {"name": "diabetes", "score": text, "env": [f"A={text}"], "model": [text], "sample": text}
    line = line_of("deploy", DEPLOYMENT_OPTIONS, typed)
    assert len(line.splitlines()) == 1
    values, errors = values_of(DEPLOYMENT_OPTIONS, typed)
    if {"score", "env", "model", "sample"} & errors.keys():
        return  # the form says so, and leads no further
    read = parse(DEPLOY, split(line.removeprefix("%deploy "), DEPLOY))
    assert read is not None
    for key in ("name", "score", "env", "model"):
        assert read[key] == values[key]
    assert read["sample"] in (values["sample"], f"({values['sample']})")  # an expression with spaces, in parentheses


@pytest.mark.parametrize("text", HOSTILE[:4])
def test_a_form_refuses_what_no_line_can_hold(text: str) -> None:
    _, errors = values_of(DEPLOYMENT_OPTIONS, {"name": "diabetes", "score": text})
    assert "score" in errors
    assert address_rule(f"ssh://{text}")
    assert len(quoted(text).splitlines()) == 1


@pytest.mark.parametrize("expression", ["ridge #", "ridge\n", "(ridge,\n# x\n1)"])
def test_an_expression_stands_on_one_line_without_its_comments(expression: str) -> None:
    assert "#" not in written(expression) and "\n" not in written(expression)


@pytest.mark.parametrize("name", HOSTILE[:5])
def test_the_path_of_a_script_adds_no_line_to_the_code_that_is_shown(
    shell: Shell,  # noqa: F811
    name: str,
) -> None:
    folder = Path(name.replace("/", "_"))
    folder.mkdir()
    (folder / "good.py").write_text(SCRIPT)
    Path("good.py").write_text(SCRIPT)
    code = shell.run(f"%%deploy hostile --code\nscore: {json.dumps(f'{folder}/good.py')}").text()
    assert shape(code) == shape(shell.run("%deploy hostile --score good.py --code").text())
    assert all(line.startswith("inference_config") for line in code.splitlines() if "--score" in line)
