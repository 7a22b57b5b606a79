"""What a replica is told: command line options, else the environment variables of the reference, else defaults."""

# ruff: noqa: PTH100, PTH110, PTH112
# pathlib takes 3 ms to import, and every start of a replica would pay them in both processes.
from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

LOG_LEVELS = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "WARN": 30, "ERROR": 40, "CRITICAL": 50, "FATAL": 50}
MAX_SOCKET_PATH_BYTES = 107


class ConfigurationError(ValueError):
    """An option or environment variable has a value that cannot be used."""


class Configuration(NamedTuple):
    """Everything a replica needs to know; durations in the unit of the name, sizes in bytes."""

    entry_script: str
    app_root: str
    source_directory: str | None
    model_dir: str | None
    unix_socket: str | None
    host: str
    port: int
    concurrency: int
    max_queue_wait_ms: float
    scoring_timeout_ms: float
    startup_timeout: float
    max_body_bytes: int
    grace_seconds: float
    log_file: str | None
    log_max_bytes: int
    log_backups: int
    log_level: int
    replica: str
    service_name: str
    service_version: str
    service_path_prefix: str
    show_server_version: bool

    def script_environment(self) -> dict[str, str]:
        """Return the variables that tell the worker and the scoring script where they are."""
        variables = {"AML_APP_ROOT": self.app_root, "AZUREML_ENTRY_SCRIPT": self.entry_script}
        if self.source_directory:
            variables["AZUREML_SOURCE_DIRECTORY"] = self.source_directory
        if self.model_dir:
            variables["AZUREML_MODEL_DIR"] = self.model_dir
        return variables


def parse(arguments: Sequence[str], environment: Mapping[str, str]) -> Configuration:
    """Return the configuration of a command line; a flag beats a variable.

    Raises ConfigurationError when a value is out of its range or a path cannot be used. Unknown options end the
    process with status 2, as argparse does.
    """
    flags = _parser().parse_args(arguments)

    def text(flag: str | None, variable: str, default: str = "") -> str:
        return flag if flag is not None else environment.get(variable) or default

    app_root = os.path.abspath(text(flags.app_root, "AML_APP_ROOT", "."))
    if not os.path.isdir(app_root):
        raise ConfigurationError(f"the app root {app_root!r} is not a directory (--app-root or AML_APP_ROOT)")
    if flags.model_dir is not None and not os.path.exists(flags.model_dir):
        raise ConfigurationError(f"--model-dir {flags.model_dir!r} does not exist")
    model_dir = text(flags.model_dir, "AZUREML_MODEL_DIR")
    if flags.unix_socket and len(os.fsencode(flags.unix_socket)) > MAX_SOCKET_PATH_BYTES:
        raise ConfigurationError(
            f"--unix-socket {flags.unix_socket!r} is longer than {MAX_SOCKET_PATH_BYTES} bytes; use a shorter directory"
        )
    level = text(None, "AZUREML_LOG_LEVEL", "INFO").strip().upper()
    if level not in LOG_LEVELS:
        raise ConfigurationError(f"AZUREML_LOG_LEVEL is {level!r}; use one of {', '.join(LOG_LEVELS)}")
    timeout = text(flags.scoring_timeout_ms, "SCORING_TIMEOUT_MS", "60000")
    return Configuration(
        entry_script=text(flags.entry_script, "AZUREML_ENTRY_SCRIPT", "main.py"),
        app_root=app_root,
        source_directory=environment.get("AZUREML_SOURCE_DIRECTORY") or None,
        model_dir=os.path.abspath(model_dir) if model_dir else None,
        unix_socket=flags.unix_socket or None,
        host=flags.host,
        port=_within("--port", flags.port, 1, 65535, int),
        concurrency=_within("--concurrency", flags.concurrency, 1, 1000, int),
        max_queue_wait_ms=_within("--max-queue-wait-ms", flags.max_queue_wait_ms, 0, 86_400_000),
        scoring_timeout_ms=_within("--scoring-timeout-ms or SCORING_TIMEOUT_MS", timeout, 1, 86_400_000),
        startup_timeout=_within("--startup-timeout", flags.startup_timeout, 0.001, 86_400),
        max_body_bytes=_within("--max-body-bytes", flags.max_body_bytes, 1, 2**40, int),
        grace_seconds=_within("--grace-seconds", flags.grace_seconds, 0, 86_400),
        log_file=flags.log_file or None,
        log_max_bytes=_within("--log-max-bytes", flags.log_max_bytes, 1000, 2**40, int),
        log_backups=_within("--log-backups", flags.log_backups, 0, 1000, int),
        log_level=LOG_LEVELS[level],
        replica=flags.replica,
        service_name=text(None, "SERVICE_NAME", "ML service"),
        service_version=text(None, "SERVICE_VERSION", "1.0"),
        service_path_prefix=text(None, "SERVICE_PATH_PREFIX"),
        show_server_version=text(None, "SERVER_VERSION_LOG_RESPONSE_ENABLED", "true").lower() != "false",
    )


def _within(name: str, value: str, low: float, high: float, kind: type[Any] = float) -> Any:
    try:
        number = kind(value)
    except ValueError:
        raise ConfigurationError(f"{name} is {value!r}, which is not a number") from None
    if not low <= number <= high:
        raise ConfigurationError(f"{name} is {value}; it must be between {low} and {high}")
    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mljupyter.scoring",
        description="Serve a scoring script written for Azure ML v1.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--entry-script", help="the scoring script, relative to the app root (AZUREML_ENTRY_SCRIPT; main.py)")
    add("--app-root", help="working directory of the script (AML_APP_ROOT; the current directory)")
    add("--model-dir", help="where the models are (AZUREML_MODEL_DIR)")
    add("--unix-socket", help="listen on this socket, with mode 0600, instead of a port")
    add("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    add("--port", default="5001", help="port to listen on (5001)")
    add("--concurrency", default="1", help="how many run() calls at once, exactly (1)")
    add("--max-queue-wait-ms", default="500", help="longest wait for a free run() before 503 (500)")
    add("--scoring-timeout-ms", help="longest run() before 504 (SCORING_TIMEOUT_MS; 60000)")
    add("--startup-timeout", default="310", help="seconds that import and init() may take (310)")
    add("--max-body-bytes", default="104857600", help="largest request body, else 413 (100 MB)")
    add("--grace-seconds", default="65", help="seconds to finish running requests after SIGTERM (65)")
    add("--log-file", help="write the log here, with mode 0600 (standard output)")
    add("--log-max-bytes", default="10000000", help="rotate the log file at this size (10000000)")
    add("--log-backups", default="3", help="how many rotated log files to keep (3)")
    add("--replica", default="", help="name of this replica, shown in its log and state")
    return parser
