"""Configuration of a replica. Precedence: command line, environment variables, JSON file, defaults.

Variables without the prefix `MLJUPYTER_` are those of Azure ML v1.
"""

# ruff: noqa: PTH100, PTH110, PTH112, PTH118, PTH120, PTH123
# pathlib takes 3 ms to import, and every start of a replica would pay them in both processes.
from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from mljupyter.scoring.protocol import FAST_JSON, FAST_JSON_OFF, WARM_UP, WARM_UP_OFF, WARM_UP_ON

NO_CODE = ("auto", "sklearn", "onnx", "tensorflow", "mlflow")
LOG_LEVELS = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "WARN": 30, "ERROR": 40, "CRITICAL": 50, "FATAL": 50}
MAX_SOCKET_PATH_BYTES = 107
_COLLECTING = ("AML_MODEL_DC_STORAGE_ENABLED", "AML_MDC_STORAGE_ENABLED")
_SWITCHES = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
_FILE_VARIABLES = frozenset(
    (
        *("AML_APP_ROOT", "AZUREML_SOURCE_DIRECTORY", "AZUREML_ENTRY_SCRIPT", "AZUREML_MODEL_DIR"),
        *("AZUREML_LOG_LEVEL", "SERVICE_NAME", "SERVICE_VERSION", "SERVICE_PATH_PREFIX", "SERVICE_ID"),
        *("WORKSPACE_NAME", "HOSTNAME", "SCORING_TIMEOUT_MS", "SERVER_VERSION_LOG_RESPONSE_ENABLED"),
        *("AML_CORS_ORIGINS", "AML_MODEL_DC_STORAGE_ENABLED", "AML_MODEL_DC_STORAGE", "AML_MODEL_DC_DEBUG"),
        "AML_MODEL_DC_BOUNDARY",
    )
)


class ConfigurationError(ValueError):
    """An option, an environment variable or the configuration file cannot be used."""


class Configuration(NamedTuple):
    """The settings of a replica or zygote. Sizes are in bytes, durations in seconds (`..._ms`: milliseconds)."""

    entry_script: str
    app_root: str
    source_directory: str | None
    model_dir: str | None
    unix_socket: str | None
    template_socket: str | None
    template_descriptor: int | None
    fork_from: str | None
    worker_python: str | None
    host: str
    port: int
    concurrency: int
    max_queue_wait_ms: float
    max_wake_wait_ms: float
    max_queue_length: int
    scoring_timeout_ms: float
    stream_idle_ms: float
    startup_timeout: float
    max_body_bytes: int
    grace_seconds: float
    batching: bool | None
    max_batch_size: int
    preload: bool
    fast_json: bool
    warm_up: bool | None
    quarantine_after: int
    request_timeout: float
    idle_timeout: int
    max_connections: int
    max_header_bytes: int
    log_file: str | None
    log_max_bytes: int
    log_backups: int
    log_level: int
    replica: str
    service_name: str
    service_version: str
    service_path_prefix: str
    show_server_version: bool
    cors_origins: str
    no_code: str | None
    insights: bool
    insights_file: str | None
    log_response: bool
    collects_data: bool
    workspace_name: str
    file_variables: Mapping[str, str]

    def script_environment(self) -> dict[str, str]:
        """Return the environment variables for the worker and the scoring script."""
        named = {"AML_APP_ROOT": self.app_root, "AZUREML_ENTRY_SCRIPT": self.entry_script}
        variables = {**self.file_variables, **named, "MLJUPYTER_NO_CODE": self.no_code or ""}
        if self.source_directory:
            variables["AZUREML_SOURCE_DIRECTORY"] = self.source_directory
        if self.model_dir:
            variables["AZUREML_MODEL_DIR"] = self.model_dir
        if not self.fast_json:
            variables[FAST_JSON] = FAST_JSON_OFF
        if self.warm_up is not None:
            variables[WARM_UP] = WARM_UP_ON if self.warm_up else WARM_UP_OFF
        return variables


