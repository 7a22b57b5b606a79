"""RunConfiguration: how a script is run.

Azure: azureml.core.runconfig.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mljupyter import core
from mljupyter.build.environments.definition import EnvironmentDefinition
from mljupyter.exceptions import RunConfigurationException, UserErrorException, as_user_error
from mljupyter.files import expanded
from mljupyter.outside import yaml_value

if TYPE_CHECKING:
    from mljupyter.core import CondaDependencies, Environment

LOCAL = "local"
DEFAULT_SECONDS = 30 * 24 * 3600
_FOLDERS = (".azureml", "aml_config", "")


class DockerConfiguration:
    """The settings of a container for a script; scripts here run as processes.

    Parameters:
        use_docker, shared_volumes, arguments, shm_size: kept; without effect.

    """

    def __init__(
        self,
        use_docker: bool = False,
        shared_volumes: bool = True,
        arguments: Sequence[str] | None = None,
        shm_size: str | None = None,
    ) -> None:
        self.use_docker = use_docker
        self.shared_volumes = shared_volumes
        self.arguments = list(arguments or ())
        self.shm_size = shm_size


class MpiConfiguration:
    """The settings of several processes with MPI; scripts here run as one process.

    Parameters:
        process_count_per_node, node_count: must be 1 when the script is submitted.

    """

    def __init__(self, process_count_per_node: int = 1, node_count: int = 1) -> None:
        self.process_count_per_node = process_count_per_node
        self.node_count = node_count


class PyTorchConfiguration(MpiConfiguration):
    """The settings of several processes with PyTorch; scripts here run as one process."""

    def __init__(
        self, communication_backend: str = "Nccl", process_count: int | None = None, node_count: int = 1
    ) -> None:
        super().__init__(process_count or node_count, node_count)
        self.communication_backend = communication_backend


class TensorflowConfiguration(MpiConfiguration):
    """The settings of several processes with TensorFlow; scripts here run as one process."""

    def __init__(self, worker_count: int = 1, parameter_server_count: int = 0) -> None:
        super().__init__(worker_count + parameter_server_count, 1)
        self.worker_count = worker_count
        self.parameter_server_count = parameter_server_count


class RunConfiguration:
    """How a script is run: its arguments, environment and target. The target is this machine.

    Parameters:
        script: the script.
        arguments: its arguments.
        framework: ``Python``.
        communicator: ``None``: the script runs as one process.
        conda_dependencies: the packages of its environment.

    Attributes:
        target: ``local``. Another one is refused when the script is submitted.
        environment: the environment of the script.
        max_run_duration_seconds: the script is stopped after this time.
        data, data_references, output_data: inputs by name; see `ScriptRunConfig` for the usual way.

    Example:
        >>> configuration = RunConfiguration()
        >>> configuration.environment.python.user_managed_dependencies = True

    """

    def __init__(
        self,
        script: str | None = None,
        arguments: Sequence[Any] | None = None,
        framework: str | None = None,
        communicator: str | None = None,
        conda_dependencies: CondaDependencies | None = None,
        _history_enabled: bool | None = None,
        _path: str | None = None,
        _name: str | None = None,
    ) -> None:
        self.script = script
        self.arguments = list(arguments or ())
        self.command: str | Sequence[Any] | None = None
        self.framework = framework or "Python"
        self.communicator = communicator or "None"
        self.environment: Environment = core.Environment(_name or "project")
        if conda_dependencies is not None:
            self.environment.python.conda_dependencies = conda_dependencies
        self._target: str = LOCAL
        self.node_count = 1
        self.max_run_duration_seconds: float | None = DEFAULT_SECONDS
        self.priority: int | None = None
        self.auto_prepare_environment = True
        self.docker = DockerConfiguration()
        self.mpi = MpiConfiguration()
        self.data: dict[str, Any] = {}
        self.data_references: dict[str, Any] = {}
        self.output_data: dict[str, Any] = {}

    @property
    def target(self) -> str:
        """The name of the compute target."""
        return self._target

    @target.setter
    def target(self, target: Any) -> None:
        self._target = str(getattr(target, "name", target) or LOCAL)

    @property
    def environment_variables(self) -> dict[str, str]:
        """The environment variables of the script, those of its environment."""
        return self.environment.environment_variables

    @environment_variables.setter
    def environment_variables(self, variables: dict[str, str]) -> None:
        self.environment.environment_variables = variables

    def save(
        self, path: str | None = None, name: str | None = None, separate_environment_yaml: bool = False
    ) -> RunConfiguration:
        """Write the configuration to ``.azureml/NAME.runconfig``, without environment variables, and return it.

        Parameters:
            path: the directory; by default the current one. A path that ends with ``.runconfig`` is the file.
            name: the name of the file; by default that of the environment.
            separate_environment_yaml: without effect.

        """
        import yaml

        base = expanded(path or ".")
        name = name or self.environment.name
        file = base if base.suffix == ".runconfig" else base / ".azureml" / f"{name}.runconfig"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump(self._document(), sort_keys=False), encoding="utf-8")
        return self

    @staticmethod
    def load(path: str | os.PathLike[str], name: str | None = None) -> RunConfiguration:
        """Read a configuration.

        Parameters:
            path: the file, or the directory whose ``.azureml`` or ``aml_config`` has it.
            name: the name of the file, without ``.runconfig``; by default ``local``.

        Raises:
            RunConfigurationException: there is no such file, or it has another form.

        """
        import yaml

        base = expanded(path)
        files = [base] if base.is_file() else [base / folder / f"{name or LOCAL}.runconfig" for folder in _FOLDERS]
        file = next((file for file in files if file.is_file()), None)
        if file is None:
            raise RunConfigurationException(f"There is no {files[0].name} in {base} or its folder .azureml.")
        try:
            document = yaml_value(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise RunConfigurationException(f"{file} cannot be read: {str(error)[:300]}") from None
        if not isinstance(document, dict):
            raise RunConfigurationException(f"{file} is no configuration: it must have named values.")
        return RunConfiguration._of(document, file)

    @staticmethod
    def get(path: str | os.PathLike[str], name: str | None = None) -> RunConfiguration:
        """Read a configuration; the older name of `load`."""
        return RunConfiguration.load(path, name)

    @staticmethod
    def delete(path: str | os.PathLike[str], name: str) -> None:
        """Remove the file of a configuration.

        Raises:
            UserErrorException: there is no such file.

        """
        for folder in _FOLDERS:
            file = expanded(path) / folder / f"{name}.runconfig"
            if file.is_file():
                file.unlink()
                return
        raise UserErrorException(f"There is no {name}.runconfig in {path}.")

    def _document(self) -> dict[str, Any]:
        return {
            "script": self.script,
            "arguments": [str(argument) for argument in self.arguments],
            "target": self.target,
            "framework": self.framework,
            "communicator": self.communicator,
            "maxRunDurationSeconds": self.max_run_duration_seconds,
            "nodeCount": self.node_count,
            "environment": self._environment_document(),
        }

    def _environment_document(self) -> dict[str, Any]:
        document = self.environment.definition().document()
        document.pop("environmentVariables", None)  # values may be secrets, and the file is shared
        return document

    @staticmethod
    def _of(document: dict[str, Any], file: Path) -> RunConfiguration:
        arguments = document.get("arguments") or []
        if not isinstance(arguments, list):
            raise RunConfigurationException(f"{file}: arguments must be a list.")
        found = RunConfiguration(
            document.get("script"), arguments, document.get("framework"), document.get("communicator")
        )
        found.target = document.get("target") or LOCAL
        found.node_count = document.get("nodeCount") or 1
        found.max_run_duration_seconds = document.get("maxRunDurationSeconds") or DEFAULT_SECONDS
        if (environment := document.get("environment")) is not None:
            if not isinstance(environment, dict):
                raise RunConfigurationException(f"{file}: environment must be a section.")
            with as_user_error():
                found.environment = core.Environment.of(EnvironmentDefinition.parse({"name": "project", **environment}))
        return found

    def __repr__(self) -> str:
        return f"RunConfiguration(script={self.script}, target={self.target}, environment={self.environment.name})"
