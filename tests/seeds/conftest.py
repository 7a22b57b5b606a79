"""The project directory that the documents take for granted: a model, a scoring script and its configurations."""

from __future__ import annotations

import json
import pickle
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.azureml.conftest import names

__all__ = ["names"]
ROWS = [[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]]
BODY = json.dumps({"data": ROWS})
ANSWER = [385.5, 220.5]
"""The answers of the model for `ROWS`: the coefficients are 1 to 10, the intercept is 0.5."""

_SCORE = """
import json
import pickle

from azureml.core.model import Model


def init():
    global model
    with open(Model.get_model_path("{model}"), "rb") as file:
        model = pickle.load(file)
    print("coefficients:", len(model["coefficients"]))


def run(data):
    rows = json.loads(data)["data"]
    return [model["intercept"] + sum(a * b for a, b in zip(model["coefficients"], row)) for row in rows]
"""
_CONDA = "name: project_environment\ndependencies:\n- python=3.11\n"


@dataclass(frozen=True)
class Project:
    """The current directory of a test.

    Parameters:
        directory: its path.

    """

    directory: Path

    def write(self, *, model: str, kind: str, **deployment: object) -> None:
        """Write the files.

        Parameters:
            model: the name under which the script looks for the model.
            kind: the ``computeType`` of ``deploymentconfig.json``.
            deployment: the other fields of that file.

        """
        self.write_model(0.5)
        (self.directory / "score.py").write_text(_SCORE.format(model=model))
        (self.directory / "myenv.yml").write_text(_CONDA)
        self._write_json("inferenceconfig.json", entryScript="score.py", runtime="python", condaFile="myenv.yml")
        self._write_json("deploymentconfig.json", computeType=kind, **deployment)

    def write_model(self, intercept: float) -> None:
        """Write ``model.pkl``."""
        model = {"coefficients": list(range(1, 11)), "intercept": intercept}
        (self.directory / "model.pkl").write_bytes(pickle.dumps(model))

    def write_config(self, name: str, group: str) -> None:
        """Write the configuration file of a workspace, as it was downloaded from the portal.

        Parameters:
            name: the name of the workspace.
            group: its resource group.

        """
        subscription = "11111111-2222-3333-4444-555555555555"
        self._write_json("config.json", subscription_id=subscription, resource_group=group, workspace_name=name)

    def _write_json(self, name: str, **fields: object) -> None:
        (self.directory / name).write_text(json.dumps(fields))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """An empty current directory."""
    directory = tmp_path / "project"
    directory.mkdir()
    monkeypatch.chdir(directory)
    monkeypatch.delenv("MLJUPYTER_WORKSPACE", raising=False)
    monkeypatch.delenv("AML_APP_ROOT", raising=False)
    return Project(directory)
