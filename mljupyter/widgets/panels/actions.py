"""Actions of a panel's buttons. Each is one call of the SDK and returns a sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mljupyter.client.errors import EndpointChangedError
from mljupyter.core import Workspace
from mljupyter.notebook.endpoint_commands import change_traffic, replicas_of, versioned_endpoint
from mljupyter.notebook.options.option_values import WrongInputError, near
from mljupyter.outside import whole

Values = Mapping[str, Any]


def act(workspace: Workspace, name: str, action: str, values: Values) -> str:
    """Run the action of a button; return a sentence about it.

    Parameters:
        workspace: the workspace of the endpoint.
        name: the endpoint.
        action: ``traffic``, ``scale``, ``restart``, ``rollback``, ``promote`` or ``key``.
        values: the input.

    Raises:
        MLJupyterError: the action failed; the message has the reason and a solution.

    """
    if not isinstance(values, Mapping):
        raise WrongInputError(f"values is a {type(values).__name__}: it must be a mapping from names to values.")
    if action not in _ACTIONS:
        raise WrongInputError(f"{action!r} is not an action of a panel.{near(action, _ACTIONS)}")
    return _ACTIONS[action](workspace, name, values)


def _traffic(workspace: Workspace, name: str, values: Values) -> str:
    shares = [f"{version}={str(percent).strip() or 0}" for version, percent in values.items()]
    change_traffic(workspace, name, shares)
    return "The shares were changed."


def _scale(workspace: Workspace, name: str, values: Values) -> str:
    text = str(values.get("replicas", "")).strip()
    bounds = replicas_of(text)
    version = str(values.get("version", "")) or None
    workspace.webservices[name].scale(**bounds, version=version)
    return f"{version or name} gets {text} replicas."


def _restart(workspace: Workspace, name: str, values: Values) -> str:
    service = workspace.webservices[name]
    version = str(values.get("version", "")) or None
    service.restart(version)
    return f"The replicas of {version or name} are replaced; the old ones serve until the new ones are ready."


def _rollback(workspace: Workspace, name: str, values: Values) -> str:
    service = workspace.webservices[name]
    if values.get("rollout") and not service.record.rolls_out:
        raise EndpointChangedError(
            f"The rollout of {name!r} has ended meanwhile.\nNothing was changed now. Look at its history."
        )
    service.rollback(generation=_generation(values))
    return "The previous state is being restored."


def _generation(values: Values) -> int | None:
    """Return the generation that the person has seen; None if the panel has not told it."""
    given = values.get("generation")
    if given is None:
        return None
    found = whole(str(given))
    if found is None:
        raise WrongInputError(f"generation is {given!r}: it must be a whole number.")
    return found


def _promote(workspace: Workspace, name: str, values: Values) -> str:
    version = str(values.get("version", ""))
    versioned_endpoint(workspace, name).promote(version)
    return f"{version} is default and control and gets all requests."


def _key(workspace: Workspace, name: str, values: Values) -> str:
    which = str(values.get("key", "Secondary"))
    workspace.webservices[name].regen_key(which)
    return f"The {which.lower()} key was replaced; get_keys() shows it. The other key stays."


_ACTIONS: dict[str, Callable[[Workspace, str, Values], str]] = {
    "traffic": _traffic,
    "scale": _scale,
    "restart": _restart,
    "rollback": _rollback,
    "promote": _promote,
    "key": _key,
}
