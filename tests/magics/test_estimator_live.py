"""%deploy NAME ESTIMATOR with a real endpoint: registered, described, answered, changed."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from mljupyter.core import Model, Workspace
from tests.clients import answers
from tests.magics.conftest import Shell

pytestmark = pytest.mark.system
TRAIN = """
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
X, y = load_diabetes(return_X_y=True, as_frame=True)
ridge = Ridge(alpha=0.01).fit(X, y)
"""


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A shell whose workspace has the endpoint 'diabetes', deployed from an estimator."""
    directory = tmp_path_factory.mktemp("estimator")
    with pytest.MonkeyPatch.context() as patch:
        (directory / "work").mkdir()
        patch.chdir(directory / "work")
        patch.setenv("MLJUPYTER_HOME", str(directory / "home"))
        patch.setenv("MLJUPYTER_WORKSPACE", "default")
        shell = Shell()
        shell.run("%mlj workspace estimator-team --create -o ws")
        shell.run(TRAIN)
        shell.run("service = %deploy diabetes ridge --kind aci --sample X")
        yield shell
        shell.close()
        Workspace.get("estimator-team").delete(delete_dependent_resources=True)


def test_frames_arrays_and_objects_are_answered_as_the_estimator_would(live: Shell, tmp_path: Path) -> None:
    expected = pytest.approx(live.run("ridge.predict(X[:2])").tolist())
    assert live.run("%invoke diabetes X[:2]") == expected
    assert live.run("%invoke diabetes X[:2].to_numpy()") == expected
    live.run("rows = {'data': X[:2].to_dict('records')}")
    assert live.run("%invoke diabetes rows") == expected
    assert live.run(f"%invoke diabetes {json.dumps(live.variables['rows']['data'])}") == expected
    first = pytest.approx(live.run("ridge.predict(X[:1])").tolist())
    assert answers(live.run("%endpoints diabetes").snippets, tmp_path) == (first, first)
    assert '{"data": [{"age": ' in live.run("service.client_snippets(X[:1]).curl")


def test_the_mistakes_of_clients_are_400_with_row_and_column_and_say_nothing_of_the_service(live: Shell) -> None:
    service = live.variables["service"]
    row = live.variables["X"].iloc[0].to_dict()
    few = {name: value for name, value in row.items() if name != "bmi"}
    wrong = {
        "Row 0 lacks the column bmi": [few],
        "Row 1, column 'bmi': \"high\" is not a number": [row, {**row, "bmi": "high"}],
        "Row 0 has 3 values, not 10": [[1, 2, 3]],
        '"data" is "rows", not a list of rows': "rows",
    }
    for told, data in wrong.items():
        request = urllib.request.Request(
            service.scoring_uri, json.dumps({"data": data}).encode(), {"Content-Type": "application/json"}
        )
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request)
        assert (caught.value.code, told in caught.value.read().decode().replace('\\"', '"')) == (400, True)
    assert live.run("%invoke diabetes X[:1]") == pytest.approx(live.run("ridge.predict(X[:1])").tolist())


def test_the_api_is_described_by_the_columns_of_the_sample(live: Shell) -> None:
    with urllib.request.urlopen(live.variables["service"].swagger_uri) as answer:
        document = json.load(answer)
    definitions = document.get("definitions") or document["components"]["schemas"]
    columns = definitions["ServiceInput"]["properties"]["data"]["items"]["properties"]
    assert list(columns) == list(live.variables["X"].columns)
    assert {column["type"] for column in columns.values()} == {"number"}


