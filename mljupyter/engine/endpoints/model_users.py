"""Users of models: the endpoints, and where there are several versions those, that serve each registered model."""

from __future__ import annotations

from collections.abc import Iterable

from mljupyter.spec import EndpointRecord


def users_of_models(records: Iterable[EndpointRecord]) -> dict[str, list[str]]:
    """Return the users of each model by its id, sorted by the names of the endpoints.

    A user is the name of an endpoint; with several versions it is ``endpoint:version``.

    Parameters:
        records: the endpoints of a workspace, in any order.

    Example:
        >>> users_of_models([])
        {}

    """
    found: dict[str, list[str]] = {}
    for record in sorted(records, key=lambda record: record.spec.name):
        for version, spec in record.spec.versions.items():
            user = record.spec.name if len(record.spec.versions) == 1 else f"{record.spec.name}:{version}"
            for model in spec.models:
                found.setdefault(model.id, []).append(user)
    return found
