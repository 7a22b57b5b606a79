"""Imports that old scripts and pickles make resolve without the SDK, and give way to real packages."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mljupyter.scoring.shims.renamed import successors
from tests.scoring.conftest import Replica

Serve = Callable[..., Replica]

EVALUATE = """
import azureml.core
def init(): pass
def run(data):
    scope = {}
    exec(data, scope)
    return scope["result"]
"""


@pytest.fixture(scope="module")
def python() -> Callable[[str], str]:
    """Run code as a worker does, with the finder installed, in a fresh interpreter."""

    def run(code: str, *paths: Path) -> str:
        start = "from mljupyter.scoring.shims import finder; finder.install()\n"
        path = f"import sys; sys.path[:0] = {[str(path) for path in paths]}\n"
        done = subprocess.run([sys.executable, "-P", "-c", path + start + code], capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else done.stderr.strip().splitlines()[-1]

    return run


def test_every_import_of_a_published_script_resolves(serve: Serve) -> None:
    replica = serve(
        """
        from azureml.core.model import Model
        from azureml.core import Model as Again, Workspace, Run, VERSION
        from azureml.monitoring import ModelDataCollector
        from azureml.contrib.services.aml_request import AMLRequest
        from azureml.contrib.services.aml_response import AMLResponse
        from azureml_inference_server_http.api.aml_response import AMLResponse as Same
        from azureml.exceptions import WebserviceException
        from sklearn.externals import joblib
        import sklearn.externals.joblib
        import joblib as real
        def init(): pass
        def run(data): return [Model is Again, joblib is real, AMLResponse is Same, VERSION.count(".")]
        """
    )
    assert replica.score("x").json() == [True, True, True, 2]


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("from azureml.core import Workspace; Workspace.from_config()", "Workspace.from_config is not available"),
        ("from azureml.core import Run; Run.get_context()", "Run.get_context is not available inside a replica"),
        ("from azureml.core import Model; Model(None, 'name')", "Use Model.get_model_path(name)"),
        ("from azureml.core import Model; Model.register()", "azureml.core.Model.register is not available"),
        ("from azureml.core import Nothing", "cannot import name 'Nothing'"),
        ("import azureml.train", "No module named 'azureml.train'"),
        ("import sklearn.no_such_module", "No module named 'sklearn.no_such_module'"),
    ],
)
def test_what_needs_a_workspace_fails_clearly_when_used(python: Callable[[str], str], code: str, told: str) -> None:
    assert told in python(code)


def test_installed_packages_win_over_ours(python: Callable[..., str], tmp_path: Path) -> None:
    package = tmp_path / "azureml" / "core"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "model.py").write_text("class Model: home = 'real'")
    code = "from azureml.core.model import Model; from azureml.monitoring import ModelDataCollector as C"
    assert python(f"{code}; print(Model.home, C.__module__)", tmp_path) == "real mljupyter.scoring.shims.monitoring"


def test_an_alias_leaves_the_module_as_it_was(python: Callable[[str], str]) -> None:
    code = """
import joblib
before = joblib.__spec__
from sklearn.externals import joblib as old
import sklearn.externals.joblib.numpy_pickle as part
print(old is joblib, joblib.__spec__ is before, joblib.__name__, part is joblib.numpy_pickle)
"""
    assert python(code) == "True True joblib True"


def test_the_client_of_application_insights_sends_nothing_and_says_so_once(python: Callable[[str], str]) -> None:
    code = """