def doubts(arguments: Sequence[str], settings: Configuration) -> list[str]:
    """Return warnings about a command line with which a server starts, though not as its user may expect."""
    given = _parser().parse_args(arguments).model_dir
    if given is None or os.path.exists(given):
        return []
    return [f"--model-dir {given!r} does not exist: AZUREML_MODEL_DIR is {settings.model_dir}, and has no model"]


def parse(arguments: Sequence[str], environment: Mapping[str, str]) -> Configuration:
    """Return the configuration for a command line; an option overrides a variable.

    Raises ConfigurationError when a value is out of its range or a path cannot be used. Unknown options end the
    process with status 2, as usual with argparse.
    """
    flags = _parser().parse_args(arguments)

    def text(flag: str | None, variable: str, default: str = "") -> str:
        return flag if flag is not None else environment.get(variable) or from_file.get(variable) or default

    from_file: dict[str, str] = {}
    app_root = os.path.abspath(text(flags.app_root, "AML_APP_ROOT", "."))
    from_file = _read_file(environment, app_root, text(flags.entry_script, "AZUREML_ENTRY_SCRIPT"))
    app_root = os.path.abspath(text(flags.app_root, "AML_APP_ROOT", "."))
    if not os.path.isdir(app_root):
        raise ConfigurationError(f"the app root {app_root!r} is not a directory (--app-root or AML_APP_ROOT)")
    model_dir = text(flags.model_dir, "AZUREML_MODEL_DIR")
    for option in ("--unix-socket", "--template-socket", "--fork-from"):
        path = getattr(flags, option[2:].replace("-", "_"))
        if path and len(os.fsencode(path)) > MAX_SOCKET_PATH_BYTES:
            raise ConfigurationError(
                f"{option} {path!r} is longer than {MAX_SOCKET_PATH_BYTES} bytes; use a shorter directory"
            )
    level = text(None, "AZUREML_LOG_LEVEL", "INFO").strip().upper()
    if level not in LOG_LEVELS:
        raise ConfigurationError(f"AZUREML_LOG_LEVEL is {level!r}; use one of {', '.join(LOG_LEVELS)}")
    timeout = text(flags.scoring_timeout_ms, "SCORING_TIMEOUT_MS", "60000")
    stream_idle = text(None, "MLJUPYTER_STREAM_IDLE_MS", "0")
    wake_wait = text(None, "MLJUPYTER_MAX_WAKE_WAIT_MS", "0")
    batch_size = text(flags.max_batch_size, "MLJUPYTER_MAX_BATCH_SIZE", "64")
    return Configuration(
        entry_script=text(flags.entry_script, "AZUREML_ENTRY_SCRIPT", "main.py"),
        app_root=app_root,
        source_directory=text(None, "AZUREML_SOURCE_DIRECTORY") or None,
        model_dir=os.path.abspath(model_dir) if model_dir else None,
        unix_socket=flags.unix_socket or None,
        template_socket=flags.template_socket or None,
        template_descriptor=_descriptor(flags.template_descriptor),
        fork_from=flags.fork_from or None,
        worker_python=flags.worker_python or None,
        host=flags.host,
        port=_within("--port", flags.port, 1, 65535, int),
        concurrency=_within("--concurrency", flags.concurrency, 1, 1000, int),
        max_queue_wait_ms=_within("--max-queue-wait-ms", flags.max_queue_wait_ms, 0, 86_400_000),
        max_wake_wait_ms=_within("MLJUPYTER_MAX_WAKE_WAIT_MS", wake_wait, 0, 86_400_000),
        max_queue_length=_within("--max-queue-length", flags.max_queue_length, 0, 100_000, int),
        scoring_timeout_ms=_within("--scoring-timeout-ms or SCORING_TIMEOUT_MS", timeout, 1, 86_400_000),
        stream_idle_ms=_within("MLJUPYTER_STREAM_IDLE_MS", stream_idle, 0, 86_400_000),
        startup_timeout=_within("--startup-timeout", flags.startup_timeout, 0.001, 86_400),
        max_body_bytes=_within("--max-body-bytes", flags.max_body_bytes, 1, 2**40, int),
        grace_seconds=_within("--grace-seconds", flags.grace_seconds, 0, 86_400),
        batching=_switch("MLJUPYTER_BATCHING", flags.batching, text(None, "MLJUPYTER_BATCHING")),
        max_batch_size=_within("--max-batch-size or MLJUPYTER_MAX_BATCH_SIZE", batch_size, 1, 10_000, int),
        preload=bool(_switch("MLJUPYTER_PRELOAD", flags.preload, text(None, "MLJUPYTER_PRELOAD"))),
        fast_json=_switch(FAST_JSON, None, text(None, FAST_JSON)) is not False,
        warm_up=_switch(WARM_UP, None, text(None, WARM_UP)),
        quarantine_after=_within("--quarantine-after", flags.quarantine_after, 0, 1000, int),
        request_timeout=_within("--request-timeout", flags.request_timeout, 0.1, 86_400),
        idle_timeout=_within("--idle-timeout", flags.idle_timeout, 1, 86_400, int),
        max_connections=_within("--max-connections", flags.max_connections, 1, 1_000_000, int),
        max_header_bytes=_within("--max-header-bytes", flags.max_header_bytes, 1000, 2**30, int),
        log_file=flags.log_file or None,
        log_max_bytes=_within("--log-max-bytes", flags.log_max_bytes, 1000, 2**40, int),
        log_backups=_within("--log-backups", flags.log_backups, 0, 1000, int),
        log_level=LOG_LEVELS[level],
        replica=flags.replica,
        service_name=text(None, "SERVICE_NAME", "ML service"),
        service_version=text(None, "SERVICE_VERSION", "1.0"),
        service_path_prefix=text(None, "SERVICE_PATH_PREFIX"),
        show_server_version=text(None, "SERVER_VERSION_LOG_RESPONSE_ENABLED", "true").lower() != "false",
        cors_origins=text(flags.cors_origins, "AML_CORS_ORIGINS"),
        no_code=_no_code(flags.no_code, flags.entry_script, model_dir),
        insights=bool(_switch("AML_APP_INSIGHTS_ENABLED", None, text(None, "AML_APP_INSIGHTS_ENABLED"))),
        insights_file=flags.insights_file or None,
        log_response=text(None, "APP_INSIGHTS_LOG_RESPONSE_ENABLED", "true").strip().lower() != "false",
        collects_data=any(text(None, name).strip().lower() == "true" for name in _COLLECTING),
        workspace_name=text(None, "WORKSPACE_NAME"),
        file_variables={name: value for name, value in from_file.items() if not environment.get(name)},
    )


