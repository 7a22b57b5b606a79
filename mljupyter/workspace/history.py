"""The history of a workspace: changes of registered items and of endpoints together, in the order of time."""

from __future__ import annotations

from collections.abc import Sequence

from mljupyter.client.errors import EndpointNotFoundError
from mljupyter.registry.catalog.changes import Change
from mljupyter.workspace.context import WorkspaceContext

ENDPOINT = "endpoint"


def changes(
    context: WorkspaceContext,
    *,
    kind: str | None = None,
    item: str | None = None,
    user: str | None = None,
    most: int = 1000,
) -> Sequence[Change]:
    """Return the newest changes that satisfy all given filters, oldest first.

    With a shared database the changes of all users are among them; endpoints are those of this workspace and of the
    clusters that it is attached to.

    Parameters:
        context: the workspace.
        kind: model, environment, image, dataset, datastore or endpoint.
        item: an id, or a name for all its versions.
        user: the login name of a user.
        most: the largest number of changes.

    """
    found: list[Change] = []
    if kind != ENDPOINT:
        _ = context.tracking  # its changes are in the same table
        found += context.registry.changes.list(kind=kind, item=item, user=user, most=most)
    if kind in (None, ENDPOINT):
        names = [record.spec.name for record in context.endpoints.endpoints()]
        for name in names if item is None else [name for name in names if name == item]:
            found += _of_endpoint(context, name, user)
    return sorted(found, key=lambda change: change.time)[-most:]


def _of_endpoint(context: WorkspaceContext, name: str, user: str | None) -> list[Change]:
    try:
        entries = context.endpoints.history(name)
    except EndpointNotFoundError:
        return []  # deleted in the meantime
    return [
        Change(entry.time, entry.user or "unknown", ENDPOINT, name, entry.action, tuple(entry.changes))
        for entry in entries
        if user in (None, entry.user or "unknown")
    ]
