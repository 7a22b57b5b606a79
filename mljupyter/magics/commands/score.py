"""``%%score``: check a scoring script in a cell, run it on a sample, and store it under a name."""

from __future__ import annotations

import json
from typing import Any

from mljupyter.deploy.cell_script import first_line
from mljupyter.magics.commands.values import body_of
from mljupyter.magics.magic import Call
from mljupyter.notebook.options.option_values import WrongInputError, source_directory
from mljupyter.notebook.scoring_script import NOT_RUN, tried
from mljupyter.notebook.scripts import checked_name
from mljupyter.notebook.sources.inference import inference_config
from mljupyter.notebook.views.views import Outcome, shortened


def run(call: Call) -> Any:
    """Check the cell, run it once if there is a sample, and store it in the workspace."""
    if call.body is None:
        raise WrongInputError(f"The scoring script goes into the cell: start it with %%score {call['name']}")
    name = checked_name(call["name"])
    directory = source_directory(call["source_directory"])
    workspace = call.session.workspace()
    source = first_line(name) + call.body
    result = tried(
        workspace,
        source,
        directory,
        sample=None if call["sample"] is None else body_of(call["sample"], call.namespace),
        models=call["model"],
        namespace=call.namespace,
        timeout=call["timeout"],
    )
    remark = "checked" if result is NOT_RUN else f"sample → {shortened(json.dumps(result, ensure_ascii=False))}"
    kept = call.session.scripts().save(name, source, directory)
    if call["output"]:
        return call.deliver(inference_config(workspace.artifacts, kept))
    return None if call["quiet"] else Outcome("ok", name, remark)
