"""The hook of a whole environment: enabled by one file, quick, and out of the way of the real package."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mljupyter.azureml import installation
from tests.azureml.conftest import Interpreter
from tests.waiting import promised

IMPORT = "from azureml.core import Model; print(Model.__module__)"


@pytest.fixture
def real(tmp_path: Path) -> Path:
    """A directory with a package ``azureml.core``."""
    package = tmp_path / "real" / "azureml" / "core"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    (package / "__init__.py").write_text("class Model: pass\n")
    return tmp_path / "real"


def test_enabling_lets_each_interpreter_import_the_names_until_it_is_disabled(interpreter: Interpreter) -> None:
    assert "disabled; enable it with: mljupyter azureml enable" in interpreter.azureml("status")
    assert "No module named 'azureml'" in interpreter.run("-c", IMPORT, expected=1).stderr
    assert "Enabled" in interpreter.azureml("enable")
    assert interpreter.prints(IMPORT) == "mljupyter.core.model"
    shown = json.loads(interpreter.azureml("status", "--json"))
    assert shown == {
        "enabled": True,
        "active": True,
        "files": [str(interpreter.packages / installation.FILE_NAME)],
        "python": str(interpreter.executable),
        "realPackage": None,
        "az": None,
        "aks": None,
    }
    assert "Disabled" in interpreter.azureml("disable")
    assert "not enabled" in interpreter.azureml("disable")
    assert "No module named 'azureml'" in interpreter.run("-c", IMPORT, expected=1).stderr


def test_enabling_twice_changes_nothing(enabled: Interpreter) -> None:
    file = enabled.packages / installation.FILE_NAME
    before = file.read_text()
    enabled.azureml("enable")
    assert file.read_text() == before
    assert len(before.splitlines()) == 1


@pytest.mark.alone
def test_the_file_adds_less_than_a_millisecond_to_the_start_of_an_interpreter(enabled: Interpreter) -> None:
    code = f"""
import site, time
def milliseconds():
    began = time.perf_counter()
    site.addpackage({str(enabled.packages)!r}, {installation.FILE_NAME!r}, set())
    return (time.perf_counter() - began) * 1000
print(min(milliseconds() for _ in range(20)))
"""
    assert float(enabled.prints(code)) < promised(1)


def test_an_interpreter_imports_nothing_of_the_hook_before_a_program_needs_it(enabled: Interpreter) -> None:
    code = "import sys, json, email; print([name for name in sys.modules if name.startswith('mljupyter')])"
    assert enabled.prints(code) == "[]"


def test_the_file_does_nothing_when_mljupyter_is_gone(enabled: Interpreter) -> None:
    (enabled.packages / "project.pth").rename(enabled.packages / "project.away")
    try:
        code = "try:\n import azureml\nexcept ModuleNotFoundError as error:\n print(error.name)"
        done = enabled.run("-c", code)
        assert (done.stdout, done.stderr) == ("azureml\n", "")
    finally:
        (enabled.packages / "project.away").rename(enabled.packages / "project.pth")


def test_the_real_package_is_used_and_one_line_says_so(enabled: Interpreter, real: Path) -> None:
    code = f"{IMPORT}; import azureml.core; from azureml import core\nimport azureml.widgets"
    done = enabled.run("-c", code, path=real, expected=1)
    assert done.stdout == "azureml.core\n"
    assert done.stderr.count("mljupyter: the real package is used for azureml") == 1
    assert "No module named 'azureml.widgets'" in done.stderr


def test_status_and_enable_name_the_real_package(interpreter: Interpreter, real: Path) -> None:
    shown = interpreter.run("-m", "mljupyter.cli", "azureml", "status", path=real).stdout
    assert f"azureml.core in {real}" in shown
    done = interpreter.run("-m", "mljupyter.cli", "azureml", "enable", path=real)
    assert "is installed and is used instead" in done.stderr
    (interpreter.packages / "azureml_core-1.61.0.dist-info").mkdir()
    try:
        metadata = "Metadata-Version: 2.1\nName: azureml-core\nVersion: 1.61.0\n"
        (interpreter.packages / "azureml_core-1.61.0.dist-info" / "METADATA").write_text(metadata)
        assert json.loads(interpreter.azureml("status", "--json"))["realPackage"] == "azureml-core 1.61.0"
    finally:
        (interpreter.packages / "azureml_core-1.61.0.dist-info" / "METADATA").unlink()
        (interpreter.packages / "azureml_core-1.61.0.dist-info").rmdir()


def test_other_packages_below_azureml_stay_usable_beside_the_names(enabled: Interpreter, tmp_path: Path) -> None:
    (tmp_path / "azureml" / "mlflow").mkdir(parents=True)
    (tmp_path / "azureml" / "mlflow" / "__init__.py").write_text("home = 'real'\n")
    code = f"import azureml.mlflow; print(azureml.mlflow.home); {IMPORT}"
    assert enabled.prints(code, path=tmp_path).split() == ["real", "mljupyter.core.model"]


def test_in_a_replica_the_names_of_the_scoring_server_count(enabled: Interpreter) -> None:
    code = """
import sklearn.linear_model
from mljupyter.scoring.shims import finder
finder.install()
from azureml.core.model import Model
from azureml.core import Workspace
from sklearn.externals import joblib
import sys
print(Model.__module__, joblib.__name__, "mljupyter.core" in sys.modules)
"""
    assert enabled.prints(code) == "mljupyter.scoring.shims.model joblib False"


def test_without_a_writable_directory_enabling_says_what_else_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("site.ENABLE_USER_SITE", False)
    monkeypatch.setattr("site.getsitepackages", list)
    monkeypatch.setattr("sysconfig.get_path", lambda name: "/nonexistent/packages")
    with pytest.raises(installation.HookError, match=r"%load_ext mljupyter.*python -m mljupyter.azureml"):
        installation.enable()
