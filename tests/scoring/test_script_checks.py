"""A script that cannot serve ends the replica with status 3 and says why; where scripts run and what they see."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.scoring.conftest import Replica, is_alive
from tests.waiting import wait_until

Start = Callable[..., Replica]

BAD_SCRIPTS = {
    "no run": ("def init(): pass", "does not define run()"),
    "no init": ("def run(data): pass", "does not define init()"),
    "run not callable": ("run = 3\ndef init(): pass", "run in the scoring script"),
    "init not callable": ("init = None or 'x'\ndef run(data): pass", "init in the scoring script"),
    "syntax error": ("def init(): pass\ndef run(data)\n    pass\n", "SyntaxError"),
    "import error": (
        "import no_such_module_anywhere\n",
        "ModuleNotFoundError: No module named 'no_such_module_anywhere'",
    ),
    "exit at import": ("import sys\nsys.exit(7)\n", "SystemExit: 7"),
    "init raises": (
        "def init():\n    raise RuntimeError('no model here')\ndef run(data): pass",
        "RuntimeError: no model here",
    ),
    "init exits": ("def init():\n    exit(0)\ndef run(data): pass", "SystemExit: 0"),
    "init ends the process": (
        "import os\ndef init():\n    os._exit(9)\ndef run(data): pass",
        "ended with exit status 9",
    ),
    "init crashes": (
        "import ctypes\ndef init():\n    ctypes.string_at(0)\ndef run(data): pass",
        "was killed by SIGSEGV",
    ),
    "no data parameter": ("def init(): pass\ndef run(): pass", "needs a parameter for the input data"),
    "headers only": ("def init(): pass\ndef run(request_headers): pass", "needs a parameter for the input data"),
    "star args": ("def init(): pass\ndef run(*data): pass", "*args and **kwargs are not allowed"),
    "star kwargs": ("def init(): pass\ndef run(data, **more): pass", "*args and **kwargs are not allowed"),
    "positional only": ("def init(): pass\ndef run(data, /): pass", "positional-only"),
}

HANGING = """
import threading
def wait_for_ever():
    threading.Event().wait()
def init():
    wait_for_ever()
def run(data): pass
"""


@pytest.mark.parametrize("name", BAD_SCRIPTS)
def test_a_bad_script_ends_the_replica_with_status_3_and_a_reason(launch: Start, name: str) -> None:
    script, reason = BAD_SCRIPTS[name]
    replica = launch(script)
    assert replica.wait_exit() == 3
    assert reason in replica.log()
    assert "the replica stops with exit status 3" in replica.log()
    assert not replica.socket.exists()


def test_a_missing_script_is_named(launch: Start) -> None:
    replica = launch(None, "--entry-script", "absent.py")
    assert replica.wait_exit() == 3
    assert "absent.py cannot be read: No such file" in replica.log()


def test_the_log_shows_the_users_frames_and_the_model_directory(launch: Start, directory: Path) -> None:
    models = directory / "models"
    (models / "deep").mkdir(parents=True)
    (models / "deep" / "weights.bin").write_bytes(b"12345")
    script = "def load():\n    open('absent.pkl')\ndef init():\n    load()\ndef run(data): pass\n"
    replica = launch(script, "--model-dir", str(models))
    assert replica.wait_exit() == 3
    log = replica.log()
    assert "in init" in log and "in load" in log and "absent.pkl" in log
    assert "mljupyter/scoring" not in log.split("Traceback")[1].split("FileNotFoundError")[0]
    assert "deep/weights.bin (5 bytes)" in log


def test_the_listing_of_a_large_model_directory_ends_at_200_lines(launch: Start, directory: Path) -> None:
    models = directory / "models"
    models.mkdir()
    for number in range(300):
        (models / f"file{number:03}").touch()
    replica = launch("def init(): raise ValueError\ndef run(data): pass\n", "--model-dir", str(models))
    assert replica.wait_exit() == 3
    listing = replica.log().split("Files in the model directory")[1].split("the replica stops")[0]
    assert listing.count("(0 bytes)") <= 198
    assert "..." in listing


def test_init_that_hangs_is_ended_with_status_4_and_its_stack(launch: Start) -> None:
    replica = launch(HANGING, "--startup-timeout", "3")
    wait_until(lambda: replica.health() == 503, what="an answer while init() hangs")
    worker = replica.worker_pid()
    assert replica.wait_exit() == 4
    assert "did not return within 3 s" in replica.log()
    assert "in wait_for_ever" in replica.log()
    assert not is_alive(worker)


LOADS_UNTIL_TOLD = """
import os, time
def init():
    while not os.path.exists("go"): time.sleep(0.01)
