"""Where settings come from, and what is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from mljupyter.scoring.configuration import ConfigurationError, parse
from tests.scoring.conftest import Replica


def test_a_flag_beats_a_variable_and_a_variable_the_default(directory: Path) -> None:
    environment = {
        "AML_APP_ROOT": "/",
        "AZUREML_ENTRY_SCRIPT": "variable.py",
        "SCORING_TIMEOUT_MS": "7000",
        "AZUREML_LOG_LEVEL": "debug",
    }
    settings = parse(["--app-root", str(directory), "--entry-script", "flag.py"], environment)
    assert (settings.app_root, settings.entry_script) == (str(directory), "flag.py")
    assert settings.scoring_timeout_ms == 7000
    assert settings.log_level == 10
    assert parse([], environment).entry_script == "variable.py"
    assert parse(["--scoring-timeout-ms", "5"], environment).scoring_timeout_ms == 5
    plain = parse([], {})
    assert (plain.entry_script, plain.app_root, plain.port, plain.concurrency) == ("main.py", str(Path.cwd()), 5001, 1)
    assert (plain.scoring_timeout_ms, plain.max_queue_wait_ms, plain.startup_timeout) == (60000, 500, 310)


@pytest.mark.parametrize(
    ("arguments", "variable", "batching"),
    [
        ([], "", None),
        ([], "true", True),
        ([], "0", False),
        (["--batching"], "false", True),
        (["--no-batching"], "1", False),
    ],
)
def test_a_switch_has_a_flag_for_on_and_for_off(arguments: list[str], variable: str, batching: bool | None) -> None:
    settings = parse(arguments, {"MLJUPYTER_BATCHING": variable, "MLJUPYTER_PRELOAD": variable})
    assert settings.batching is batching
    assert settings.preload is (variable in ("true", "1"))


@pytest.mark.parametrize(
    ("arguments", "environment", "told"),
    [
        (["--port", "0"], {}, "--port is 0; it must be between 1 and 65535"),
        (["--port", "http"], {}, "'http', which is not a number"),
        (["--concurrency", "0"], {}, "--concurrency"),
        (["--scoring-timeout-ms", "nan"], {}, "scoring-timeout"),
        ([], {"SCORING_TIMEOUT_MS": "soon"}, "SCORING_TIMEOUT_MS"),
        ([], {"AZUREML_LOG_LEVEL": "LOUD"}, "LOUD"),
        (["--app-root", "/no/such/place"], {}, "/no/such/place"),
        (["--max-batch-size", "0"], {}, "--max-batch-size"),
        ([], {"MLJUPYTER_MAX_BATCH_SIZE": "many"}, "MLJUPYTER_MAX_BATCH_SIZE"),
        ([], {"MLJUPYTER_BATCHING": "perhaps"}, "MLJUPYTER_BATCHING is 'perhaps'; use true or false"),
        ([], {"MLJUPYTER_PRELOAD": "2"}, "MLJUPYTER_PRELOAD"),
        ([], {"MLJUPYTER_WARM_UP": "2"}, "MLJUPYTER_WARM_UP is '2'; use true or false"),
        (["--request-timeout", "0"], {}, "--request-timeout"),
        (["--max-connections", "0"], {}, "--max-connections"),
        (["--unix-socket", "/tmp/" + "x" * 103], {}, "longer than 107 bytes"),
    ],
)
def test_a_wrong_value_is_named_with_its_rule(arguments: list[str], environment: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(told)):
        parse(arguments, environment)


def test_a_replica_with_a_wrong_option_ends_with_status_2(launch: Callable[..., Replica]) -> None:
    replica = launch(None, "--concurrency", "many")
    assert replica.wait_exit() == 2
    assert replica.process.stdout is not None
    assert b"--concurrency is 'many'" in replica.process.stdout.read()


def test_a_log_file_that_cannot_be_opened_is_said(launch: Callable[..., Replica]) -> None:
    replica = launch(None, "--log-file", "/no/such/place/log")
    assert replica.wait_exit() == 2
    assert replica.process.stdout is not None
    assert b"/no/such/place/log" in replica.process.stdout.read()


def test_a_model_directory_that_does_not_exist_is_a_warning(serve: Callable[..., Replica]) -> None:
    script = "import os\ndef init(): pass\ndef run(data): return os.environ['AZUREML_MODEL_DIR']\n"
    replica = serve(script, "--model-dir", "/no/such/models")
    assert replica.score("x").json() == "/no/such/models"
    log = replica.wait_log("--model-dir '/no/such/models' does not exist")
    assert [" W [" in line for line in log.splitlines() if "/no/such/models" in line] == [True]
