"""Scoring scripts that are checked and tried on a sample, for ``%%score`` and the command line."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mljupyter.core import Workspace
from mljupyter.notebook.sample_run import run_sample
from mljupyter.notebook.script_check import check
from mljupyter.notebook.sources.inference import lay_out_models, lay_out_source

NOT_RUN = object()
"""The result of a script that was checked, and not tried."""


def tried(
    workspace: Workspace,
    source: str,
    directory: Path | None,
    *,
    sample: str | None,
    models: Sequence[str],
    namespace: Mapping[str, Any],
    timeout: float,
) -> Any:
    """Check a scoring script, and return the result of ``run(sample)``; `NOT_RUN` without a sample.

    Parameters:
        workspace: has the models.
        source: the text of the script.
        directory: the files that it needs; None for none.
        sample: the text of a request.
        models: the models below ``AZUREML_MODEL_DIR``: names, ids, or variables with a Model.
        namespace: the variables.
        timeout: seconds for import, ``init()`` and ``run(sample)`` together.

    Raises:
        MLJupyterError: the script breaks a rule, failed or took too long; the message has its line.

    """
    # Resolved: on some systems the temporary directory is behind a link, and tracebacks name real paths.
    app_root = Path(tempfile.mkdtemp(prefix="mljupyter-score-")).resolve()
    try:
        script = lay_out_source(workspace.artifacts, source, directory, app_root)
        check(script)
        if sample is None:
            return NOT_RUN
        environment = lay_out_models(workspace, models, namespace, app_root)
        if script.parent != app_root:
            environment["AZUREML_SOURCE_DIRECTORY"] = script.parent.name
        return run_sample(script, app_root, sample, environment, timeout)
    finally:
        shutil.rmtree(app_root, ignore_errors=True)
