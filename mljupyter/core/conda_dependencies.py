"""Package lists for conda and pip.

Azure: azureml.core.conda_dependencies.
"""

from __future__ import annotations

import copy
import os
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mljupyter import core
from mljupyter.build.environments.definition import CondaDefinition, redacted
from mljupyter.build.environments.local_files import absolute_lines
from mljupyter.build.environments.pip_lines import RequirementError, logical_lines, pip_line
from mljupyter.build.environments.requirements import name_of
from mljupyter.core import conda_file
from mljupyter.exceptions import UserErrorException, as_user_error
from mljupyter.files import expanded

DEFAULT_FILE = "conda_dependencies.yml"
DEFAULT_NAME = "project_environment"
DEFAULT_CHANNELS = ("anaconda", "conda-forge")
DEFAULT_PIP_PACKAGES = ("azureml-defaults",)
#: The version of this interpreter, so that replicas can load pickles made here.
PYTHON_DEFAULT_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
CPU = "cpu"
GPU = "gpu"
_SDK_PACKAGE = re.compile(r"azureml(-[\w-]+)?")
#: Options of pip that may be given several times.
_REPEATED = (
    "--constraint", "--editable", "--extra-index-url", "--find-links", "--no-binary", "--only-binary", "--requirement",
    "--trusted-host", "--use-feature",
)  # fmt: skip
_CONDA_NAME = re.compile(r"(?:[^:\s]+::?)?([A-Za-z0-9_][A-Za-z0-9._-]*)")


