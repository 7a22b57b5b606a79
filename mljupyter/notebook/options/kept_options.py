"""Options that an existing endpoint keeps: the values that `%deploy` uses for options that are not given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mljupyter.files import expanded
from mljupyter.notebook.options.deployment_options import EVERYTHING, RESETTABLE
from mljupyter.notebook.options.option import TOLD

if TYPE_CHECKING:
    from mljupyter.spec import EndpointSpec

# The options whose argument of `deploy_configuration` has another name.
_ARGUMENTS = {
    "auth": "auth_enabled",
    "replicas": "num_replicas",
    "autoscale": "autoscale_enabled",
    "target_utilization": "autoscale_target_utilization",
    "cpu": "cpu_cores",
    "memory": "memory_gb",
    "gpu": "gpu_cores",
    "toleration": "tolerations",
    "max_concurrent_requests": "replica_max_concurrent_requests",
    "max_queue_wait_ms": "max_request_wait_time",
    "env": "environment_variables",
}
_OF_CONTENT = ("environment", "pins", "method", "source_directory")
"""Options of the generated content that cannot be read from it; a version records them in its properties."""

_PROPERTY = "mljupyter."


@dataclass(frozen=True)
class Said:
    """The options of a deployment about an endpoint that exists.

    Parameters:
        reset: the arguments of ``deploy_configuration`` that return to their defaults: ``--reset``.
        is_open: whether the user wants no authentication: ``--auth none``.
        remove_tls: whether the endpoint's own certificate is removed: ``--remove-tls``.
        recorded: the options of its content, as properties of the version.

    """

    reset: frozenset[str] = frozenset()
    is_open: bool = False
    remove_tls: bool = False
    recorded: Mapping[str, str] = field(default_factory=dict)


def said_of(values: Mapping[str, Any]) -> Said:
    """Return the options about an existing endpoint among all values."""
    reset = frozenset(_ARGUMENTS.get(key, key) for key in _reset(values))
    return Said(reset, values["auth"] == "none", values["remove_tls"], _recorded(values))


def completed(values: Mapping[str, Any], present: EndpointSpec) -> dict[str, Any]:
    """Return values in which options that were not given have those of an existing endpoint.

    Only options are completed that are not settings of the endpoint: its kind, compute target, and the recorded options
    of its content.

    Parameters:
        values: by option; those under ``told`` were given.
        present: the endpoint.

    """
    told, reset = values[TOLD], _reset(values)
    found: dict[str, Any] = {}
    if values["version"] is None:  # versions exist only with the kind aks, which is checked
        found["kind"] = "aks" if present.kind == "AKSENDPOINT" else str(present.kind).lower()
    found["to"] = present.compute_target
    name = values["version"] or present.default_version
    if name in present.versions:
        properties = present.versions[name].properties
        needed = {key for key in _OF_CONTENT if _goes_with(key, values)} - reset
        found |= {key: properties[_PROPERTY + key] for key in needed if _PROPERTY + key in properties}
    return {**values, **{key: value for key, value in found.items() if key not in told}}


def without_record(properties: Mapping[str, str]) -> dict[str, str]:
    """Return properties without the recorded options of a version's content."""
    return {key: value for key, value in properties.items() if key.removeprefix(_PROPERTY) not in _OF_CONTENT}


def _recorded(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the properties that a version records, so that the next deployment can keep these options."""
    return {_PROPERTY + key: _lasting(str(values[key])) for key in _OF_CONTENT if values[key] is not None}


def _reset(values: Mapping[str, Any]) -> set[str]:
    names = RESETTABLE if EVERYTHING in values["reset"] else values["reset"]
    return {name.replace("-", "_") for name in names}


def _goes_with(key: str, values: Mapping[str, Any]) -> bool:
    """Return whether an option of the content can be combined with the others."""
    if key in ("environment", "pins"):
        return values["estimator"] is not None or values["score"] is not None
    return values["estimator"] is not None and values["score"] is None


def _lasting(text: str) -> str:
    """Return the absolute path of a file or directory; other text unchanged."""
    path = expanded(text)
    return str(path.resolve()) if path.exists() else text
