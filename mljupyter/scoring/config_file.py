"""Settings from a JSON file: names of environment variables with values, which the environment beats."""

# ruff: noqa: PTH110, PTH118, PTH120, PTH123
# pathlib takes 3 ms to import, and every start of a replica would pay them in both processes.
from __future__ import annotations

import os
from collections.abc import Mapping

_KNOWN = frozenset(
    (
        *("AML_APP_ROOT", "AZUREML_SOURCE_DIRECTORY", "AZUREML_ENTRY_SCRIPT", "AZUREML_MODEL_DIR"),
        *("AZUREML_LOG_LEVEL", "SERVICE_NAME", "SERVICE_VERSION", "SERVICE_PATH_PREFIX", "SERVICE_ID"),
        *("WORKSPACE_NAME", "HOSTNAME", "SCORING_TIMEOUT_MS", "SERVER_VERSION_LOG_RESPONSE_ENABLED"),
        *("AML_CORS_ORIGINS", "AML_MODEL_DC_STORAGE_ENABLED", "AML_MODEL_DC_STORAGE", "AML_MODEL_DC_DEBUG"),
        "AML_MODEL_DC_BOUNDARY",
    )
)


class ConfigFileError(ValueError):
    """The file cannot be used."""


def read(environment: Mapping[str, str], app_root: str, entry_script: str) -> dict[str, str]:
    """Return the settings of the file that AZUREML_CONFIG_FILE names, else of `config.json` in the app root or beside
    the entry script, else none (Azure ML v1: configuration).

    Other members of the file are left alone: a `config.json` often serves other programs too. Raises ConfigFileError
    when the file is not a JSON object, or when AZUREML_CONFIG_FILE names one that cannot be read.
    """
    named = environment.get("AZUREML_CONFIG_FILE")
    if named:
        return _settings(named, _content(named))
    for folder in (app_root, os.path.dirname(os.path.join(app_root, entry_script))):
        path = os.path.join(folder, "config.json")
        if os.path.exists(path):
            content = _content(path)
            if content:
                return _settings(path, content)
    return {}


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ConfigFileError(f"the configuration file {path} cannot be read: {error.strerror}") from None


def _settings(path: str, content: bytes) -> dict[str, str]:
    import json

    try:
        members = json.loads(content or b"{}")
    except (ValueError, RecursionError) as error:
        raise ConfigFileError(f"the configuration file {path} is not JSON: {error}") from None
    if not isinstance(members, dict):
        raise ConfigFileError(f"the configuration file {path} must hold a JSON object of variables and values")
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in members.items()
        if name in _KNOWN and value is not None
    }
