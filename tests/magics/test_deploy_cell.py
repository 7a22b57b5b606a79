"""%%deploy: options or a whole specification in YAML, checked with the line of the cell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mljupyter.notebook.options.cell_body import option_name, values_in_cell
from mljupyter.notebook.options.deployment_options import DEPLOYMENT_OPTIONS
from mljupyter.notebook.options.option import Option
from mljupyter.targets.mapped.setting import VARIABLE
from tests.magics.conftest import SCRIPT, Shell
from tests.widgets.conftest import User

SPECIFICATION = """\
computeTarget: local
authentication: key
versions:
  first:
    code: sums
    models: [weights]
    scaling: {replicas: 2}
    trafficPercentile: 90
  second:
    code: sums
    trafficPercentile: 10
"""


@pytest.fixture
def prepared(shell: Shell) -> Shell:
    """A shell whose workspace has a model and a scoring script."""
    Path("weights.json").write_text("[3]")
    shell.run(
        "from mljupyter.core import Model, Workspace\n"
        'ws = Workspace.create("default", exist_ok=True)\n'
        'Model.register(ws, "weights.json", "weights");'
    )
    shell.run(f"%%score sums\n{SCRIPT}")
    return shell


def test_options_in_the_cell_are_those_of_the_line(prepared: Shell) -> None:
    cell = "%%deploy adder --dry-run\nscore: sums\nmodel: [weights]\nreplicas: 2\nmemory: 512Mi\nmaxQueueWaitMs: 900\n"
    line = "%deploy adder --dry-run --score sums --model weights --replicas 2 --memory 512Mi --max-queue-wait-ms 900"
    assert prepared.run(cell).wanted == prepared.run(line).wanted


def test_the_line_beats_the_cell(prepared: Shell) -> None:
    plan = prepared.run("%%deploy adder --replicas 3 --no-wait --dry-run\nscore: sums\nreplicas: 2\nwait: true\n")
    assert plan.wanted.versions["adder"].scaling.replicas == 3


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("score: sums\nreplicsa: 2", "Line 3: replicsa is not an option. Did you mean 'replicas'?"),
        ("score: sums\n\nreplicas: two", "Line 4: replicas: 'two' is not a whole number."),
        ("score: sums\nreplicas: [1, 2]", "Line 3: replicas: one value is expected, not a list."),
        ("score: sums\nwait: maybe", "Line 3: wait: 'maybe' is neither true nor false."),
        ("score: sums\nauth: none\nauth: key", "Line 4: auth stands here again, first on line 3."),
        (
            "score: sums\nmaxQueueWaitMs: 5\nmax-queue-wait-ms: 6",
            "Line 4: max-queue-wait-ms is max-queue-wait-ms again",
        ),
        ("score: {a: 1}", "Line 2: score: one value is expected, not a mapping."),
        ("score: sums\n  kind: [", "Line 3: this cannot be read as YAML"),
        ("just text", "The cell holds no YAML mapping"),
        ("- a list", "The cell holds no YAML mapping"),
        ("# nothing", "The cell holds no YAML mapping"),
    ],
)
def test_a_mistake_is_told_with_its_line(prepared: Shell, body: str, said: str) -> None:
    assert prepared.error(f"%%deploy adder\n{body}").startswith(said)


def test_a_specification_names_models_and_scripts(prepared: Shell) -> None:
    wanted = prepared.run(f"%%deploy adder --dry-run\n{SPECIFICATION}").wanted
    assert (wanted.name, wanted.default_version, list(wanted.versions)) == ("adder", "first", ["first", "second"])
    assert [model.id for model in wanted.versions["first"].models] == ["weights:1"]
    assert wanted.versions["first"].code == wanted.versions["second"].code


def test_flags_of_the_line_go_into_the_specification(prepared: Shell) -> None:
    plan = prepared.run(f"%%deploy adder --dry-run --auth none --version second --replicas 4\n{SPECIFICATION}")
    assert plan.wanted.authentication == "none"
    assert plan.wanted.versions["second"].scaling.replicas == 4
    said = prepared.error(f"%%deploy adder --dry-run --replicas 4\n{SPECIFICATION}")
    assert said == "--replicas is for one version: say which with --version: first, second."
    said = prepared.error(f"%%deploy adder --dry-run --kind aci\n{SPECIFICATION}")
    assert said == "--kind does not go with a specification in the cell: write it there."


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("scaling: {replicas: 2}", "scalin: {replicas: 2}", "Line 8: versions.first.scalin is not a known field. Did"),
        ("trafficPercentile: 10", "trafficPercentile: 11", "Line 2: the traffic percentiles add up to 101"),
        ("trafficPercentile: 10", "trafficPercentile: much", "Line 12: versions.second.trafficPercentile is 'much'"),
        ("code: sums", "code: sms", "There is no scoring script 'sms'"),
        ("computeTarget: local", "computeTarget: mars", "ComputeTargetNotFound"),
    ],
)
def test_a_mistake_in_a_specification_is_told_with_its_line(
    prepared: Shell, before: str, after: str, said: str
) -> None:
    assert prepared.error(f"%%deploy adder --dry-run\n{SPECIFICATION.replace(before, after, 1)}").startswith(said)


def test_the_document_that_a_dry_run_prints_is_a_cell(prepared: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    line = "%deploy adder --score sums --model weights --replicas 2 --dry-run"
    capsys.readouterr()
    prepared.run(f"{line} --json")
    document = yaml.safe_dump(json.loads(capsys.readouterr().out))
    assert prepared.run(f"%%deploy --dry-run\n{document}").wanted == prepared.run(line).wanted


def test_a_line_without_a_name_needs_one_in_the_cell(prepared: Shell) -> None:
    assert prepared.error("%%deploy\nscore: sums") == "Missing: NAME. See %deploy --help."


def test_a_project_has_defaults_of_its_own_which_cell_and_line_beat(prepared: Shell) -> None:
    Path("pyproject.toml").write_text('[tool.mljupyter.deploy]\nscore = "sums"\nreplicas = 2\nauth = "none"\n')
    plan = prepared.run("%deploy adder --dry-run")
    assert (plan.wanted.versions["adder"].scaling.replicas, plan.wanted.authentication) == (2, "none")
    assert prepared.run("%deploy adder --replicas 4 --dry-run").wanted.versions["adder"].scaling.replicas == 4
    assert prepared.run("%%deploy adder --dry-run\nreplicas: 3").wanted.versions["adder"].scaling.replicas == 3
    Path("pyproject.toml").write_text("[tool.mljupyter.deploy]\nreplicsa = 2\n")
    said = prepared.error("%deploy adder --score sums --dry-run")
    assert "[tool.mljupyter.deploy]: replicsa is not an option with a default. Did you mean 'replicas'?" in said


def test_the_line_of_the_wizard_says_what_the_project_would_change(prepared: Shell) -> None:
    from mljupyter.notebook.session import session_of
    from mljupyter.widgets.wizards.deploy_wizard import DeployWizard

    Path("pyproject.toml").write_text('[tool.mljupyter.deploy]\nto = "docker"\n')
    wizard = DeployWizard(session_of(prepared.ip), {}, {"name": "adder", "score": "sums", "to": "local"})
    try:
        view = User(wizard).go_on(pages=5)
        shown = {field["key"]: field.get("value") for field in view["fields"]}
        assert shown["line"] == "%deploy adder --model weights --score sums --to local"
    finally:
        wizard.close()


def test_the_wizard_offers_fitted_estimators_and_writes_their_line(prepared: Shell) -> None:
    from sklearn.linear_model import Ridge

    from mljupyter.notebook.session import session_of
    from mljupyter.widgets.wizards.deploy_wizard import DeployWizard

    variables = {"ridge": Ridge().fit([[1.0], [2.0]], [1, 2]), "raw": Ridge(), "rows": [[1.0]]}
    wizard = DeployWizard(session_of(prepared.ip), variables)
    try:
        offered = next(field for field in wizard.view["fields"] if field["key"] == "model")["options"]
        assert [choice["label"] for choice in offered] == [
            "ridge: Ridge, fitted here",
            "weights (version 1)",
            "no model: a script alone",
        ]
        wizard.change("name", "adder")
        wizard.change("model", "estimator ridge")
        wizard.change("sample", "rows")
        view = User(wizard).go_on(pages=5)
        shown = {field["key"]: field.get("value") for field in view["fields"]}
        assert shown["line"] == "%deploy adder ridge --sample rows"
        assert "register_estimator(ws, ridge, 'adder')" in shown["python"]
    finally:
        wizard.close()


@pytest.mark.system
def test_a_specification_is_deployed_again_without_a_change_and_its_python_runs(
    prepared: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        cell = f"%%deploy adder --quiet\n{SPECIFICATION}"
        assert prepared.run(cell).run('{"data": [[1, 2]]}') == [6]
        capsys.readouterr()
        prepared.run(cell.replace(" --quiet", ""))
        assert capsys.readouterr().out.startswith("adder → local: unchanged\n")
        code = prepared.run(f"%%deploy adder --code\n{SPECIFICATION}").text()
        exec(code, prepared.variables)
        assert prepared.variables["service"].state == "Healthy"
        plan = prepared.run(f"%%deploy adder --dry-run\n{SPECIFICATION}tags: {{team: blue}}\n")
        assert plan.text() == "adder → local: update (dry run, nothing done)\n  tags.team: none → blue"
    finally:
        prepared.variables["ws"].delete(delete_dependent_resources=True)


@given(st.sampled_from([option for option in DEPLOYMENT_OPTIONS if not option.positional]))
def test_every_spelling_of_a_key_is_its_option(option: Option) -> None:
    words = option.name.split("-")
    camel = words[0] + "".join(word.capitalize() for word in words[1:])
    assert {option_name(key) for key in (option.name, option.key, camel)} == {option.name}


@given(st.text(max_size=200))
def test_any_text_is_either_read_or_refused_in_words(text: str) -> None:
    from mljupyter.errors import MLJupyterError

    try:
        values_in_cell(text, DEPLOYMENT_OPTIONS)
    except MLJupyterError as error:
        assert error.message


def test_a_mapped_aks_target_is_planned_on_the_target_that_stands_in(
    prepared: Shell, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(VARIABLE, "local")
    prepared.run("from mljupyter.core.compute import AksCompute\nAksCompute(ws, 'my-aks');")
    for cell in (
        "%deploy adder --dry-run --score sums --to my-aks",
        f"%%deploy adder --dry-run\n{SPECIFICATION.replace('computeTarget: local', 'computeTarget: my-aks')}",
    ):
        capsys.readouterr()
        assert prepared.run(cell).wanted.compute_target == "local"
        assert "'my-aks' is a mapping: the deployment runs on 'local'" in capsys.readouterr().out
    rows = prepared.run("%compute").rows
    assert ["my-aks", "AKS", "ready, a mapping to 'local'"] in [list(row[1:]) for row in rows]
