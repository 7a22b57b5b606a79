"""Loading of the scoring script: working directory, import path, logging configuration, import."""

# ruff: noqa: PTH118, PTH123
# pathlib takes 3 ms to import, and every start of a replica would pay them in both processes.
from __future__ import annotations

import importlib
import os
import sys

from mljupyter.scoring.logs.diagnostics import write_record
from mljupyter.scoring.shims import finder
from mljupyter.scoring.worker import script_module
from mljupyter.scoring.worker.script import Script, ScriptError, brief


def load_script() -> Script:
    """Import the scoring script that the environment variables name, and return it checked.

    The working directory is the app root; the app root and the source directory are appended to `sys.path`
    (Azure ML v1: configuration). Raises ScriptError when the script is missing, fails to import, or has no
    usable `init` and `run`.
    """
    app_root = os.environ["AML_APP_ROOT"]
    os.chdir(app_root)
    for directory in (app_root, os.environ.get("AZUREML_SOURCE_DIRECTORY")):
        if directory:
            sys.path.append(os.path.join(app_root, directory))
    finder.install()
    _configure_logging(os.path.join(app_root, "logging.json"))
    flavour = os.environ.get("MLJUPYTER_NO_CODE")
    if flavour:
        sys.argv = [flavour]
        return Script(importlib.import_module(f"mljupyter.scoring.nocode.{flavour}"))
    return _load_file(app_root, os.environ["AZUREML_ENTRY_SCRIPT"])


def _load_file(app_root: str, entry_script: str) -> Script:
    path = os.path.join(app_root, entry_script)
    sys.argv = [path]
    try:
        source = script_module.source_of(path)
    except OSError as error:
        raise ScriptError(f"the scoring script {path} cannot be read: {error.strerror}") from None
    try:
        module = script_module.load(path, source, app_root)
    except BaseException as error:
        raise ScriptError(f"the scoring script {entry_script} cannot be imported: {brief(error)}") from error
    return Script(module)


def _configure_logging(path: str) -> None:
    """Apply the user's `logging.json` to the loggers of the script; log a warning if it cannot be used."""
    try:
        with open(path, "rb") as file:
            text = file.read()
    except OSError:
        return
    import json
    import logging.config

    try:
        logging.config.dictConfig(json.loads(text))
    except Exception as error:  # noqa: BLE001 (the file may name handlers and formatters of the user's own)
        write_record("W", "azmlinfsrv", f"{path} cannot be used: {brief(error)}")
