"""ScriptRunConfig: a script to submit, with its arguments, its environment and its target.

Azure: azureml.core.script_run_config.
"""

from __future__ import annotations

import copy
import os
import shlex
import sys
from collections.abc import Collection, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mljupyter.build.environments.definition import DEFAULT_INTERPRETER
from mljupyter.build.environments.requirements import wanted
from mljupyter.core.runconfig import LOCAL, RunConfiguration
from mljupyter.exceptions import ExperimentExecutionException, UserErrorException, as_user_error
from mljupyter.files import expanded
from mljupyter.tracking.packages import unmet

if TYPE_CHECKING:
    from mljupyter.core import Environment

_RUNNER = "mljupyter.azureml"  # finds `import azureml` for a script


class ScriptRunConfig:
    """A script to submit with `Experiment.submit`. It runs as a process on this machine.

    Parameters:
        source_directory: the directory of the script, which is copied for the run; by default the current one.
            ``.amlignore`` or ``.gitignore`` lists files to leave out.
        script: the script, relative to the directory.
        arguments: texts and numbers; inputs such as ``dataset.as_named_input("data").as_mount()`` and
            ``datastore.path("data").as_mount()`` become local paths.
        run_config: further settings; those given here come first.
        compute_target: ``local``, or an `AmlCompute`, which stands for this machine; another one is refused by
            `Experiment.submit`.
        environment: the environment. Its variables are set. Its packages are not installed: those that are missing are
            named. With ``python.user_managed_dependencies`` its `interpreter_path` is used.
        distributed_job_config: refused: the script runs as one process.
        resume_from: refused.
        max_run_duration_seconds: the script is stopped after this time.
        command: a command, in place of script and arguments.
        docker_runtime_config: without effect: the script runs as a process.

    Raises:
        UserErrorException: both or neither of `script` and `command` are given.

    Example:
        >>> config = ScriptRunConfig(".", "train.py", arguments=["--alpha", 0.5])     # doctest: +SKIP
        >>> run = Experiment(ws, "diabetes").submit(config)                           # doctest: +SKIP
        >>> run.wait_for_completion(show_output=True)                                 # doctest: +SKIP

    """

    MAX_DURATION_SECONDS_DEFAULT = 30 * 24 * 3600

    def __init__(
        self,
        source_directory: str | os.PathLike[str] | None,
        script: str | None = None,
        arguments: Sequence[Any] | None = None,
        run_config: RunConfiguration | None = None,
        _telemetry_values: Any = None,
        compute_target: Any = None,
        environment: Environment | None = None,
        distributed_job_config: Any = None,
        resume_from: Any = None,
        max_run_duration_seconds: float | None = 2592000,
        command: str | Sequence[Any] | None = None,
        docker_runtime_config: Any = None,
    ) -> None:
        self.source_directory = os.fspath(source_directory) if source_directory is not None else "."
        self.run_config = copy.copy(run_config) if run_config is not None else RunConfiguration()
        self.script = script or (self.run_config.script if command is None else None)
        self.command = command if command is not None else self.run_config.command
        if (self.script is None) == (self.command is None):
            raise UserErrorException(
                "ScriptRunConfig needs a script or a command, and not both, such as ScriptRunConfig('.', 'train.py')."
            )
        self.arguments = list(arguments if arguments is not None else self.run_config.arguments)
        if self.command is not None and self.arguments:
            raise UserErrorException("arguments belong to a script: put those of a command into the command.")
        self.run_config.script, self.run_config.arguments = self.script, self.arguments
        if compute_target is not None:
            self.run_config.target = compute_target
        if environment is not None:
            self.run_config.environment = environment
        if max_run_duration_seconds != self.MAX_DURATION_SECONDS_DEFAULT:
            self.run_config.max_run_duration_seconds = max_run_duration_seconds
        self.distributed_job_config = distributed_job_config
        self.resume_from = resume_from
        self.docker_runtime_config = docker_runtime_config

    @property
    def compute_target(self) -> str:
        """The name of the compute target."""
        return self.run_config.target

    @property
    def environment(self) -> Environment:
        """The environment of the script."""
        return self.run_config.environment

    def check(self, targets: Collection[str] = ()) -> None:
        """Check that the script can run here.

        Parameters:
            targets: the names of the compute targets that stand for this machine.

        Raises:
            ExperimentExecutionException: the target is not this machine, or more than one process is asked for.
            UserErrorException: the script does not exist.

        """
        if self.compute_target.lower() != LOCAL and self.compute_target not in targets:
            raise ExperimentExecutionException(
                f"compute_target is {self.compute_target!r}: scripts run on this machine only, there is no training on "
                "clusters.\nUse compute_target='local', or let the name stand for this machine: ComputeTarget.create("
                f"ws, {self.compute_target!r}, AmlCompute.provisioning_configuration()). Models are deployed to "
                "clusters with Model.deploy."
            )
        asked = self.run_config.node_count, self.run_config.mpi.process_count_per_node, self.run_config.mpi.node_count
        if self.distributed_job_config is not None or self.run_config.communicator != "None" or max(asked) > 1:
            raise ExperimentExecutionException(
                "The script is to run as several processes: here it runs as one.\nLeave out distributed_job_config, "
                "communicator and node_count; the script itself may start processes."
            )
        if self.run_config.framework != "Python":
            raise ExperimentExecutionException(
                f"framework is {self.run_config.framework!r}: scripts run with Python here."
            )
        if self.resume_from is not None:
            raise ExperimentExecutionException("resume_from is not there: pass the path of a checkpoint as argument.")
        if self.script is not None and not expanded(Path(self.source_directory, self.script)).is_file():
            raise UserErrorException(
                f"There is no script {self.script!r} in {str(Path(self.source_directory).absolute())!r}."
            )

    def command_line(self, arguments: Sequence[str]) -> list[str]:
        """Return the command to start: the interpreter of the environment, the script and its arguments.

        Parameters:
            arguments: the arguments of the script, or the words of the command, as texts.

        """
        interpreter = self._interpreter()
        if self.script is None:
            words = shlex.split(arguments[0]) if isinstance(self.command, str) else list(arguments)
            if words[:1] not in (["python"], ["python3"]):
                return words
            if len(words) == 1 or words[1].startswith("-"):
                return [interpreter, *words[1:]]
            return [*_python(interpreter), *words[1:]]
        return [*_python(interpreter), self.script, *arguments]

    def notes(self) -> list[str]:
        """Return sentences on settings that have no effect here, and on packages that are missing."""
        found = []
        if self.compute_target.lower() != LOCAL:
            found.append(f"{self.compute_target!r} stands for this machine: the script runs here as a process.")
        docker = self.docker_runtime_config or self.run_config.docker
        if getattr(docker, "use_docker", False) or getattr(self.environment.docker, "enabled", False):
            found.append("The script runs as a process of this machine, not in a container.")
        if self._interpreter() == sys.executable:
            with as_user_error():
                packages = wanted(self.environment.definition())
            lines = [package.line for package in packages.packages if not package.optional]
            if lacking := unmet(lines, _installed):
                found.append(
                    f"The environment {self.environment.name!r} asks for packages that this Python does not have: "
                    f"{', '.join(lacking[:10])}. The script runs with the installed ones; %pip install adds others."
                )
        return found

    def _interpreter(self) -> str:
        python = self.environment.python
        if python.user_managed_dependencies and python.interpreter_path != DEFAULT_INTERPRETER:
            return str(python.interpreter_path)
        return sys.executable

    def __repr__(self) -> str:
        return f"ScriptRunConfig(source_directory={self.source_directory}, script={self.script})"


def _python(interpreter: str) -> list[str]:
    """Return the words that run a script; in this Python it finds the old names, as ``import azureml``."""
    with_names = interpreter == sys.executable and find_spec(_RUNNER) is not None
    return [interpreter, "-m", _RUNNER] if with_names else [interpreter]


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
