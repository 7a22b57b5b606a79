"""Leftovers of scikit-learn's past: former modules are found, and old pickles are read with a warning."""

from __future__ import annotations

import io
import pickle
import warnings
from typing import Any

import numpy
import pytest
import sklearn
from sklearn.linear_model import Ridge

pytestmark = pytest.mark.usefixtures("names")


def test_former_modules_are_found() -> None:
    import joblib
    import six
    from sklearn.cross_validation import train_test_split
    from sklearn.externals import joblib as former
    from sklearn.externals import six as former_six
    from sklearn.externals.joblib import numpy_pickle
    from sklearn.externals.six.moves import range as ranges
    from sklearn.grid_search import GridSearchCV

    assert (former, former_six, numpy_pickle) == (joblib, six, joblib.numpy_pickle)
    assert ranges is range
    assert train_test_split.__module__ == GridSearchCV.__module__.replace("_search", "_split")


@pytest.mark.parametrize("version", ["0.19.1", "0.22.2.post1", "0.24.2"])
def test_a_pickle_of_an_old_release_is_read_with_a_warning_that_names_it(version: str) -> None:
    model = Ridge(alpha=0).fit([[0.0], [1.0]], [1.0, 3.0])
    old = pickle.dumps(model, protocol=0).replace(b"sklearn.linear_model._ridge", b"sklearn.linear_model.ridge")
    old = old.replace(sklearn.__version__.encode(), version.encode())
    with pytest.warns(UserWarning, match=f"Ridge from version {version} when using version"):
        found = pickle.loads(old)
    assert found.predict([[2.0]]) == pytest.approx([5.0])


def test_a_file_of_sklearns_own_joblib_is_read() -> None:
    from sklearn.externals import joblib

    written = io.BytesIO()
    joblib.dump({"coefficients": numpy.arange(3.0)}, written, protocol=0)
    old = written.getvalue().replace(b"cjoblib.numpy_pickle", b"csklearn.externals.joblib.numpy_pickle")
    assert b"sklearn.externals" in old
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found: dict[str, Any] = joblib.load(io.BytesIO(old))
    assert found["coefficients"].tolist() == [0.0, 1.0, 2.0]
