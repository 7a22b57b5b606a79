"""The modules of the SDK: real modules with mljupyter's classes, and a reason for each name that is not there."""

from __future__ import annotations

import importlib
import importlib.util
import pickle
from importlib import import_module
from typing import Any

import pytest

import mljupyter.core
import mljupyter.exceptions
from mljupyter.azureml.modules import CONTAINERS, MODULES
from mljupyter.core.compute import AksCompute

pytestmark = pytest.mark.usefixtures("names")


@pytest.mark.parametrize("name", sorted({*MODULES, *CONTAINERS}))
def test_each_module_has_the_names_of_the_table(name: str) -> None:
    module = import_module(name)
    for source in MODULES.get(name, ()):
        for old, new in source.pairs():
            if not source.later:
                assert getattr(module, old) is getattr(import_module(source.module), new)
    assert all(hasattr(module, one) for one in module.__all__)


def test_a_class_is_the_same_under_both_names() -> None:
    from azureml.core import Model, Webservice, Workspace
    from azureml.core.compute_target import ComputeTargetException
    from azureml.core.model import InferenceConfig
    from azureml.core.model import Model as Again
    from azureml.core.webservice.webservice import WebserviceException
    from azureml.exceptions import WebserviceException as Raised

    assert Model is Again is mljupyter.core.Model
    assert (Workspace, Webservice) == (mljupyter.core.Workspace, mljupyter.core.Webservice)
    assert InferenceConfig is mljupyter.core.InferenceConfig
    assert WebserviceException is Raised is mljupyter.exceptions.WebserviceException
    assert ComputeTargetException is mljupyter.exceptions.ComputeTargetException
    assert isinstance(Workspace.__new__(Workspace), mljupyter.core.Workspace)


def test_a_star_import_brings_the_public_names() -> None:
    scope: dict[str, Any] = {}
    exec("from azureml.core import *; from azureml.core.compute import *", scope)
    assert scope["Model"] is mljupyter.core.Model
    assert scope["AksCompute"] is AksCompute
    assert scope["VERSION"] == mljupyter.core.VERSION
    assert "__version__" not in scope


def test_modules_can_be_reloaded() -> None:
    import azureml.core.model

    azureml.core.model.Model = None
    assert importlib.reload(azureml.core.model) is azureml.core.model
    assert azureml.core.model.Model is mljupyter.core.Model
    importlib.reload(azureml.core)
    importlib.reload(azureml)


def test_pickles_with_either_name_are_read() -> None:
    from azureml.core import Environment

    assert pickle.loads(pickle.dumps(Environment)) is Environment
    assert pickle.loads(b"cazureml.core.environment\nEnvironment\n.") is Environment


def test_the_version_is_that_of_the_sdk() -> None:
    import azureml.core

    assert azureml.core.__version__ == azureml.core.VERSION == "1.61.0"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            "from azureml.core.compute import DsvmCompute",
            "DsvmCompute is not in mljupyter: it manages training clusters",
        ),
        ("from azureml.widgets import RunDetails", "azureml.widgets is not in mljupyter: its widget shows"),
        ("import azureml.train.dnn", "azureml.train.dnn is not in mljupyter: it starts training"),
        ("from azureml.train.hyperdrive import HyperDriveConfig", "HyperDriveConfig is not in mljupyter"),
        ("from azureml.train.automl import AutoMLConfig", "Train with the library itself"),
        ("from azureml.pipeline.core import Pipeline", "Call the steps as functions"),
        ("import azureml.contrib.iot", "Azure IoT Edge"),
        ("import azureml.accel", "FPGAs"),
        ("import azureml.opendatasets", "azureml.opendatasets is not in mljupyter: the data lie in Azure"),
        ("from azureml.core import something", "azureml.core.something is not in mljupyter"),
        ("import azureml.no_such_part", "azureml.no_such_part is not in mljupyter"),
    ],
)
def test_an_import_of_what_is_not_there_says_what_why_and_what_instead(line: str, told: str) -> None:
    with pytest.raises(ImportError) as caught:
        exec(line)
    assert told in str(caught.value)
    assert str(caught.value).endswith("docs/azureml.md lists every name.")
    assert len(str(caught.value).splitlines()) == 2


def test_probes_for_a_name_get_a_plain_answer() -> None:
    import azureml.core

    assert not hasattr(azureml.core, "NothingOfThisName")
    assert importlib.util.find_spec("azureml.core.model") is not None
    with pytest.raises(AttributeError, match="is not in mljupyter"):
        azureml.core.NothingOfThisName  # noqa: B018


def test_modules_of_scoring_scripts_are_those_of_the_scoring_server() -> None:
    from azureml.contrib.services.aml_request import rawhttp
    from azureml.contrib.services.aml_response import AMLResponse
    from azureml.monitoring import ModelDataCollector

    homes = {one.__module__ for one in (rawhttp, AMLResponse, ModelDataCollector)}
    assert all(home.startswith("mljupyter.scoring.shims.") for home in homes)
