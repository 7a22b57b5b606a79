from __future__ import annotations

import subprocess
import sys

import pytest

import mljupyter.core
from mljupyter import exceptions
from mljupyter.errors import MLJupyterError
from mljupyter.exceptions import WebserviceException, as_webservice_exception
from mljupyter.registry.errors import ModelPathNotFoundError
from mljupyter.spec import SpecError
from tests.waiting import HANG_SECONDS


def test_every_name_of_the_package_can_be_imported() -> None:
    for name in mljupyter.core.__all__:
        assert getattr(mljupyter.core, name) is not None
    assert set(mljupyter.core.__all__) <= set(dir(mljupyter.core))
    with pytest.raises(AttributeError, match="Dataset"):
        mljupyter.core.Dataset  # noqa: B018


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
