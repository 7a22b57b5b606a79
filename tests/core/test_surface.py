from __future__ import annotations

import inspect
import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import mljupyter.core
from mljupyter import exceptions
from mljupyter.core.webservice.webservice import Webservice
from mljupyter.errors import MLJupyterError
from mljupyter.exceptions import WebserviceException, as_webservice_exception
from mljupyter.registry.errors import ModelPathNotFoundError
from mljupyter.spec import EndpointKind, SpecError
from tests.waiting import HANG_SECONDS

# The public names of the first release: by module, then by name the members of a class or the parameters of a function,
# then by member the parameters of a method. Members of a class are listed once.
SURFACE: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("public_surface.json").read_text())
# Modules of azureml.core that notebooks import from, beside those above.
AZURE_PATHS = [
    ("mljupyter.core.webservice.webservice", "Webservice"),
    ("mljupyter.core.webservice.webservice", "WebserviceDeploymentConfiguration"),
    ("mljupyter.core.webservice.aks", "AksServiceDeploymentConfiguration"),
    ("mljupyter.core.webservice.aci", "AciServiceDeploymentConfiguration"),
    ("mljupyter.core.webservice.local", "LocalWebserviceDeploymentConfiguration"),
    ("mljupyter.core.image.image", "ImageConfig"),
    ("mljupyter.core.image.container", "ContainerImageConfig"),
    ("mljupyter.core.environment", "DockerSection"),
    ("mljupyter.core.environment", "DockerImageDetails"),
    ("mljupyter.core.environment", "ImageBuildDetails"),
    ("mljupyter.core.model", "InferenceConfig"),
    ("mljupyter.core.model", "ModelPackage"),
    ("mljupyter.core.authentication", "InteractiveLoginAuthentication"),
    ("mljupyter.core.authentication", "ServicePrincipalAuthentication"),
    ("mljupyter.core.data.dataset_type_definitions", "PromoteHeadersBehavior"),
    ("mljupyter.core.data.data_reference", "DataReference"),
    ("mljupyter.core.data.datapath", "DataPath"),
    ("mljupyter.core.data.dataset_factory", "DataType"),
    ("mljupyter.core.dataset", "Dataset"),
    ("mljupyter.core.datastore", "Datastore"),
    ("mljupyter.core.experiment", "Experiment"),
    ("mljupyter.core.keyvault", "Keyvault"),
    ("mljupyter.core.run", "Run"),
    ("mljupyter.core.run", "_OfflineRun"),
    ("mljupyter.core.runconfig", "RunConfiguration"),
    ("mljupyter.core.script_run", "ScriptRun"),
    ("mljupyter.core.script_run_config", "ScriptRunConfig"),
]


def parameters(function: Any) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name not in ("self", "cls")]


def check_parameters(where: str, function: Any, expected: list[str]) -> None:
    found = parameters(function)
    named = [name for name in expected if name != "kwargs"]  # they are last, also after parameters of later releases
    assert found[: len(named)] == named, where
    assert set(expected) <= set(found), where


@pytest.mark.parametrize("module", SURFACE)
def test_names_members_and_parameters_of_the_first_release_stay(module: str) -> None:
    for name, expected in SURFACE[module].items():
        value = getattr(import_module(module), name)
        if isinstance(expected, list):
            check_parameters(f"{module}.{name}", value, expected)
        for member, arguments in expected.items() if isinstance(expected, dict) else ():
            found = inspect.getattr_static(value, member)
            if arguments is not None:
                function = found.__func__ if isinstance(found, (staticmethod, classmethod)) else found
                check_parameters(f"{module}.{name}.{member}", function, arguments)


@pytest.mark.parametrize(("module", "name"), AZURE_PATHS)
def test_classes_are_found_where_azureml_has_them(module: str, name: str) -> None:
    assert isinstance(getattr(import_module(module), name), type)


@pytest.mark.parametrize(
    "module",
    [
        "deployment",
        "environment",
        "image.image",
        "model",
        "model_package",
        "webservice.aks",
        "workspace",
        "dataset",
        "datastore",
        "experiment",
        "keyvault",
        "run",
        "script_run",
        "script_run_config",
    ],
)
def test_each_module_can_be_the_first_one_that_is_imported(module: str) -> None:
    subprocess.run([sys.executable, "-c", f"import mljupyter.core.{module}"], check=True, timeout=HANG_SECONDS)


def test_each_kind_of_web_service_has_its_class() -> None:
    assert {kind: Webservice.class_of(kind).__name__ for kind in EndpointKind} == {
        EndpointKind.LOCAL: "LocalWebservice",
        EndpointKind.ACI: "AciWebservice",
        EndpointKind.AKS: "AksWebservice",
        EndpointKind.AKS_ENDPOINT: "AksEndpoint",
    }


def test_every_name_of_the_package_can_be_imported() -> None:
    for name in mljupyter.core.__all__:
        assert getattr(mljupyter.core, name) is not None
    assert set(mljupyter.core.__all__) <= set(dir(mljupyter.core))
    with pytest.raises(AttributeError, match="Pipeline"):
        mljupyter.core.Pipeline  # noqa: B018


def test_importing_the_package_imports_nothing_heavy() -> None:
    program = "import sys, mljupyter.core; print(*(set(sys.modules) & {'pydantic', 'sqlalchemy', 'httpx'}))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=HANG_SECONDS, check=True
    )
    assert done.stdout == "\n"


def test_importing_the_names_imports_neither_database_nor_http_client() -> None:
    program = (
        "import sys; from mljupyter.core import *; print(*(set(sys.modules) & {'sqlalchemy', 'httpx', 'uvicorn'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=HANG_SECONDS, check=True
    )
    assert done.stdout == "\n"


def test_the_names_of_every_notebook_come_without_the_parts_that_deploy_and_send_requests() -> None:
    parts = {"mljupyter.deploy.prepare", "mljupyter.deploy.apply", "mljupyter.client.scorer", "mljupyter.runtimes"}
    heavy = {"asyncio", "http.client", "packaging", "psutil", "ssl", "subprocess"}
    program = (
        "import sys; from mljupyter.core import Environment, Model, Webservice, Workspace; "
        f"print(*({parts | heavy!r} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=HANG_SECONDS, check=True
    )
    assert done.stdout == "\n"


def test_old_notebooks_find_an_sdk_version_they_accept() -> None:
    assert tuple(int(part) for part in mljupyter.core.VERSION.split(".")) >= (1, 13, 0)


def test_every_exception_is_an_error_of_the_project() -> None:
    for name in exceptions.__all__:
        value = getattr(exceptions, name)
        if isinstance(value, type):
            assert issubclass(value, MLJupyterError)


def test_errors_of_the_parts_become_webservice_exceptions_with_the_same_text() -> None:
    with pytest.raises(WebserviceException, match=r"^cpu is 0$"), as_webservice_exception():
        raise SpecError("cpu is 0")
    with pytest.raises(FileNotFoundError), as_webservice_exception():
        raise ModelPathNotFoundError("no such file")
