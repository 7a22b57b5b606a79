"""Models of the large frameworks with the real libraries: PyTorch (CPU), Keras and catboost; `make test-frameworks`.

A library that no package index has for this machine, such as a CPU build of PyTorch, is left out: its names are not
collected, and `make test-frameworks` says so.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mljupyter.core import Workspace
from mljupyter.core.estimator import EstimatorError, check_estimator, register_estimator, scoring_script
from tests.core.frameworks import FRAME, LABELS, Case, X, Y, answers

pytestmark = pytest.mark.frameworks
ROWS = FRAME[:4].to_dict("records")


def network() -> Any:
    """A module that is still in training mode: dropout and batch normalisation answer differently in it."""
    import torch

    torch.manual_seed(0)
    layers = (torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Dropout(0.5), torch.nn.Linear(4, 2))
    return torch.nn.Sequential(*layers)


def torch_cases() -> dict[str, Case]:
    import torch

    module = network()
    with torch.no_grad():
        expected = module.eval()(torch.from_numpy(X[:4].astype("float32"))).numpy()
    module.train()
    scripted = torch.jit.script(module.eval())
    module.train()
    words = torch.nn.Sequential(torch.nn.Embedding(10, 2), torch.nn.Flatten()).eval()
    tokens = [[1, 2], [3, 4], [5, 9]]
    with torch.no_grad():
        embedded = words(torch.tensor(tokens)).numpy()
    return {
        "torch": Case(module, X[:4].tolist(), expected, "model.pt2", sample=X[:2]),
        "torch-columns": Case(module, ROWS, expected, "model.pt2", sample=FRAME[:2]),
        "torch-script": Case(scripted, X[:4].tolist(), expected, "model.pt", sample=torch.zeros(1, 3)),
        "torch-tokens": Case(words, tokens, embedded, "model.pt2", sample=torch.tensor(tokens)),
    }


def keras_cases() -> dict[str, Case]:
    import keras

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(1)])
    picture = keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(2)])
    pixels = X[:8].ravel()[:8].reshape(2, 2, 2, 1)
    return {
        "keras": Case(model, X[:4].tolist(), model.predict_on_batch(X[:4]), "model.keras"),
        "keras-columns": Case(model, ROWS, model.predict_on_batch(X[:4]), "model.keras", sample=FRAME),
        "keras-picture": Case(picture, pixels.tolist(), picture.predict_on_batch(pixels), "model.keras"),
    }


def catboost_cases() -> dict[str, Case]:
    import catboost

    model = catboost.CatBoostClassifier(iterations=5, verbose=0, allow_writing_files=False).fit(FRAME, LABELS)
    ranks = catboost.CatBoostRegressor(iterations=5, verbose=0, allow_writing_files=False).fit(X, Y)
    return {
        "catboost": Case(model, ROWS, model.predict(FRAME[:4]), "model.cbm"),
        "catboost-proba": Case(model, ROWS, model.predict_proba(FRAME[:4]), "model.cbm", "predict_proba"),
        "catboost-array": Case(ranks, X[:4].tolist(), ranks.predict(X[:4]), "model.cbm"),
    }


CASES: dict[str, tuple[Callable[[], dict[str, Case]], tuple[str, ...]]] = {
    "torch": (torch_cases, ("torch", "torch-columns", "torch-script", "torch-tokens")),
    "keras": (keras_cases, ("keras", "keras-columns", "keras-picture")),
    "catboost": (catboost_cases, ("catboost", "catboost-proba", "catboost-array")),
}
HERE = {name: case for name, case in CASES.items() if importlib.util.find_spec(name) is not None}
NAMES = [name for _, names in HERE.values() for name in names]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, Case], dict[str, Any]]]:
    """The models, and what another process answers for each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_BACKEND", "torch")
        made = {name: case for make, _ in HERE.values() for name, case in make().items()}
        patch.delenv("KERAS_BACKEND")  # the script chooses the backend, not the environment
        yield made, answers(made, tmp_path_factory.mktemp("models"))


@pytest.mark.parametrize("name", NAMES)
def test_another_process_answers_as_the_model_does(served: tuple[dict[str, Case], dict[str, Any]], name: str) -> None:
    made, found = served
    expected = np.asarray(made[name].expected)
    if expected.dtype.kind in "UO":
        assert found[name] == expected.tolist()
    else:
        assert np.asarray(found[name]) == pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("name", [name for name in ("torch", "keras", "catboost") if name in HERE])
def test_equal_content_keeps_its_version(
    served: tuple[dict[str, Case], dict[str, Any]], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLJUPYTER_HOME", str(tmp_path))
    workspace = Workspace.create("frameworks")
    case = served[0][name]
    found = [register_estimator(workspace, case.model, name, sample=case.sample).id for _ in range(2)]
    assert found == [f"{name}:1", f"{name}:1"]


def refused(model: Any, sample: Any = None) -> str:
    with pytest.raises(EstimatorError) as caught:
        scoring_script(model, sample, name="net", form=check_estimator(model, "net", sample=sample))
    return caught.value.message


if "torch" in HERE:

    def test_a_module_stays_in_training_mode(served: tuple[dict[str, Case], dict[str, Any]]) -> None:
        assert served[0]["torch"].model.training

    def test_modules_that_cannot_be_served_are_refused_with_the_way_out() -> None:
        import torch

        class Branches(torch.nn.Module):
            def forward(self, x: Any) -> Any:
                return x if x.sum() > 0 else -x

        class Two(torch.nn.Module):
            def forward(self, x: Any) -> Any:
                return x, x

        assert "does not know its input: give rows, --sample X[:2]" in refused(network())
        assert "torch.export cannot save it" in refused(Branches(), X[:2])
        assert "Deploy torch.jit.script(net) instead" in refused(Branches(), X[:2])
        assert "returns a tuple" in refused(Two(), X[:2])
        with pytest.raises(EstimatorError, match=r"has no predict_proba\(\): leave out --method"):
            check_estimator(network(), "net", method="predict_proba", sample=X[:2])


if "keras" in HERE:

    def test_layers_of_the_notebook_are_refused_before_anything_is_written() -> None:
        import keras

        kind = type("Doubled", (keras.layers.Dense,), {"__module__": "__main__", "__qualname__": "Doubled"})
        model = keras.Sequential([keras.Input((3,)), kind(1)])
        assert "it uses Doubled, defined in this notebook" in refused(model)
        several = keras.Model(
            inputs=[a := keras.Input((3,)), b := keras.Input((2,))], outputs=keras.layers.add([a, b[:, :1]])
        )
        assert "has 2 inputs" in refused(several)


if "catboost" in HERE:

    def test_a_model_that_is_not_fitted_is_refused() -> None:
        import catboost

        assert "net is a CatBoostRegressor that is not fitted" in refused(catboost.CatBoostRegressor())
