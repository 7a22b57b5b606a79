"""``%%score``: a scoring script in a cell. It is checked, tried on a sample, and kept under a name."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from mljupyter.magics.call import Call
from mljupyter.magics.magic import Magic
from mljupyter.notebook.options.option import Option
from mljupyter.notebook.options.option_values import WrongInputError
from mljupyter.notebook.views.views import Outcome, shortened


def run(call: Call) -> Any:
    """Check the cell, run it once when there is a sample, and keep it in the workspace."""
    from mljupyter.magics.script_check import check
    from mljupyter.notebook.sources.inference import inference_config, lay_out_models, lay_out_source
    from mljupyter.notebook.sources.scripts import checked_name

    if call.body is None:
        raise WrongInputError(f"The scoring script goes into the cell: start it with %%score {call['name']}")
    name = checked_name(call["name"])
    directory = _source_directory(call["source_directory"])
    # One comment takes the place of the %%score line: line numbers in errors and logs are those of the cell.
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
    from mljupyter.magics.sample_run import run_sample
    from mljupyter.magics.values import body_of

    sample = body_of(call["sample"], call.namespace)
    if script.parent != app_root:
        environment["AZUREML_SOURCE_DIRECTORY"] = script.parent.name
    result = run_sample(script, app_root, sample, environment, call["timeout"])
    return shortened(json.dumps(result, ensure_ascii=False))


MAGIC = Magic(
    name="score",
    summary="Check a scoring script, try it on a sample and keep it under a name for %deploy --score NAME.",
    body="the scoring script: init(), called once, and run(data), called for each request with its text",
    needs_body=True,
    interrupted="The try was ended; the script kept under this name is as it was.",
    options=(
        Option("name", "name of the scoring script", metavar="NAME", positional=True, required=True, completes="score"),
        Option("sample", "try it on this: JSON, a variable, or @file", metavar="DATA", completes="variable"),
        Option(
            "model",
            "registered model that init() finds below AZUREML_MODEL_DIR during the try",
            metavar="MODEL[:VERSION]",
            completes="model",
            repeatable=True,
        ),
        Option("source-directory", "directory whose files go along with the script", metavar="DIR"),
        Option("timeout", "longest time the try may take", kind="duration", default="60s", minimum=0.1),
        Option("output", "keep the InferenceConfig in this variable", short="-o", metavar="VAR"),
        Option("quiet", "print nothing but errors", kind="flag"),
    ),
    example="""%%score ridge-score --model diabetes-ridge --sample {"data": [[0.1, 0.2]]}
import json, os, joblib

def init():
    global model
    model = joblib.load(os.path.join(os.environ["AZUREML_MODEL_DIR"], "ridge.pkl"))

def run(data):
    return model.predict(json.loads(data)["data"]).tolist()""",
    run=run,
)