def run(data): return data
"""


def test_health_and_score_say_starting_while_init_runs(launch: Start, directory: Path) -> None:
    replica = launch(LOADS_UNTIL_TOLD, "--max-queue-wait-ms", "50")
    wait_until(lambda: replica.health() == 503, what="an answer while init() runs")
    assert replica.client.get("/").text == "Starting"
    assert replica.state()["state"] == "starting"
    refused = replica.score("x")
    assert refused.status_code == 503
    assert "Starting" in refused.json()["message"]
    (directory / "go").touch()
    assert replica.wait_ready().score("x").json() == "x"


def test_a_request_that_arrives_a_little_early_is_answered_when_the_script_is_ready(
    launch: Start, directory: Path
) -> None:
    replica = launch(LOADS_UNTIL_TOLD, "--max-queue-wait-ms", "100000")
    wait_until(lambda: replica.health() == 503, what="an answer while init() runs")
    with ThreadPoolExecutor(1) as client:
        early = client.submit(replica.score, "early")
        try:
            wait_until(lambda: replica.state()["waiting"] == 1, what="the request waits")
        finally:
            (directory / "go").touch()
        assert early.result().json() == "early"


def test_the_script_runs_in_the_app_root_with_the_source_directory_on_its_path(launch: Start, directory: Path) -> None:
    source = directory / "project"
    source.mkdir()
    (source / "helper.py").write_text("VALUE = 42")
    (source / "extra.json").write_text("[1]")
    (directory / "beside.py").write_text("VALUE = 43")
    (directory / "models").mkdir()
    (source / "score.py").write_text(
        "import os, sys, json, helper, beside, threading\n"
        "def init():\n    global extra\n    extra = json.load(open('./project/extra.json'))\n"
        "def run(data):\n"
        "    names = ['AML_APP_ROOT', 'AZUREML_MODEL_DIR', 'AZUREML_ENTRY_SCRIPT', 'AZUREML_SOURCE_DIRECTORY']\n"
        "    return {'helper': helper.VALUE, 'beside': beside.VALUE, 'extra': extra, 'cwd': os.getcwd(),\n"
        "            'tail': sys.path[-2:], 'file': __file__, 'name': __name__, 'argv': sys.argv,\n"
        "            'main': threading.current_thread() is threading.main_thread(),\n"
        "            'environment': [os.environ[name] for name in names]}\n"
    )
    environment = {
        "AML_APP_ROOT": str(directory),
        "AZUREML_ENTRY_SCRIPT": "project/score.py",
        "AZUREML_SOURCE_DIRECTORY": "project",
        "AZUREML_MODEL_DIR": str(directory / "models"),
    }
    replica = launch(None, environment=environment).wait_ready()
    script = str(source / "score.py")
    assert (
        replica.score("").json()
        == {
            "helper": 42,
            "beside": 43,
            "extra": [1],
            "cwd": str(directory),
            "tail": [str(directory), str(source)],
            "file": script,
            "name": "entry_module",  # as with azureml-inference-server-http
            "argv": [script],
            "main": True,
            "environment": list(environment.values())[:1]
            + [environment[name] for name in ("AZUREML_MODEL_DIR", "AZUREML_ENTRY_SCRIPT", "AZUREML_SOURCE_DIRECTORY")],
        }
    )
    assert not (source / "__pycache__" / "score.cpython-311.pyc").exists()


def test_the_entry_script_is_main_py_unless_named(launch: Start, directory: Path) -> None:
    (directory / "main.py").write_text("def init(): pass\ndef run(data): return 'main'\n")
    assert launch(None).wait_ready().score("").json() == "main"


def test_modules_of_the_script_do_not_replace_those_of_the_server(launch: Start, directory: Path) -> None:
    for name in ("json", "uvicorn", "selectors"):
        (directory / f"{name}.py").write_text("raise SystemExit('not this one')")
    assert launch().wait_ready().score("x").json() == "x"


def test_the_worker_has_loaded_no_third_party_package_before_the_script(serve: Start) -> None:
    script = """
        import sys
        LOADED = sorted({name.split('.')[0] for name in sys.modules})
        def init(): pass
        def run(data): return LOADED
    """
    loaded = set(serve(script).score("").json())
    assert not loaded & {"uvicorn", "uvloop", "httptools", "numpy", "pydantic", "click", "anyio", "asyncio"}