def _read_file(environment: Mapping[str, str], app_root: str, entry_script: str) -> dict[str, str]:
    """Return the variables in a JSON file (Azure ML v1: configuration).

    It is the file that AZUREML_CONFIG_FILE names, else `config.json` in the app root or beside the entry script. Other
    members of the file are ignored, since a `config.json` often serves other programs too. Raises ConfigurationError
    when the file is not a JSON object, or when AZUREML_CONFIG_FILE names a file that cannot be read.
    """
    named = environment.get("AZUREML_CONFIG_FILE")
    if named:
        return _file_settings(named, _file_content(named))
    for folder in (app_root, os.path.dirname(os.path.join(app_root, entry_script))):
        path = os.path.join(folder, "config.json")
        if os.path.exists(path):
            content = _file_content(path)
            if content:
                return _file_settings(path, content)
    return {}


def _file_content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ConfigurationError(f"the configuration file {path} cannot be read: {error.strerror}") from None


def _file_settings(path: str, content: bytes) -> dict[str, str]:
    import json  # only replicas with such a file pay for it

    try:
        members = json.loads(content or b"{}")
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"the configuration file {path} is not JSON: {error}") from None
    if not isinstance(members, dict):
        raise ConfigurationError(f"the configuration file {path} must hold a JSON object of variables and values")
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in members.items()
        if name in _FILE_VARIABLES and value is not None
    }


def _no_code(flavour: str | None, entry_script: str | None, model_dir: str) -> str | None:
    if flavour is None:
        return None
    if entry_script is not None:
        raise ConfigurationError("--no-code serves a model without a script; leave --entry-script out")
    if not model_dir:
        raise ConfigurationError("--no-code needs the model's directory: --model-dir or AZUREML_MODEL_DIR")
    return flavour


