"""Requirements of an environment for an installer: a Python version, and requirements for pip.

Nothing is installed or looked up here. A line that an installer cannot take is changed, and each change is recorded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from mljupyter.build.environments.conda_names import is_part_of_wheels, is_python_package, pip_name
from mljupyter.build.environments.definition import CondaDefinition, EnvironmentDefinition, redacted
from mljupyter.build.environments.pip_lines import RequirementError as RequirementError
from mljupyter.build.environments.pip_lines import copied, line_source, logical_lines, pip_line

INFERENCE_SCHEMA = "inference-schema"

# Packages that the scoring server replaces. Other azureml packages, such as azureml-automl-runtime, are libraries.
_REPLACED = re.compile(
    r"azureml-(?:cli.*|contrib-.+|core|defaults|inference-server-http|model-management-sdk|monitoring|pipeline(?:-.+)?"
    r"|sdk|telemetry|train|train-core|train-restclients-hyperdrive|webservice-schema|widgets)"
)
# What scripts import since a replaced package brought it. Werkzeug parses the forms of raw requests; scripts answer
# with response objects of Flask.
_BROUGHT = {
    "azureml-defaults": (INFERENCE_SCHEMA, "pandas", "werkzeug", "flask"),
    "azureml-sdk": (INFERENCE_SCHEMA, "pandas", "werkzeug", "flask"),
    "azureml-inference-server-http": (INFERENCE_SCHEMA, "werkzeug", "flask"),
}
# Packages of a generated scoring script that other packages bring in a version that fits them.
_HELPERS = ("joblib", "numpy", "pandas", INFERENCE_SCHEMA)
_NAME = re.compile(r"\s*(?P<name>[A-Za-z0-9_][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*(?P<rest>.*)", re.DOTALL)
_CONDA = re.compile(r"(?:[^:\s]+::?)?(?P<name>[A-Za-z0-9_][A-Za-z0-9._-]*)\s*(?P<rest>.*)")
_BRACKET_VERSION = re.compile(r"\[.*?version\s*=\s*['\"]?(?P<version>[^'\"\]]+)['\"]?.*\]")
_COMMENT = re.compile(r"(^|\s)#.*$")


@dataclass(frozen=True)
class Change:
    """A requirement, the requirement installed instead, and the reason.

    `became` is None when the requirement is left out. `kind` is ``relaxed`` when another version is installed than
    requested, ``replaced`` when something that exists already takes its place.
    """

    requirement: str
    became: str | None
    reason: str
    kind: Literal["relaxed", "replaced"] = "relaxed"

    def __str__(self) -> str:
        return f"{self.requirement} -> {self.became or 'left out'}: {self.reason}"


@dataclass(frozen=True)
class WantedPackage:
    """A requirement for pip. `conda` is the conda package it was translated from. An optional one may be left out."""

    line: str
    conda: str | None = None
    optional: bool = False


@dataclass(frozen=True)
class Wanted:
    """The packages and the Python that an environment needs.

    Parameters:
        python: suitable versions of Python as a specifier of PEP 440; None for any.
        packages: requirements for pip.
        options: lines with options of pip, such as index URLs, in their order.
        pip_packages: packages from the pip section alone, for an installer that gets the conda packages elsewhere.
        conda_only: conda packages that pip cannot install.
        channels: the channels of conda, in order.
        changes: lines that were left out or changed.

    """

    python: str | None
    packages: tuple[WantedPackage, ...]
    options: tuple[str, ...] = ()
    pip_packages: tuple[WantedPackage, ...] = ()
    conda_only: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()


def wanted(definition: EnvironmentDefinition) -> Wanted:
    """Return the requirements to install for a definition.

    Raises:
        RequirementError: when a line is not a requirement, or pip has no form for a version.

    Example:
        >>> python = {"condaDependencies": {"dependencies": ["python=3.11", "pytorch=2.1", {"pip": ["azureml-core"]}]}}
        >>> found = wanted(EnvironmentDefinition.parse({"python": python}))
        >>> found.python, [package.line for package in found.packages], found.changes[0].requirement
        ('==3.11.*', ['torch==2.1.*'], 'azureml-core')

    """
    conda = definition.python.conda_dependencies or CondaDefinition()
    changes: list[Change] = []
    python: str | None = None
    from_conda: list[WantedPackage] = []
    conda_only: list[str] = []
    for text in conda.conda_packages:
        name, version = split_conda(text)
        if name == "python":
            python = version or None
        elif is_part_of_wheels(name):
            reason = (
                "uv installs the packages" if name in ("pip", "wheel") else "the wheels of Python packages bring it"
            )
            changes.append(Change(text, None, reason, "replaced"))
        elif not is_python_package(name):
            conda_only.append(text)
        else:
            from_conda.append(WantedPackage(f"{pip_name(name)}{version}", conda=text))
    options: list[str] = []
    pip_lines: list[str] = []
    for line in logical_lines("\n".join(conda.pip_lines)):
        parsed = pip_line(line)
        names_packages = parsed.requirement or any(name == "--requirement" for name, _ in parsed.options)
        (pip_lines if names_packages else options).extend(parsed.texts())
    pip_packages = [WantedPackage(line) for line in pip_lines]
    kept = _without_replaced(pip_packages, changes)
    given_by_conda = from_conda
    from_conda = _without_replaced(from_conda, changes)
    kept += [WantedPackage(name, optional=True) for name in _brought(pip_packages + given_by_conda)]
    return Wanted(
        python=python,
        packages=(*from_conda, *kept),
        options=tuple(dict.fromkeys(options)),
        pip_packages=tuple(kept),
        conda_only=tuple(conda_only),
        channels=tuple(conda.channels),
        changes=tuple(changes),
    )


def missing_packages(definition: EnvironmentDefinition, needed: Iterable[str]) -> list[str]:
    """Return those of some requirements for pip whose packages a definition does not list, in their order.

    Helpers of a scoring script that other packages may bring are left without a version, so that they fit those.

    Parameters:
        definition: the environment; one whose packages the user manages lacks nothing.
        needed: requirements such as ``numpy==2.1.0``.

    Example:
        >>> python = {"condaDependencies": {"dependencies": [{"pip": ["pandas"]}]}}
        >>> missing_packages(EnvironmentDefinition.parse({"python": python}), ["numpy==2.1", "xgboost==3"])
        ['numpy', 'xgboost==3']

    A wheel, by a path or a URL, has the name of its file.
    """
    if definition.python.user_managed_dependencies:
        return []
    found = wanted(definition)
    sources = (line_source(package.line) for package in found.packages)
    there = {name_of(package.line) for package in found.packages}
    there |= {name_of(source.project) for source in sources if source is not None and source.project}
    lacking = [line for line in needed if name_of(line) not in there]
    return [str(name_of(line)) if name_of(line) in _HELPERS else line for line in lacking]


def as_copy(line: str) -> Change:
    """Return the change of an editable requirement: an environment keeps the code that it was built with."""
    return Change(line, copied(line), "installed as a copy, as in an image: deploy again after a change", "replaced")


def pin_of(name: str, version: str) -> str:
    """Return the requirement for an installed package, with its public version.

    A local version such as ``2.8.0+cpu`` names a build that another index has: PyPI takes none, so that the pin could
    not be installed elsewhere. The public version has the same code, in the build that the index has for the platform.

    Parameters:
        name: the package.
        version: the installed version.

    Example:
        >>> pin_of("torch", "2.8.0+cpu"), pin_of("numpy", "2.1.0")
        ('torch==2.8.0', 'numpy==2.1.0')

    """
    return f"{name}=={version.partition('+')[0]}"


def split_conda(text: str) -> tuple[str, str]:
    """Return name and version of a conda package, the version as a specifier of PEP 440, empty for any.

    >>> split_conda("conda-forge::numpy=1.23"), split_conda("numpy 1.23.* py38_0"), split_conda("scipy>=1.2,<2")
    (('numpy', '==1.23.*'), ('numpy', '==1.23.*'), ('scipy', '>=1.2,<2'))

    Raises:
        RequirementError: when it is not a package, or its version has no such form.

    """
    match = _CONDA.fullmatch(_COMMENT.sub("", text).strip())
    if match is None:
        raise RequirementError(f"{redacted(text)!r} is not a conda package. Rule: name, name=version or name>=version.")
    rest = match["rest"].strip()
    bracket = _BRACKET_VERSION.fullmatch(rest)
    version = (bracket["version"] if bracket else rest).strip()
    return match["name"].lower(), _pep440(version, text) if version else ""


def name_of(line: str) -> str | None:
    """Return the normalised name of a requirement for pip, None for a path or URL without a name."""
    match = _NAME.fullmatch(line)
    if match is None or line.startswith("-") or (match["rest"] and match["rest"][0] in "/:\\+"):
        return None
    return re.sub(r"[-_.]+", "-", match["name"]).lower()


def python_versions(text: str) -> str:
    """Return the specifier of PEP 440 for a version of Python such as ``3.8`` or ``>=3.9``."""
    return split_conda(f"python{text if text[:1] in '<>=!~' else '=' + text}")[1]


def _pep440(version: str, text: str) -> str:
    parts = []
    # A build string such as py38_0 has no meaning outside of conda. It follows a space, or a second "=".
    for part in re.sub(r"\s*([,<>=!~|])\s*", r"\1", version).split()[0].split(","):
        match = re.fullmatch(r"(?P<operator>[<>=!~]{0,2})(?P<number>[^=<>!~|]+)(?:=[^=|]*)?", part)
        if match is None:
            raise RequirementError(
                f"The version of the conda package {redacted(text)!r} has no form for pip: {part!r}.\n"
                "Rule: =, ==, >=, <=, >, <, !=, ~= and a number, joined by commas. For example: numpy>=1.20,<2"
            )
        operator, number = match["operator"] or "=", match["number"]
        if number == "*":
            continue
        if operator == "=" or (operator in ("==", "!=") and number.endswith("*")):
            operator = "==" if operator == "=" else operator
            parts.append(f"{operator}{number.rstrip('*').rstrip('.')}.*")
        else:
            parts.append(f"{operator}{number}")
    return ",".join(parts)


def _without_replaced(packages: Iterable[WantedPackage], changes: list[Change]) -> list[WantedPackage]:
    kept = []
    for package in packages:
        if _REPLACED.fullmatch(name_of(package.line) or ""):
            changes.append(Change(package.line, None, "the scoring server takes its place", "replaced"))
        else:
            kept.append(package)
    return kept


def _brought(packages: Iterable[WantedPackage]) -> list[str]:
    """Return the packages that replaced packages brought, without those that are asked for by name."""
    names = {name_of(package.line) for package in packages}
    brought = dict.fromkeys(name for package, parts in _BROUGHT.items() if package in names for name in parts)
    return [name for name in brought if name not in names]