class CondaDependencies:
    """A list of conda packages and pip packages, with channels and indexes.

    Without a file it has this interpreter's version of Python and ``azureml-defaults``, which stands for the packages
    of the scoring server.

    Parameters:
        conda_dependencies_file_path: a conda environment file to read.

    Raises:
        UserErrorException: the file cannot be read, or is not a conda environment file.

    Example:
        >>> packages = CondaDependencies.create(pip_packages=["humanize==4.9.0"], python_version="3.11")
        >>> list(packages.pip_packages), packages.get_python_version()
        (['humanize==4.9.0'], '3.11')

    """

    DEFAULT_NUMBER_OF_PACKAGES = 2

    def __init__(
        self,
        conda_dependencies_file_path: str | os.PathLike[str] | None = None,
        _underlying_structure: dict[str, Any] | None = None,
    ) -> None:
        if conda_dependencies_file_path is not None and _underlying_structure is not None:
            raise UserErrorException(
                "conda_dependencies_file_path and _underlying_structure cannot be combined: give one."
            )
        if conda_dependencies_file_path is not None:
            where = f"The conda file {os.fspath(conda_dependencies_file_path)!r}"
            text = conda_file.read_text(conda_dependencies_file_path, "conda file")
            self._content = conda_file.parse(text, where)
            self._make_paths_absolute(expanded(conda_dependencies_file_path).parent)
        elif _underlying_structure is not None:
            self._content = CondaDefinition.parse(_underlying_structure).document()
        else:
            self._content = {
                "name": DEFAULT_NAME,
                "dependencies": [f"python={PYTHON_DEFAULT_VERSION}", {"pip": list(DEFAULT_PIP_PACKAGES)}],
                "channels": list(DEFAULT_CHANNELS),
            }

    @staticmethod
    def create(
        pip_indexurl: str | None = None,
        pip_packages: Sequence[str] | None = None,
        conda_packages: Sequence[str] | None = None,
        python_version: str = PYTHON_DEFAULT_VERSION,
        pin_sdk_version: bool = True,
    ) -> CondaDependencies:
        """Return a list of the given packages.

        Parameters:
            pip_indexurl: the package index of pip.
            pip_packages: pip packages; by default ``azureml-defaults``.
            conda_packages: conda packages; by default none.
            python_version: the version of Python; by default that of this interpreter.
            pin_sdk_version: pin packages of Azure ML without a version to `mljupyter.core.VERSION`.

        """
        packages = CondaDependencies(_underlying_structure={"name": DEFAULT_NAME, "channels": [*DEFAULT_CHANNELS]})
        packages.set_python_version(python_version)
        for package in conda_packages or ():
            packages.add_conda_package(package)
        if pip_indexurl is not None:
            packages.set_pip_index_url(pip_indexurl)
        for package in DEFAULT_PIP_PACKAGES if pip_packages is None else pip_packages:
            packages.add_pip_package(_with_sdk_version(package) if pin_sdk_version else package)
        return packages

    @classmethod
    def of(cls, definition: CondaDefinition) -> CondaDependencies:
        """Return the list in a document."""
        return cls(_underlying_structure=definition.document())

    @staticmethod
    def merge_requirements(requirements: Iterable[str]) -> list[str]:
        """Return requirements with one line for each package; its version specifiers are joined.

        >>> CondaDependencies.merge_requirements(["numpy>=1.20", "six", "numpy<2"])
        ['numpy<2,>=1.20', 'six']
        """
        from packaging.requirements import InvalidRequirement, Requirement  # few calls need it

        merged: dict[str, Requirement] = {}
        others: list[str] = []
        for line in requirements:
            try:
                requirement = Requirement(line)
            except InvalidRequirement:
                others.append(line)
                continue
            key = f"{name_of(requirement.name)};{requirement.marker};{requirement.url}"
            if key in merged:
                merged[key].specifier &= requirement.specifier
                merged[key].extras |= requirement.extras
            else:
                merged[key] = requirement
        return [str(requirement) for requirement in merged.values()] + list(dict.fromkeys(others))

    @staticmethod
    def sdk_origin_url() -> str:
        """Return the URL of the package index of the SDK."""
        return "https://pypi.org/simple"

    @property
    def conda_channels(self) -> list[str]:
        """The channels of conda in order, a copy."""
        return list(self._content.get("channels", ()))

    @property
    def conda_packages(self) -> list[str]:
        """The conda packages with Python, a copy."""
        return [item for item in self._dependencies() if isinstance(item, str)]

    @property
    def pip_packages(self) -> list[str]:
        """The pip packages, a copy."""
        return [line for line in self._pip() if not line.startswith("-")]

    @property
    def pip_options(self) -> list[str]:
        """The options of pip, such as index URLs, a copy."""
        return [line for line in self._pip() if line.startswith("-")]

    def get_default_number_of_packages(self) -> int:
        """Return the number of packages in a new list."""
        return self.DEFAULT_NUMBER_OF_PACKAGES

    def get_python_version(self) -> str | None:
        """Return the version of Python; None for any version."""
        for package in self.conda_packages:
            if _conda_name(package) == "python":
                return package.partition("python")[2].lstrip("= ") or None
        return None

    def set_python_version(self, version: str) -> None:
        """Set the version of Python, such as ``3.11``."""
        self.add_conda_package(f"python={version}" if version[:1] not in "<>=!~" else f"python{version}")

    def add_channel(self, channel: str) -> None:
        """Add a channel for conda, as the last one."""
        channels = self._content.setdefault("channels", [])
        if channel not in channels:
            channels.append(channel)

    def remove_channel(self, channel: str) -> None:
        """Remove a channel."""
        self._content["channels"] = [item for item in self.conda_channels if item != channel]

    def add_conda_package(self, conda_package: str) -> None:
        """Add a conda package, such as ``numpy=1.26``; it replaces the package of the same name."""
        _check_text(conda_package)
        dependencies = self._dependencies()
        name = _conda_name(conda_package)
        for index, item in enumerate(dependencies):
            if isinstance(item, str) and _conda_name(item) == name:
                dependencies[index] = conda_package
                return
        pip = next((index for index, item in enumerate(dependencies) if isinstance(item, dict)), len(dependencies))
        dependencies.insert(pip, conda_package)

    def remove_conda_package(self, conda_package: str) -> None:
        """Remove a conda package, whatever its version."""
        name = _conda_name(conda_package)
        self._content["dependencies"] = [
            item for item in self._dependencies() if not (isinstance(item, str) and _conda_name(item) == name)
        ]

    def add_pip_package(self, pip_package: str) -> None:
        """Add a pip package, such as ``six==1.16.0``; it replaces the package of the same name."""
        _check_text(pip_package)
        lines = self._pip()
        name = name_of(pip_package)
        for index, line in enumerate(lines):
            if line == pip_package or (name is not None and name_of(line) == name):
                lines[index] = pip_package
                return
        lines.append(pip_package)

    def remove_pip_package(self, pip_package: str) -> None:
        """Remove a pip package, whatever its version."""
        name = name_of(pip_package)
        lines = self._pip()
        lines[:] = [line for line in lines if line != pip_package and (name is None or name_of(line) != name)]

    def set_pip_requirements(self, pip_requirements: Iterable[str]) -> None:
        """Replace all pip packages and options by these lines."""
        self._pip()[:] = [line.strip() for line in pip_requirements if line.strip()]

    def set_pip_index_url(self, index_url: str) -> None:
        """Set the package index of pip."""
        self.set_pip_option(f"--index-url {index_url}")

    def set_pip_option(self, pip_option: str) -> None:
        """Add an option for pip, such as ``--pre``; it replaces one of the same name, except additional indexes."""
        _check_text(pip_option)
        lines = self._pip()
        option = _option_name(pip_option)
        if option is not None and option not in _REPEATED:
            lines[:] = [line for line in lines if _option_name(line) != option]
        if pip_option not in lines:
            lines.insert(len(self.pip_options), pip_option)

    def remove_pip_option(self, pip_option: str) -> None:
        """Remove an option of pip, whatever its value."""
        option = _option_name(pip_option)
        lines = self._pip()
        lines[:] = [line for line in lines if option is None or _option_name(line) != option]

    def add_cntk_package(self, core_type: str = CPU) -> None:
        """Add CNTK, for ``cpu`` or ``gpu``."""
        self.add_pip_package("cntk-gpu" if _is_gpu(core_type) else "cntk")

    def add_tensorflow_pip_package(self, core_type: str = CPU, version: str | None = None) -> None:
        """Add TensorFlow as a pip package, for ``cpu`` or ``gpu``."""
        name = "tensorflow-gpu" if _is_gpu(core_type) else "tensorflow"
        self.add_pip_package(f"{name}=={version}" if version else name)

    def add_tensorflow_conda_package(self, core_type: str = CPU, version: str | None = None) -> None:
        """Add TensorFlow as a conda package, for ``cpu`` or ``gpu``."""
        name = "tensorflow-gpu" if _is_gpu(core_type) else "tensorflow"
        self.add_conda_package(f"{name}={version}" if version else name)

    def save_to_file(
        self, base_directory: str | os.PathLike[str], conda_file_path: str | os.PathLike[str] | None = None
    ) -> str:
        """Write a conda file into a directory, and return its path relative to it."""
        path = os.fspath(conda_file_path) if conda_file_path is not None else DEFAULT_FILE
        conda_file.write(expanded(base_directory) / path, self.serialize_to_string())
        return path

    def save(self, path: str | os.PathLike[str] | None = None) -> str:
        """Write a conda file, ``conda_dependencies.yml`` in the current directory by default; return its path."""
        target = expanded(path if path is not None else DEFAULT_FILE)
        target = target / DEFAULT_FILE if target.is_dir() else target
        conda_file.write(target, self.serialize_to_string())
        return str(target)

    def serialize_to_string(self) -> str:
        """Return the text of a conda file."""
        import yaml  # slow to import; few calls need it

        return str(yaml.safe_dump(self.as_dict(), sort_keys=False, default_flow_style=False))

    def as_dict(self) -> dict[str, Any]:
        """Return the content of a conda file, a copy."""
        return copy.deepcopy(self._content)

    def definition(self) -> CondaDefinition:
        """Return the list as a document: lines for pip in one form, with absolute paths.

        Raises:
            UserErrorException: a line for pip has an unknown option, or a requirements file that cannot be read.

        """
        whole = CondaDependencies(_underlying_structure=self._content)
        whole._make_paths_absolute(Path.cwd())
        return CondaDefinition.parse(whole._content)

    def __eq__(self, other: object) -> bool:
        """Return whether another list has the same content."""
        return isinstance(other, CondaDependencies) and self._content == other._content

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        packages = self.conda_packages + [redacted(line) for line in self.pip_packages]
        return f"CondaDependencies({', '.join(packages)})"

    def _make_paths_absolute(self, directory: Path) -> None:
        """Give the lines for pip absolute paths; lines of included files take the place of ``-r`` lines."""
        if any(isinstance(item, dict) for item in self._dependencies()):
            with as_user_error():
                self._pip()[:] = absolute_lines(logical_lines("\n".join(self._pip())), directory)

    def _dependencies(self) -> list[Any]:
        dependencies: list[Any] = self._content.setdefault("dependencies", [])
        return dependencies

    def _pip(self) -> list[str]:
        """Return the list of pip lines itself, not a copy; it is created if there is none."""
        dependencies = self._dependencies()
        for item in dependencies:
            if isinstance(item, dict):
                lines: list[str] = item["pip"]
                return lines
        dependencies.append({"pip": []})
        return self._pip()


def _check_text(package: object) -> None:
    if not isinstance(package, str) or not package.strip() or "\n" in package:
        raise UserErrorException(f"{package!r} is not a package: give one line of text, such as 'numpy==1.26.4'.")


def _conda_name(package: str) -> str:
    match = _CONDA_NAME.match(package.strip())
    return match[1].lower() if match else package


def _option_name(line: str) -> str | None:
    """Return the long name of a line's first option; None for a requirement."""
    try:
        parsed = pip_line(line)
    except RequirementError:  # the build reports it
        return line
    if parsed.editable:
        return "--editable"
    return parsed.options[0][0] if parsed.options else None


def _with_sdk_version(package: str) -> str:
    return f"{package}~={core.VERSION}" if _SDK_PACKAGE.fullmatch(package.strip()) else package


def _is_gpu(core_type: str) -> bool:
    if core_type not in (CPU, GPU):
        raise UserErrorException(f"core_type is {core_type!r}. Rule: {CPU} or {GPU}.")
    return core_type == GPU
