"""Inference configurations: scoring script, source directory and environment.

Azure: InferenceConfig of azureml.core.model.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from mljupyter import deploy
from mljupyter.build.project.script import check_script, check_script_name
from mljupyter.core.docker_section import dockerfile_text
from mljupyter.core.environment import DEFAULT_GPU_IMAGE, ContainerRegistry, Environment
from mljupyter.exceptions import WebserviceException, as_webservice_exception
from mljupyter.files import expanded

_RUNTIMES = ("python", "spark-py", "python-slim")
_CUDA_VERSIONS = ("9.0", "9.1", "10.0")


class InferenceConfig:
    """A scoring script with ``init()`` and ``run(data)``, its source directory and its environment.

    The environment has two forms, which exclude each other: `environment`, or the older `runtime` with `conda_file` and
    so on. With neither, the script runs in the interpreter that deploys.

    Parameters:
        entry_script: the scoring script, ``*.py``; relative to `source_directory` when that is given.
        source_directory: a directory that is deployed with the script, under its own name: the script opens
            ``./<its name>/data.json``. Without it only the script is deployed.
        environment: the newer form.
        runtime: the older form: ``python``, or ``spark-py``.
        conda_file, extra_docker_file_steps, enable_gpu, cuda_version, base_image, base_image_registry: the older
            form; it becomes an environment named after the web service.
        description: free text.

    Raises:
        WebserviceException: an argument breaks a rule, or the script has a syntax error, with its file and line.

    Example:
        >>> InferenceConfig("score.py", source_directory="source")     # doctest: +SKIP

    """

    def __init__(
        self,
        entry_script: str,
        runtime: str | None = None,
        conda_file: str | None = None,
        extra_docker_file_steps: str | None = None,
        source_directory: str | None = None,
        enable_gpu: bool | None = None,
        description: str | None = None,
        base_image: str | None = None,
        base_image_registry: Any = None,
        cuda_version: str | None = None,
        environment: Environment | None = None,
    ) -> None:
        self.entry_script = str(entry_script)
        self.runtime = runtime
        self.conda_file = conda_file
        self.extra_docker_file_steps = extra_docker_file_steps
        self.source_directory = None if source_directory is None else str(source_directory)
        self.enable_gpu = enable_gpu
        self.description = description
        self.base_image = base_image
        self.base_image_registry = base_image_registry
        self.cuda_version = cuda_version
        self.environment = environment
        self.validate_configuration()

    @property
    def source_path(self) -> Path:
        """The absolute path of the source directory, or of the script if there is none."""
        return self.script_file if self.source_directory is None else _absolute(self.source_directory)

    @property
    def script_file(self) -> Path:
        """The absolute path of the scoring script."""
        return _absolute(expanded(self.source_directory or "") / expanded(self.entry_script))

    @property
    def script_in_source(self) -> str:
        """The script's path relative to the source directory, or its file name when there is none."""
        if self.source_directory is None:
            return self.script_file.name
        return self.script_file.relative_to(self.source_path).as_posix()

    def environment_for(self, service: str) -> Environment | None:
        """Return the environment for a web service; None for the interpreter that deploys.

        The older form becomes an environment named ``<service>-env``.

        Parameters:
            service: the name of the web service.

        Raises:
            WebserviceException: the runtime is ``spark-py``, or the conda file cannot be read.

        """
        given = self._given("conda_file", "extra_docker_file_steps", "base_image", "base_image_registry")
        if self.runtime == "spark-py":
            raise WebserviceException("runtime is 'spark-py': Spark is not available. Available: 'python'.")
        if self.environment is not None or not (given or self.enable_gpu):
            return self.environment
        environment = Environment(f"{service}-env")
        base = expanded(self.source_directory or "")
        with as_webservice_exception():
            if self.conda_file is not None:
                environment = Environment.from_conda_specification(environment.name, base / self.conda_file)
                if environment.python.pins is None and deploy.environments.PINS_VARIABLE not in os.environ:
                    environment.python.pins = "compatible"  # the older form is that of old notebooks
            if self.enable_gpu:
                environment.docker.base_image = DEFAULT_GPU_IMAGE
            if self.base_image is not None:
                environment.docker.base_image = self.base_image
            if self.base_image_registry is not None:
                environment.docker.base_image_registry = self.base_image_registry
            if self.extra_docker_file_steps is not None:
                environment.docker.extra_dockerfile_steps = dockerfile_text(str(base / self.extra_docker_file_steps))
        return environment

    def validate_configuration(self) -> None:
        """Check all rules against the present files.

        Raises:
            WebserviceException: a rule is broken.

        """
        self._check_forms()
        self._check_files()

    def _check_forms(self) -> None:
        if self.environment is not None:
            if not isinstance(self.environment, Environment):
                raise WebserviceException(
                    f"environment is a {type(self.environment).__name__}: it must be an Environment."
                )
            older = self._given("runtime", "conda_file", "extra_docker_file_steps", "base_image", "cuda_version")
            older += self._given("base_image_registry", "enable_gpu")
            if older:
                raise WebserviceException(
                    f"environment and {', '.join(older)} cannot be combined: the environment has all of these."
                )
        registry = self.base_image_registry
        if registry is not None and not isinstance(registry, ContainerRegistry):
            raise WebserviceException(
                f"base_image_registry is a {type(registry).__name__}: it must be a ContainerRegistry."
            )
        if self.runtime is not None and self.runtime not in _RUNTIMES:
            raise WebserviceException(f"runtime is {self.runtime!r}: it must be 'python' or 'spark-py'.")
        if self.cuda_version is not None and self.cuda_version not in _CUDA_VERSIONS:
            raise WebserviceException(
                f"cuda_version is {self.cuda_version!r}: it must be one of {', '.join(_CUDA_VERSIONS)}."
            )

    def _check_files(self) -> None:
        check_script_name(self.entry_script)
        base = expanded(self.source_directory) if self.source_directory is not None else Path()
        if self.source_directory is not None:
            if not base.is_dir():
                raise WebserviceException(f"source_directory {self.source_directory!r} is not a directory.")
            if not self.script_file.is_relative_to(self.source_path):
                raise WebserviceException(
                    f"entry_script {self.entry_script!r} is outside of source_directory {self.source_directory!r}: "
                    "it must lie in it, and is given relative to it."
                )
        if not self.script_file.is_file():
            raise WebserviceException(f"The scoring script {self.script_file} does not exist.")
        for name in ("conda_file", "extra_docker_file_steps"):
            value = getattr(self, name)
            if value is not None and not (base / value).is_file():
                raise WebserviceException(f"{name} {str(base / value)!r} does not exist.")
        check_script(self.script_file)

    def _given(self, *names: str) -> list[str]:
        return [name for name in names if getattr(self, name) is not None]

    def __repr__(self) -> str:
        source = f", source_directory={self.source_directory}" if self.source_directory is not None else ""
        environment = f", environment={self.environment.name}" if self.environment is not None else ""
        return f"InferenceConfig(entry_script={self.entry_script}{source}{environment})"


def _absolute(path: str | Path) -> Path:
    # Links are not resolved: a file keeps its name in the replica.
    return Path(os.path.abspath(expanded(path)))  # noqa: PTH100 - Path.absolute() keeps '..'
