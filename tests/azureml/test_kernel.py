"""Old cells in IPython: after ``%load_ext mljupyter``, or in an environment with the names, they run as they are."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager
from traitlets.config import Config

from mljupyter.azureml import hook
from tests.azureml.conftest import Interpreter
from tests.waiting import COMMAND_SECONDS

OLD_CELL = """
import azureml.core
from azureml.core import Workspace, Model, Environment
from azureml.core.model import InferenceConfig
from azureml.core.webservice import LocalWebservice, Webservice
from sklearn.externals import joblib

print("SDK version:", azureml.core.VERSION)
ws = Workspace.from_config()
print(ws.name, ws.resource_group, ws.location, sep="\\t")
joblib.dump([1, 2, 3], "model.pkl")
model = Model.register(workspace=ws, model_path="model.pkl", model_name="old-model", tags={"area": "diabetes"})
"""
DEPLOY = """
%%writefile score.py
import json
from azureml.core.model import Model
from sklearn.externals import joblib

def init():
    global numbers
    numbers = joblib.load(Model.get_model_path("old-model"))

def run(data):
    return [sum(numbers) * value for value in json.loads(data)["data"]]
"""
CALL = """
inference_config = InferenceConfig(entry_script="score.py")
service = Model.deploy(ws, "old-service", [model], inference_config, LocalWebservice.deploy_configuration())
service.wait_for_deployment(show_output=True)
result = service.run('{"data": [1, 2]}')
service.delete()
"""


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLJUPYTER_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLJUPYTER_WORKSPACE", raising=False)
    shell = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    shell.run_line_magic("load_ext", "mljupyter")
    yield shell
    shell.run_line_magic("unload_ext", "mljupyter")


@pytest.mark.usefixtures("names")
@pytest.mark.system
def test_the_cells_of_an_old_notebook_deploy_and_score(shell: InteractiveShell) -> None:
    for cell in (OLD_CELL, DEPLOY.lstrip(), CALL):
        shell.run_cell(cell).raise_error()
    assert shell.user_ns["result"] == [6, 12]
    shell.user_ns["ws"].delete()


@pytest.mark.system
def test_old_cells_run_without_an_edit_in_a_kernel_of_an_environment_that_has_the_names(
    enabled: Interpreter, tmp_path: Path
) -> None:
    kernel = KernelManager()
    command = [str(enabled.executable), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    kernel._kernel_spec = KernelSpec(argv=command)
    home = tmp_path / "home"
    kernel.start_kernel(cwd=str(tmp_path), env={**os.environ, "MLJUPYTER_HOME": str(home)})
    printed: list[str] = []

    def keep(message: dict[str, Any]) -> None:
        printed.append(str(message["content"].get("text", "")))

    client = kernel.blocking_client()
    try:
        client.start_channels()
        client.wait_for_ready(COMMAND_SECONDS)
        for cell in (OLD_CELL, DEPLOY.lstrip(), CALL, "print(result); ws.delete()"):
            reply = client.execute_interactive(cell, output_hook=keep, timeout=COMMAND_SECONDS)
            assert reply["content"]["status"] == "ok", (cell, reply["content"], printed)
    finally:
        client.stop_channels()
        kernel.shutdown_kernel(now=True)
    assert f"workspace 'default' is created, in {home / 'workspaces' / 'default'}" in "".join(printed)
    assert "[6, 12]\n" in printed


def test_the_extension_installs_the_hook_and_removes_its_own(shell: InteractiveShell) -> None:
    assert hook.is_installed()
    shell.run_line_magic("unload_ext", "mljupyter")
    assert not hook.is_installed()
    shell.run_cell("import azureml.core")
    assert "azureml" not in sys.modules
    shell.run_line_magic("load_ext", "mljupyter")


def test_the_extension_leaves_the_hook_of_the_environment(tmp_path: Path, names: None) -> None:
    shell = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    shell.run_line_magic("load_ext", "mljupyter")
    shell.run_line_magic("unload_ext", "mljupyter")
    assert hook.is_installed()


def test_a_failed_import_shows_the_reason(shell: InteractiveShell, names: None) -> None:
    outcome = shell.run_cell("from azureml.widgets import RunDetails")
    assert isinstance(outcome.error_in_exec, ImportError)
    assert "For endpoints, %monitor shows requests" in str(outcome.error_in_exec)
