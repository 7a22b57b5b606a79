"""``%%score``: check a scoring script in a cell, run it on a sample, and store it under a name."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from mljupyter.magics.commands.sample_run import run_sample
from mljupyter.magics.commands.script_check import check
from mljupyter.magics.commands.values import body_of
from mljupyter.magics.magic import Call
from mljupyter.notebook.options.option_values import WrongInputError
from mljupyter.notebook.scripts import checked_name
from mljupyter.notebook.sources.inference import inference_config, lay_out_models, lay_out_source
from mljupyter.notebook.views.views import Outcome, shortened


def run(call: Call) -> Any:
    """Check the cell, run it once if there is a sample, and store it in the workspace."""
    if call.body is None:
        raise WrongInputError(f"The scoring script goes into the cell: start it with %%score {call['name']}")
    name = checked_name(call["name"])
    directory = _source_directory(call["source_directory"])
    # A comment replaces the %%score line, so that line numbers in errors and logs are those of the cell.
    workspace = call.session.workspace()
    source = f"# Scoring script {name!r}, written with %%score\n{call.body}"
    remark = "checked"
    # Resolved: on some systems the temporary directory is behind a link, and tracebacks name real paths.
    app_root = Path(tempfile.mkdtemp(prefix="mljupyter-score-")).resolve()
    try:
        script = lay_out_source(workspace.artifacts, source, directory, app_root)
        check(script)
        if call["sample"] is not None:
            environment = lay_out_models(workspace, call["model"], call.namespace, app_root)
            remark = f"sample → {_try(call, script, app_root, environment)}"
    finally:
        shutil.rmtree(app_root, ignore_errors=True)
    kept = call.session.scripts().save(name, source, directory)
    if call["output"]:
        return call.deliver(inference_config(workspace.artifacts, kept))
    return None if call["quiet"] else Outcome("ok", name, remark)


def _source_directory(text: str | None) -> Path | None:
    if text is None:
        return None
    directory = Path(text).expanduser().resolve()
    if not directory.is_dir():
        raise WrongInputError(f"--source-directory {text}: there is no such directory.")
    return directory


def _try(call: Call, script: Path, app_root: Path, environment: dict[str, str]) -> str:
    sample = body_of(call["sample"], call.namespace)
    if script.parent != app_root:
        environment["AZUREML_SOURCE_DIRECTORY"] = script.parent.name
    result = run_sample(script, app_root, sample, environment, call["timeout"])
    return shortened(json.dumps(result, ensure_ascii=False))
