"""The paths of the Open Inference Protocol, and its documents: health, metadata, errors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

ROOT = "/v2"
VERSIONS_HEADER = b"x-mlj-versions"
"""The header in which the router names the versions of an endpoint, separated by commas."""

_MOST_TEXT = 200
_EXTENSIONS = ["binary_tensor_data"]
_PATHS = "/v2, /v2/health/live, /v2/health/ready, and /v2/models/NAME with /versions/VERSION, /ready or /infer"
_NO_SCHEMA = (
    "the scoring script has no schema, so its tensors are not known: decorate run() with @input_schema of the package "
    "inference-schema (NumpyParameterType or PandasParameterType), or send requests to /score"
)


class NotFoundError(ValueError):
    """There is no such path, model or version."""


class Route(NamedTuple):
    """The target of a path: ``server``, ``live``, ``ready``, ``model``, ``model-ready`` or ``infer``.

    `model` and `version` are empty where the path has none.
    """

    action: str
    model: str = ""
    version: str = ""

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods of HTTP that it takes."""
        return ("POST", "OPTIONS") if self.action == "infer" else ("GET", "HEAD", "OPTIONS")


_PLAIN = {"/v2": "server", "/v2/": "server", "/v2/health/live": "live", "/v2/health/ready": "ready"}
_OF_MODEL = {"": "model", "ready": "model-ready", "infer": "infer"}


def is_open_inference(path: str) -> bool:
    """Return whether a path belongs to the protocol, whether or not anything is there."""
    return path == ROOT or path.startswith("/v2/")


def route_of(path: str) -> Route:
    """Return the route of a path of the protocol; raise NotFoundError if nothing is there.

    Example:
        >>> route_of("/v2/models/iris/versions/blue/infer")
        Route(action='infer', model='iris', version='blue')

    """
    if path in _PLAIN:
        return Route(_PLAIN[path])
    _, models, rest = path.partition("/v2/models/")
    model, *steps = rest.split("/")
    version = ""
    if len(steps) >= 2 and steps[0] == "versions":
        version, steps = steps[1], steps[2:]
    action = _OF_MODEL.get("/".join(steps))
    if models and model and action is not None:
        return Route(action, model, version)
    raise NotFoundError(f"there is no {path[:_MOST_TEXT]}; the paths of the Open Inference Protocol are {_PATHS}")


def check_target(route: Route, model: str, versions: Sequence[str]) -> None:
    """Raise NotFoundError if the path names another model, or a version that does not exist.

    Parameters:
        route: the route of the request.
        model: the name of the endpoint.
        versions: the versions that exist.

    """
    if route.model and route.model != model:
        raise NotFoundError(f"there is no model {route.model[:_MOST_TEXT]!r} here; the model is {model!r}")
    if route.version and route.version not in versions:
        known = ", ".join(map(repr, versions))
        raise NotFoundError(f"the model {model!r} has no version {route.version[:_MOST_TEXT]!r}; there is {known}")


def versions_of(header: bytes, own: str) -> list[str]:
    """Return the versions that the router has named, or otherwise the replica's own."""
    return [name for name in header.decode("latin-1").split(",") if name] or [own]


def server_document(version: str) -> bytes:
    """Return the metadata of the server."""
    return _encoded({"name": "mljupyter", "version": version, "extensions": _EXTENSIONS})


def live_document() -> bytes:
    """Return the answer of a server that answers."""
    return _encoded({"live": True})


def ready_document(ready: bool, model: str = "") -> bytes:
    """Return whether the server, or a model by its name, is ready."""
    return _encoded({**({"name": model} if model else {}), "ready": ready})


def model_document(model: str, versions: Sequence[str], tensors: dict[str, Any]) -> bytes:
    """Return the metadata of a model from the tensors of its interface."""
    return _encoded({"name": model, "versions": list(versions), **tensors})


def missing_schema(tensors: dict[str, Any] | None) -> str | None:
    """Return why a script or model cannot be called with tensors; None if it can."""
    if tensors is None:
        return _NO_SCHEMA
    reason = tensors.get("reason")
    return None if reason is None else str(reason)


def error_document(message: str) -> bytes:
    """Return an error in the form of the protocol."""
    return _encoded({"error": message})


def translated_error(body: bytes) -> bytes:
    """Return the body of an error answer of `/score` in the form of the protocol."""
    try:
        members = json.loads(body)
    except (ValueError, RecursionError):
        return error_document(body.decode("utf-8", "replace"))
    for name in ("error", "message"):
        if isinstance(members, dict) and isinstance(members.get(name), str):
            return error_document(members[name])
    return error_document(members if isinstance(members, str) else body.decode("utf-8", "replace"))


def _encoded(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode("ascii")