def _descriptor(value: str | None) -> int | None:
    return None if value is None else int(_within("--template-descriptor", value, 3, 2**20, int))


def _within(name: str, value: str, low: float, high: float, kind: type[Any] = float) -> Any:
    try:
        number = kind(value)
    except ValueError:
        raise ConfigurationError(f"{name} is {value!r}, which is not a number") from None
    if not low <= number <= high:
        raise ConfigurationError(f"{name} is {value}; it must be between {low} and {high}")
    return number


def _switch(variable: str, flag: bool | None, value: str) -> bool | None:
    """Return the value of an option, else that of its variable, None if neither is set."""
    if flag is not None or not value.strip():
        return flag
    if value.strip().lower() not in _SWITCHES:
        raise ConfigurationError(f"{variable} is {value!r}; use true or false")
    return _SWITCHES[value.strip().lower()]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mljupyter.scoring",
        description="Serve a scoring script written for Azure ML v1.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--entry-script", help="the scoring script, relative to the app root (AZUREML_ENTRY_SCRIPT; main.py)")
    add("--no-code", choices=NO_CODE, help="serve the model in the model directory without a script")
    add("--app-root", help="working directory of the script (AML_APP_ROOT; the current directory)")
    add("--model-dir", help="directory of the models (AZUREML_MODEL_DIR)")
    add("--cors-origins", help="comma-separated origins that browsers may call from (AML_CORS_ORIGINS)")
    add("--worker-python", help="the interpreter that runs the script (this one)")
    add("--unix-socket", help="listen on this socket, with mode 0600, instead of a port")
    add(
        "--template-socket",
        help="run init() once, then fork workers for replicas that connect here; no HTTP",
    )
    add("--template-descriptor", help="an inherited descriptor of the socket of --template-socket, already listening")
    add("--fork-from", help="have workers forked by the process that listens on this --template-socket")
    add("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    add("--port", default="5001", help="port to listen on (5001)")
    add("--concurrency", default="1", help="run() calls at the same time (1)")
    add("--max-queue-length", default="1000", help="requests that may wait for a free run() (1000)")
    add("--max-queue-wait-ms", default="500", help="longest wait for a free run() before 503 (500)")
    add("--scoring-timeout-ms", help="longest run() before 504 (SCORING_TIMEOUT_MS; 60000)")
    add("--startup-timeout", default="310", help="seconds that import and init() may take (310)")
    add("--max-body-bytes", default="104857600", help="largest request body, else 413 (100 MB)")
    add("--grace-seconds", default="65", help="seconds to finish running requests after SIGTERM (65)")
    add(
        "--batching",
        action=argparse.BooleanOptionalAction,
        help="one run() for all requests that wait (MLJUPYTER_BATCHING; decided by the script)",
    )
    add("--max-batch-size", help="most requests for one run() (MLJUPYTER_MAX_BATCH_SIZE; 64)")
    add(
        "--preload",
        action=argparse.BooleanOptionalAction,
        help="fork new workers from a process that has run init() (MLJUPYTER_PRELOAD; off)",
    )
    add("--quarantine-after", default="3", help="refuse a request that has killed this many workers; 0 for never (3)")
    add("--request-timeout", default="60", help="seconds a client may take to send a request or read an answer (60)")
    # Longer than the router keeps an idle connection: if the replica closed first, a request could be lost.
    add("--idle-timeout", default="3900", help="seconds until a connection without requests is closed (3900)")
    add("--max-connections", default="1000", help="most connections at once, else 503 (1000)")
    add("--max-header-bytes", default="65536", help="largest head of a request, else 431 (65536)")
    add("--log-file", help="write the log here, with mode 0600 (standard output)")
    add("--log-max-bytes", default="10000000", help="rotate the log file at this size (10000000)")
    add("--log-backups", default="3", help="rotated log files to keep (3)")
    add("--insights-file", help="write request records here if AML_APP_INSIGHTS_ENABLED is true (standard output)")
    add("--replica", default="", help="name of this replica, shown in its log and state")
    return parser