import logging
from applicationinsights import TelemetryClient
from applicationinsights.exceptions import enable
from applicationinsights.logging import LoggingHandler
enable("key")
client = TelemetryClient("key")
client.context.operation.id = "1"
client.track_event("scored", {"rows": "1"})
client.flush()
logging.getLogger("script").addHandler(LoggingHandler("key"))
logging.getLogger("script").error("wrong")
"""
    assert python(code) == "applicationinsights sends nothing here: see the logs and insights of the service."


def test_parts_that_scikit_learn_has_no_more_are_found(python: Callable[[str], str]) -> None:
    code = "from sklearn.externals import six; from sklearn.externals.six.moves import range as ranges\n"
    code += "from sklearn.cross_validation import train_test_split; print(six.__name__, ranges is range)"
    assert python(code) == "six True"


def test_nothing_is_imported_before_a_script_imports_it(python: Callable[[str], str]) -> None:
    names = "[n for n in sys.modules if n.startswith(('azureml', 'sklearn', 'joblib', 'mljupyter.scoring.shims.'))]"
    assert python(f"import sys; print({names})") == "['mljupyter.scoring.shims.finder']"


def test_an_old_pickle_is_read_although_its_module_was_renamed(serve: Serve, directory: Path) -> None:
    from sklearn.linear_model import Ridge

    model = Ridge(alpha=0).fit([[0.0], [1.0]], [1.0, 3.0])
    old = pickle.dumps(model, protocol=0).replace(b"sklearn.linear_model._ridge", b"sklearn.linear_model.ridge")
    assert b"sklearn.linear_model.ridge" in old
    (directory / "model.pkl").write_bytes(old)
    script = """
    import json
    from sklearn.externals import joblib
    def init():
        global model
        model = joblib.load("model.pkl")
    def run(data):
        return model.predict(json.loads(data)).tolist()
    """
    assert serve(script).score("[[2.0]]").json() == pytest.approx([5.0])


@pytest.mark.parametrize(
    ("old", "name"),
    [
        ("sklearn.linear_model.logistic", "LogisticRegression"),
        ("sklearn.linear_model.base", "LinearRegression"),
        ("sklearn.linear_model.coordinate_descent", "Lasso"),
        ("sklearn.linear_model.stochastic_gradient", "SGDClassifier"),
        ("sklearn.tree.tree", "DecisionTreeClassifier"),
        ("sklearn.ensemble.forest", "RandomForestClassifier"),
        ("sklearn.ensemble.gradient_boosting", "GradientBoostingClassifier"),
        ("sklearn.ensemble.voting_classifier", "VotingClassifier"),
        ("sklearn.svm.classes", "SVC"),
        ("sklearn.neighbors.classification", "KNeighborsClassifier"),
        ("sklearn.neighbors.kd_tree", "KDTree"),
        ("sklearn.neighbors.dist_metrics", "DistanceMetric"),
        ("sklearn.cluster.k_means_", "KMeans"),
        ("sklearn.cluster.hierarchical", "AgglomerativeClustering"),
        ("sklearn.decomposition.pca", "PCA"),
        ("sklearn.decomposition.online_lda", "LatentDirichletAllocation"),
        ("sklearn.preprocessing.data", "StandardScaler"),
        ("sklearn.preprocessing.label", "LabelEncoder"),
        ("sklearn.preprocessing.imputation", "SimpleImputer"),
        ("sklearn.feature_extraction.dict_vectorizer", "DictVectorizer"),
        ("sklearn.feature_selection.univariate_selection", "SelectKBest"),
        ("sklearn.mixture.gaussian_mixture", "GaussianMixture"),
        ("sklearn.gaussian_process.gpr", "GaussianProcessRegressor"),
        ("sklearn.neural_network.multilayer_perceptron", "MLPClassifier"),
        ("sklearn.cross_decomposition.pls_", "PLSRegression"),
        ("sklearn.semi_supervised.label_propagation", "LabelPropagation"),
        ("sklearn.metrics.scorer", "make_scorer"),
        ("sklearn.covariance.empirical_covariance_", "EmpiricalCovariance"),
        ("sklearn.manifold.t_sne", "TSNE"),
    ],
)
def test_renamed_modules_are_found_with_what_pickles_need(old: str, name: str) -> None:
    import importlib

    module = next(importlib.import_module(new) for new in successors(old) if importlib.util.find_spec(new))
    assert hasattr(module, name)


def test_the_search_for_other_modules_costs_next_to_nothing(python: Callable[[str], str]) -> None:
    code = """
import timeit
found = finder.ShimFinder()
print(timeit.timeit(lambda: found.find_spec("some.module"), number=10_000) / 10_000 * 1e6)
"""
    assert float(python(code)) < 50


def test_shims_work_in_threads(serve: Serve) -> None:
    replica = serve(EVALUATE, "--concurrency", "2")
    body = """
from concurrent.futures import ThreadPoolExecutor
def work(_):
    from sklearn.externals import joblib
    return joblib.__name__
result = list(ThreadPoolExecutor(4).map(work, range(4)))
"""
    assert replica.score(body).json() == ["joblib"] * 4
