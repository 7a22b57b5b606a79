"""Which pages may call from a browser, and settings from a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mljupyter.scoring.configuration import ConfigurationError, parse
from mljupyter.scoring.server.response_headers import CrossOrigin
from tests.scoring.conftest import Replica

Serve = Callable[..., Replica]
ORIGIN = "access-control-allow-origin"


def test_listed_origins_are_allowed_on_every_route_and_others_are_not(serve: Serve) -> None:
    replica = serve(environment={"AML_CORS_ORIGINS": "https://a.example, http://b.example:8080"})
    for origin in ("https://a.example", "http://b.example:8080"):
        for answer in (replica.score("x", Origin=origin), replica.client.get("/", headers={"Origin": origin})):
            assert answer.headers[ORIGIN] == origin
            assert answer.headers["vary"] == "Origin"
    assert ORIGIN not in replica.score("x", Origin="https://a.example.evil").headers
    assert ORIGIN not in replica.score("x").headers
    assert replica.score(b"\xff", Origin="https://a.example").headers[ORIGIN] == "https://a.example"


def test_a_preflight_request_learns_methods_and_headers(serve: Serve) -> None:
    replica = serve("def init(): pass\ndef run(data): 1/0\n", "--cors-origins", "*")
    headers = {
        "Origin": "https://any.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type",
    }
    answer = replica.client.options("/score", headers=headers)
    assert answer.status_code == 200
    assert answer.headers[ORIGIN] == "*"
    assert answer.headers["access-control-allow-methods"] == "GET, POST"
    assert answer.headers["access-control-allow-headers"] == "authorization, content-type"
    assert replica.state()["failed"] == 0


@pytest.mark.parametrize("asked", ["DELETE", ""])
def test_a_preflight_for_another_method_is_not_allowed(asked: str) -> None:
    request = [(b"origin", b"https://a.example"), (b"access-control-request-method", asked.encode())]
    headers = dict(CrossOrigin("https://a.example").headers("OPTIONS", request))
    assert b"access-control-allow-methods" not in headers


def test_without_the_variable_nothing_is_allowed(echo: Replica) -> None:
    answer = echo.score("x", Origin="https://a.example")
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_file_sets_what_the_environment_does_not(directory: Path) -> None:
    (directory / "config.json").write_text(
        '{"SERVICE_NAME": "from file", "SCORING_TIMEOUT_MS": 1234, "AZUREML_ENTRY_SCRIPT": "filed.py",'
        ' "SERVER_VERSION_LOG_RESPONSE_ENABLED": false, "subscription_id": "another program\'s"}'
    )
    settings = parse(["--app-root", str(directory)], {"SERVICE_NAME": "from environment"})
    assert settings.service_name == "from environment"
    assert settings.scoring_timeout_ms == 1234
    assert settings.entry_script == "filed.py"
    assert not settings.show_server_version
    assert "subscription_id" not in settings.script_environment()


def test_the_file_may_stand_beside_the_script_or_be_named(directory: Path) -> None:
    (directory / "code").mkdir()
    (directory / "code" / "config.json").write_text('{"SERVICE_NAME": "beside"}')
    (directory / "named.json").write_text('{"SERVICE_NAME": "named"}')
    flags = ["--app-root", str(directory), "--entry-script", "code/score.py"]
    assert parse(flags, {}).service_name == "beside"
    assert parse(flags, {"AZUREML_CONFIG_FILE": str(directory / "named.json")}).service_name == "named"
    (directory / "config.json").write_text("")
    assert parse(flags, {}).service_name == "beside"


@pytest.mark.parametrize(("content", "told"), [("{", "is not JSON"), ("[1]", "must hold a JSON object")])
def test_a_file_that_cannot_be_used_is_named(directory: Path, content: str, told: str) -> None:
    (directory / "config.json").write_text(content)
    with pytest.raises(ConfigurationError, match=told):
        parse(["--app-root", str(directory)], {})
    with pytest.raises(ConfigurationError, match="cannot be read"):
        parse(["--app-root", str(directory)], {"AZUREML_CONFIG_FILE": "/no/such/file"})


def test_settings_of_the_file_reach_the_script(serve: Serve, directory: Path) -> None:
    (directory / "config.json").write_text('{"WORKSPACE_NAME": "team"}')
    script = "import os\ndef init(): pass\ndef run(data): return os.environ['WORKSPACE_NAME']\n"
    assert serve(script).score("").json() == "team"