def test_fitting_and_deploying_again_changes_nothing(live: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    live.run(TRAIN)
    capsys.readouterr()
    live.run("%deploy diabetes ridge --kind aci --sample X")
    assert capsys.readouterr().out.startswith("diabetes → local: unchanged\n")
    assert [model.id for model in Model.list(live.variables["ws"])] == ["diabetes:1"]


def test_the_script_that_was_written_is_kept_under_the_endpoints_name(live: Shell) -> None:
    plan = live.run("%deploy diabetes --score diabetes --model diabetes:1 --kind aci --dry-run")
    assert plan.action == "unchanged"


def test_the_python_it_shows_deploys_the_same(live: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    code = live.run("%deploy diabetes ridge --kind aci --sample X --code").text()
    before = live.variables["service"]
    exec(code, live.variables)
    assert live.variables["service"].name == before.name
    capsys.readouterr()
    live.run("%deploy diabetes ridge --kind aci --sample X")
    assert capsys.readouterr().out.startswith("diabetes → local: unchanged\n")


def test_another_estimator_is_the_next_version_of_the_model(live: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    plan = live.run("%deploy diabetes Ridge(9).fit(X,y) --kind aci --sample X --dry-run")
    assert "versions.diabetes.models[0].version: 1 → 2" in plan.text()
    assert plan.text().count("--- score.py") == 1
    assert "<summary>score.py</summary>" in plan._repr_html_()
    assert len(Model.list(live.variables["ws"])) == 1
    capsys.readouterr()
    live.run("%deploy diabetes Ridge(9).fit(X,y) --kind aci --sample X")
    said = capsys.readouterr().out
    assert said.startswith("diabetes → local: update\n")
    assert "  versions.diabetes.models[0].version: 1 → 2\n" in said, "the differences come before the work"
    assert said.index("version: 1 → 2") < said.index("  models  diabetes:2 ✓\n  script  diabetes ✓\n")
    expected = live.run("Ridge(9).fit(X, y).predict(X[:2])").tolist()
    assert live.run("%invoke diabetes X[:2]") == pytest.approx(expected)


def test_probabilities_are_answered_where_asked_for(live: Shell) -> None:
    live.run(
        "from sklearn.linear_model import LogisticRegression; wine = LogisticRegression().fit(X.to_numpy(), y > 140)"
    )
    live.run("%deploy wine wine --kind aci --method predict_proba --model wine-model --quiet")
    assert live.run("%invoke wine X[:1]")[0] == pytest.approx(live.run("wine.predict_proba(X[:1].to_numpy())")[0])
    assert live.run("%models wine-model").data[0]["usedBy"] == ["wine"]
    live.run("%undeploy wine --quiet")


def test_a_version_of_an_endpoint_can_be_an_estimator(live: Shell) -> None:
    live.run("%deploy split ridge --version version-a --traffic 100 --no-wait --quiet")
    live.run("%deploy split Ridge(9).fit(X,y) --version version-b --traffic 0 --no-wait --quiet")
    assert list(live.variables["ws"].webservices["split"].versions) == ["version-a", "version-b"]
    assert {model["id"] for model in live.run("%models split").data} == {"split:1", "split:2"}
    live.run("%undeploy split --quiet")


def test_for_containers_the_plan_shows_the_dockerfile_with_the_estimators_packages(live: Shell) -> None:
    files = live.run("%deploy boxed ridge --to docker --dry-run").files
    assert list(files) == ["score.py", "Dockerfile"]
    assert "scikit-learn==" in files["Dockerfile"] or "requirements.txt" in files["Dockerfile"]


def test_a_script_written_by_hand_is_not_overwritten(live: Shell) -> None:
    by_hand = "def init():\n    pass\n\ndef run(data):\n    return 1\n"
    live.run(f"%%score own\n{by_hand}")
    live.run("%deploy own ridge --kind aci --no-wait --quiet")
    kept = live.variables["ws"].directory / "scoring"
    assert (kept / "own/score.py").read_text().endswith(by_hand)
    assert (kept / "own-generated/score.py").read_text().startswith("# Generated for a Ridge")
    live.run("%undeploy own --quiet")


def test_a_module_beside_the_notebook_goes_along(live: Shell) -> None:
    live.run("%%writefile beside_the_notebook.py\ndef doubled(x):\n    return 2 * x\n")
    live.run("import os; os.mkdir('score')")  # a package with the name of the generated script
    live.run("%%writefile score/__init__.py\nfrom score.inner import tripled\n")
    live.run("%%writefile score/inner.py\ndef tripled(x):\n    return 3 * x\n")
    live.run("%%writefile conda.py\nraise SystemExit('not this one')\n")
    live.run(
        "import sys; sys.path.insert(0, '')\n"
        "from beside_the_notebook import doubled\n"
        "from score import tripled\n"
        "from sklearn.pipeline import make_pipeline; from sklearn.preprocessing import FunctionTransformer\n"
        "twice = make_pipeline(FunctionTransformer(doubled), FunctionTransformer(tripled), Ridge()).fit(X, y)"
    )
    assert "--source-directory ." in live.error("%deploy twice twice --kind aci")
    live.run("%deploy twice twice --kind aci --source-directory . --sample X --quiet")
    assert live.run("%invoke twice X[:1]") == pytest.approx(live.run("twice.predict(X[:1])").tolist())
    live.run("%undeploy twice --quiet")


def test_a_registered_model_whose_framework_is_served_needs_no_script(
    live: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    live.run("import joblib; joblib.dump(ridge, 'ridge.pkl')")
    model = Model.register(live.variables["ws"], "ridge.pkl", "ridge", model_framework=Model.Framework.SCIKITLEARN)
    live.run("%deploy plain --model ridge --kind aci --quiet")
    expected = pytest.approx(live.run("ridge.predict(X[:2])").tolist())
    live.run("rows = {'data': X[:2].to_numpy().tolist()}")
    answer = live.run("%invoke plain rows")
    assert (answer["result"] if isinstance(answer, dict) else answer) == expected
    assert [used.id for used in live.variables["ws"].webservices["plain"].models] == [model.id]


def test_a_model_of_another_framework_is_saved_in_its_own_format_and_served(live: Shell) -> None:
    live.run("import xgboost; boosted = xgboost.XGBRegressor(n_estimators=5).fit(X, y)")
    live.run("%deploy boosted boosted --kind aci --extra-columns refuse --quiet")
    assert live.run("%invoke boosted X[:2]") == pytest.approx(live.run("boosted.predict(X[:2])").tolist(), rel=1e-5)
    model = Model(live.variables["ws"], "boosted")
    assert model.properties == {"estimator": "XGBRegressor", "library": "XGBoost"}
    assert live.run("%deploy boosted boosted --kind aci --extra-columns refuse --dry-run").action == "unchanged"
    live.run("%undeploy boosted --quiet")


def test_columns_of_a_table_are_sent_by_name_where_the_model_has_names(live: Shell, tmp_path: Path) -> None:
    live.run("named = Ridge().fit(X, y); turned = X[X.columns[::-1]][:4]")
    live.run("%deploy named named --kind aci --sample X[:2]")
    expected = live.run("named.predict(X[:4])").tolist()
    assert live.run("%invoke named turned") == pytest.approx(expected)
    assert live.variables["ws"].webservices["named"].run(live.variables["turned"]) == pytest.approx(expected)
    live.variables["turned"].to_csv(tmp_path / "turned.csv", index=False)
    assert list(live.run(f"%invoke named @{tmp_path / 'turned.csv'} --batch-rows 3")) == pytest.approx(expected)
    assert live.run("%invoke named turned.to_dict('records')") == pytest.approx(expected)
    said = live.error("%invoke named X.rename(columns={'bmi':'mass'})[:2]")
    assert "status 400" in said and "lacks the column bmi" in said
    live.run("%undeploy named")
