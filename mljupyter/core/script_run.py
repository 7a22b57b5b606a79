"""ScriptRun: the run of a submitted script.

Azure: azureml.core.script_run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mljupyter.core.run import Run

if TYPE_CHECKING:
    from mljupyter.core import Experiment, RunConfiguration


class ScriptRun(Run):
    """The run of a submitted script; see `Experiment.submit`.

    Parameters:
        experiment: its experiment.
        run_id: its id.
        directory: the source directory.

    """

    def __init__(
        self,
        experiment: Experiment,
        run_id: str,
        directory: str | None = None,
        _run_config: RunConfiguration | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(experiment, run_id, **kwargs)
        self.source_directory = directory
        self.run_config = _run_config
