"""What a script finds: environment variables, working directory, the paths of its models."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.scoring.conftest import Replica
from tests.waiting import promised

Serve = Callable[..., Replica]

PATHS = """
import json, os
from azureml.core.model import Model
def init():
    print("cwd in init:", os.getcwd())
def run(data):
    try:
        return Model.get_model_path(**json.loads(data))
    except Exception as error:
        return f"{type(error).__name__}: {error}"
"""
PLACES = """
import os, sys
def init(): pass
def run(data):
    return {name: os.environ.get(name) for name in ("AZUREML_MODEL_DIR", "AML_APP_ROOT", "AZUREML_ENTRY_SCRIPT",
        "SERVICE_NAME")} | {"cwd": os.getcwd(), "path": sys.path, "file": __file__, "name": __name__}
"""


def add_model(directory: Path, name: str, version: int, *entries: str) -> Path:
    place = directory / "azureml-models" / name / str(version)
    place.mkdir(parents=True)
    for entry in entries:
        (place / entry).write_text("x")
    return place


def test_a_model_is_found_by_name_and_version(serve: Serve, directory: Path) -> None:
    for version in (2, 9, 10):
        add_model(directory, "wine", version, f"model-{version}.pkl")
    tree = add_model(directory, "net", 1) / "saved_model"
    tree.mkdir()
    (directory / "local.pkl").write_text("x")
    add_model(directory, "two", 1, "a", "b")
    replica = serve(PATHS, "--model-dir", str(directory / "azureml-models"))

    def path(body: str) -> str:
        found = replica.score(body).json()
        assert isinstance(found, str)
        return found

    root = directory / "azureml-models"
    assert path('{"model_name": "wine"}') == str(root / "wine/10/model-10.pkl")
    assert path('{"model_name": "wine", "version": 2}') == str(root / "wine/2/model-2.pkl")
    assert path('{"model_name": "wine", "version": "9"}') == str(root / "wine/9/model-9.pkl")
    assert path('{"model_name": "net"}') == str(tree)
    assert path('{"model_name": "local.pkl"}') == "local.pkl"
    assert path('{"model_name": "wine", "version": 3}').startswith("ModelNotFoundException: ModelNotFound")
    assert "net, two, wine" in path('{"model_name": "beer"}')
    assert "holds 2 entries" in path('{"model_name": "two"}')


def test_one_models_directory_is_enough_to_find_it(serve: Serve, directory: Path) -> None:
    place = directory / "elsewhere" / "wine" / "3"
    place.mkdir(parents=True)
    (place / "model.pkl").write_text("x")
    replica = serve(PATHS, "--model-dir", str(place))
    assert replica.score('{"model_name": "wine"}').json() == str(place / "model.pkl")


def test_a_script_finds_its_place_and_its_service(serve: Serve, directory: Path) -> None:
    (directory / "lib").mkdir()
    models = directory / "azureml-models"
    models.mkdir()
    environment = {"AZUREML_SOURCE_DIRECTORY": "lib", "SERVICE_NAME": "wine", "AZUREML_MODEL_DIR": str(models)}
    seen = serve(PLACES, environment=environment).score("").json()
    assert (seen["AZUREML_MODEL_DIR"], seen["SERVICE_NAME"]) == (str(models), "wine")
    assert seen["AML_APP_ROOT"] == seen["cwd"] == str(directory)
    assert seen["AZUREML_ENTRY_SCRIPT"] == "score.py"
    assert seen["path"][-2:] == [str(directory), str(directory / "lib")]
    assert seen["file"] == str(directory / "score.py")


def test_a_thousand_models_start_in_a_replica(serve: Serve, directory: Path) -> None:
    for number in range(1000):
        add_model(directory, f"model-{number}", 1, "model.txt")
    script = """
    import os
    from azureml.core.model import Model
    def init():
        global models
        models = {}
        for number in range(1000):
            with open(Model.get_model_path(f"model-{number}")) as file:
                models[number] = file.read()
    def run(data):
        return len(models)
    """
    start = time.monotonic()
    replica = serve(script, "--model-dir", str(directory / "azureml-models"))
    seconds = time.monotonic() - start
    assert replica.score("").json() == 1000
    assert seconds < promised(10)
    status = Path(f"/proc/{replica.worker_pid()}/status")
    if status.exists():
        resident = next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmRSS"))
        print(f"1,000 models: ready after {seconds:.2f} s, worker {resident / 1024:.1f} MB")
        assert resident < 100_000


@pytest.mark.parametrize("level", ["INFO", "ERROR"])
def test_logging_json_of_the_app_root_configures_the_scripts_loggers(serve: Serve, directory: Path, level: str) -> None:
    (directory / "logging.json").write_text(
        '{"version": 1, "handlers": {"out": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout"}},'
        f'"loggers": {{"mine": {{"level": "{level}", "handlers": ["out"]}}}}}}'
    )
    script = """
    import logging
    def init(): pass
    def run(data):
        logging.getLogger("mine").info("said by the script")
        print("the end")
    """
    replica = serve(script)
    replica.score("")
    assert ("said by the script" in replica.wait_log("the end")) == (level == "INFO")


def test_a_broken_logging_json_is_only_a_warning(serve: Serve, directory: Path) -> None:
    (directory / "logging.json").write_text("{")
    assert "logging.json cannot be used" in serve().wait_log("logging.json")
