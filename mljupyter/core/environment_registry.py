"""Environments in a workspace: register, find, label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mljupyter.build.environments.definition import EnvironmentDefinition, fingerprint
from mljupyter.core.environment import Environment
from mljupyter.exceptions import UserErrorException, as_user_error
from mljupyter.outside import whole
from mljupyter.spec.version import LARGEST_NUMBER

if TYPE_CHECKING:
    from mljupyter.core.workspace import Workspace
    from mljupyter.registry.catalog.environments import EnvironmentRecord


def register(workspace: Workspace, environment: Environment) -> Environment:
    """Do what `Environment.register` promises."""
    definition = environment.definition()
    document = {key: value for key, value in definition.document().items() if key not in ("name", "version", "assetId")}
    password = definition.docker.base_image_registry.password
    with as_user_error():
        record = workspace.registry.environments.register(
            environment.name,
            document,
            fingerprint(definition),
            password=password.get_secret_value() if password is not None else None,
        )
    registered = _of(record)
    registered._taken_from = environment._taken_from
    return registered


def get(workspace: Workspace, name: str, version: str | int | None, label: str | None) -> Environment:
    """Do what `Environment.get` promises."""
    if version is not None and label is not None:
        raise UserErrorException(f"version {version!r} and label {label!r} exclude each other: give one.")
    with as_user_error():
        return _of(workspace.registry.environments.get(name, _number(version), label=label))


def every(workspace: Workspace) -> dict[str, Environment]:
    """Do what `Environment.list` promises."""
    with as_user_error():
        return {record.name: _of(record) for record in workspace.registry.environments.list()}


def label(workspace: Workspace, name: str, version: str | int, labels: Sequence[str]) -> None:
    """Do what `Environment.label` promises."""
    number = _number(version)
    if number is None:
        raise UserErrorException("version is None: give the version that gets the labels.")
    with as_user_error():
        workspace.registry.environments.label(name, number, [labels] if isinstance(labels, str) else labels)


def _of(record: EnvironmentRecord) -> Environment:
    definition = EnvironmentDefinition.parse(
        {**record.definition, "name": record.name, "version": str(record.version), "assetId": record.id}
    )
    environment = Environment.of(definition)
    if record.password is not None:
        environment.docker.base_image_registry.password = record.password
    return environment


def _number(version: str | int | None) -> int | None:
    if version is None:
        return None
    number = version if isinstance(version, int) and abs(version) < LARGEST_NUMBER else whole(str(version)[:100])
    if number is None or number < 0:
        raise UserErrorException(f"version is {str(version)[:100]!r}. Rule: a whole number from 1, such as '1'.")
    return number
