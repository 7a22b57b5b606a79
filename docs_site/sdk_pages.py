"""The reference of the SDK: a page for each subject, with the docstrings of its classes, and the names of `azureml`."""

from __future__ import annotations

import inspect
from collections import defaultdict

from mljupyter import core
from mljupyter.azureml.modules import MODULES
from mljupyter.core.router import Router
from mljupyter.core.telemetry import Telemetry
from mljupyter.core.webservice.aks_endpoint import AksEndpointVersion

_CORE = "mljupyter.core."
_SUBJECTS = {
    "workspaces": ("Workspaces", ("authentication", "container_registry", "keyvault", "telemetry", "workspace")),
    "models": (
        "Models and environments",
        (
            *("conda_dependencies", "docker_section", "environment", "environment_build", "inference", "model"),
            *("model_package", "profile", "python_section", "r_section", "resource_configuration", "spark_section"),
        ),
    ),
    "webservices": ("Web services and endpoints", ("scaling", "webservice")),
    "images": ("Images", ("image",)),
    "compute": ("Compute targets", ("compute", "router")),
    "experiments": (
        "Experiments and data",
        (
            *("data", "dataset", "datastore", "experiment", "offline_run", "run", "runconfig", "script_run"),
            "script_run_config",
        ),
    ),
    "exceptions": ("Exceptions", ("exceptions",)),
}
_RETURNED = (Router, Telemetry, AksEndpointVersion)
"""Classes of objects that attributes return: they have no name in `azureml`."""

_BASES = ("mljupyter.core.display", "mljupyter.core.part", "mljupyter.core.sections")
_INTRODUCTIONS = {
    "exceptions": "All errors that mljupyter raises on purpose derive from `mljupyter.errors.MLJupyterError`. "
    "[Error codes](../../errors.md) lists what their texts name.",
}


def pages() -> dict[str, str]:
    """Return the text of each page by its place in the site."""
    found = {f"reference/sdk/{subject}.md": _page(subject, names) for subject, names in by_subject().items()}
    return found | {"reference/sdk/azureml.md": _names_of_azureml()}


def by_subject() -> dict[str, list[str]]:
    """Return the full names of the public classes and functions of the SDK, by the subject of their page.

    Those of `mljupyter.core` itself come first.

    Raises:
        LookupError: a class is of no subject; its module is missing in this file.

    """
    found: dict[str, list[str]] = defaultdict(list)
    first = {_full_name(getattr(core, name)) for name in core.__all__ if hasattr(getattr(core, name), "__qualname__")}
    for name in sorted(public(), key=lambda name: (name not in first, name.rpartition(".")[2].lower(), name)):
        found[_subject(name)].append(name)
    return dict(found)


def public() -> set[str]:
    """Return the full names of what `mljupyter.core` and the modules of `azureml` offer, with its base classes."""
    values = [value for sources in MODULES.values() for one in sources for value in one.values().values()]
    values += [*_RETURNED, *(getattr(core, name) for name in core.__all__)]
    found = set()
    for value in values:
        if inspect.isfunction(value):
            found.add(_full_name(value))
        elif inspect.isclass(value):
            found.update(_full_name(one) for one in value.__mro__ if _is_documented(one))
    return found


def _is_documented(kind: type) -> bool:
    ours = kind.__module__.startswith(_CORE) or kind.__module__ == "mljupyter.exceptions"
    return ours and not kind.__name__.startswith("_") and kind.__module__ not in _BASES


def _full_name(value: object) -> str:
    return f"{value.__module__}.{value.__qualname__}"  # type: ignore[attr-defined]


def _subject(name: str) -> str:
    part = name.removeprefix(_CORE).removeprefix("mljupyter.").partition(".")[0]
    for subject, (_, parts) in _SUBJECTS.items():
        if part in parts:
            return subject
    raise LookupError(f"{name} has no page: add {part!r} to a subject in docs_site/sdk_pages.py")


def _page(subject: str, names: list[str]) -> str:
    title, _ = _SUBJECTS[subject]
    lines = [f"# {title}", "", _INTRODUCTIONS.get(subject, ""), ""]
    for name in names:
        lines += [f"::: {name}", ""]
    return "\n".join(lines)


def _names_of_azureml() -> str:
    lines = [
        "# Names of azureml",
        "",
        "Each name of the Azure ML SDK v1 is a class of mljupyter.",
        "[Every call](../../azureml.md) compares their members.",
        "",
    ]
    for module, sources in sorted(MODULES.items()):
        values = {old: value for one in sources for old, value in one.values().items()}
        if not values:
            continue
        lines += [f"## {module}", "", "| name | reference |", "|---|---|"]
        for old, value in sorted(values.items()):
            known = inspect.isclass(value) or inspect.isfunction(value)
            shown = f"[`{_full_name(value)}`][{_full_name(value)}]" if known else f"`{value!r}`"
            lines.append(f"| `{old}` | {shown} |")
        lines.append("")
    return "\n".join(lines)
