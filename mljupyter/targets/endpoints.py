"""All endpoints of a workspace, on all its targets. A name is unique in a workspace."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from mljupyter.client.base import EndpointClient, KeyName, RolloutAction
from mljupyter.client.errors import ControllerStartError, EndpointExistsError, EndpointNotFoundError, InvalidSpecError
from mljupyter.spec import EndpointRecord, EndpointSpec, RolloutPlan, ScalingDecision
from mljupyter.spec.collected import CollectedFile
from mljupyter.spec.history import HistoryEntry
from mljupyter.targets.catalog import check_target

if TYPE_CHECKING:
    from mljupyter.targets.base import Target

Result = TypeVar("Result")


class WorkspaceEndpoints:
    """The `EndpointClient` of a whole workspace: each operation goes to the control plane that has the endpoint.

    Parameters:
        targets: returns the targets of the workspace by name.

    """

    def __init__(self, targets: Callable[[], Mapping[str, Target]]) -> None:
        self._targets = targets
        self._owners: dict[str, EndpointClient] = {}

    def endpoints(self, *, start: bool = True) -> list[EndpointRecord]:
        """Return the endpoints of all control planes. A control plane that never had an endpoint is not started.

        Parameters:
            start: start a control plane that is not running; otherwise its endpoints are omitted.

        If one of several control planes cannot be reached, a warning says so, and its endpoints are omitted.
        """
        found = []
        clients = self._clients(only_with_endpoints=True, only_running=not start)
        for client in clients:
            try:
                records = client.endpoints()
            except ControllerStartError as error:
                if len(clients) == 1:
                    raise
                # A cluster that cannot be reached must not hide the endpoints of this machine.
                warnings.warn(f"its endpoints are not listed: {error.message}", stacklevel=2)
                continue
            self._owners |= {record.spec.name: client for record in records}
            found += records
        return found

    def endpoint(self, name: str) -> EndpointRecord:
        """Return an endpoint, or raise `EndpointNotFoundError`."""
        return self._on(name, lambda client: client.endpoint(name))

    def create(
        self,
        spec: EndpointSpec,
        *,
        overwrite: bool = False,
        generation: int | None = None,
        primary_key: str | None = None,
        secondary_key: str | None = None,
    ) -> EndpointRecord:
        """Accept a new endpoint on its target; see `EndpointClient.create`.

        Raises:
            EndpointExistsError: another target has an endpoint of this name.

        """
        client = check_target(self._targets(), spec.compute_target).endpoints()
        for other in self._clients(only_with_endpoints=True):
            if other is not client and spec.name in _names_on(other):
                raise EndpointExistsError(
                    f"the name {spec.name!r} is taken by an endpoint on another target, and names are unique in a "
                    f"workspace: delete that one first, or choose another name."
                )
        record = client.create(
            spec, overwrite=overwrite, generation=generation, primary_key=primary_key, secondary_key=secondary_key
        )
        self._owners[spec.name] = client
        return record

    def replace(self, spec: EndpointSpec, *, generation: int | None = None) -> EndpointRecord:
        """Accept a change of an existing endpoint; see `EndpointClient.replace`.

        Raises:
            TargetNotFoundError: there is no target of the name that the spec gives.
            InvalidSpecError: the target has another control plane than the endpoint.

        """
        wanted = check_target(self._targets(), spec.compute_target).endpoints()

        def replace(client: EndpointClient) -> EndpointRecord:
            if client is not wanted:
                present = client.endpoint(spec.name).spec.compute_target
                raise InvalidSpecError(
                    f"endpoint {spec.name!r} runs on {present!r} and cannot move to {spec.compute_target!r}: another "
                    "control plane runs endpoints there. Delete the endpoint and deploy it again."
                )
            return client.replace(spec, generation=generation)

        return self._on(spec.name, replace)

    def delete(self, name: str) -> None:
        """Delete an endpoint; return when its replicas and routes are gone."""
        self._on(name, lambda client: client.delete(name))
        self._owners.pop(name, None)

    def watch(self, name: str, after: int, timeout: float) -> EndpointRecord:
        """Return an endpoint as soon as its resource version is above `after`, or after `timeout` seconds."""
        return self._on(name, lambda client: client.watch(name, after, timeout))

    def start_rollout(self, name: str, plan: RolloutPlan) -> EndpointRecord:
        """Start a rollout of a version."""
        return self._on(name, lambda client: client.start_rollout(name, plan))

    def control_rollout(self, name: str, action: RolloutAction) -> EndpointRecord:
        """Pause, resume or abort the current rollout."""
        return self._on(name, lambda client: client.control_rollout(name, action))

    def promote(self, name: str, version: str) -> EndpointRecord:
        """Make a version default and control, with all traffic."""
        return self._on(name, lambda client: client.promote(name, version))

    def rollback(self, name: str, number: int | None = None, *, generation: int | None = None) -> EndpointRecord:
        """Restore an entry of the history."""
        return self._on(name, lambda client: client.rollback(name, number, generation=generation))

    def history(self, name: str) -> list[HistoryEntry]:
        """Return the changes of an endpoint, oldest first."""
        return self._on(name, lambda client: client.history(name))

    def keys(self, name: str) -> tuple[str, str]:
        """Return the primary and the secondary key."""
        return self._on(name, lambda client: client.keys(name))

    def regenerate_key(self, name: str, which: KeyName, key: str | None = None) -> None:
        """Replace a key; return when the old one is refused."""
        self._on(name, lambda client: client.regenerate_key(name, which, key))

    def token(self, name: str, subject: str = "") -> dict[str, Any]:
        """Return a token with its times."""
        return self._on(name, lambda client: client.token(name, subject))

    def logs(
        self,
        name: str,
        *,
        lines: int = 5000,
        version: str | None = None,
        replica: str | None = None,
        startup: bool = False,
        names: bool = False,
    ) -> str:
        """Return the last lines of the log; see `EndpointClient.logs`."""
        return self._on(
            name,
            lambda client: client.logs(
                name, lines=lines, version=version, replica=replica, startup=startup, names=names
            ),
        )

    def follow_logs(
        self, name: str, *, lines: int = 100, version: str | None = None, names: bool = False
    ) -> Iterator[str]:
        """Yield the last lines of the log, then each new line."""
        return self._on(name, lambda client: client.follow_logs(name, lines=lines, version=version, names=names))

    def records(self, name: str, *, count: int = 1000, version: str | None = None) -> list[dict[str, Any]]:
        """Return the newest request records, oldest first."""
        return self._on(name, lambda client: client.records(name, count=count, version=version))

    def collected_files(self, name: str) -> list[CollectedFile]:
        """Return the files of collected data; see `EndpointClient.collected_files`."""
        return self._on(name, lambda client: client.collected_files(name))

    def read_collected(self, name: str, file: CollectedFile) -> Iterator[bytes]:
        """Yield the content of a file of collected data; see `EndpointClient.read_collected`."""
        return self._on(name, lambda client: client.read_collected(name, file))

    def metrics(
        self, name: str, *, since: float, every: int | None = None, after: int | None = None, merge: bool = False
    ) -> dict[str, Any]:
        """Return the time series of an endpoint; see `EndpointClient.metrics`."""
        return self._on(name, lambda client: client.metrics(name, since=since, every=every, after=after, merge=merge))

    def scaling_history(self, name: str, version: str | None = None, most: int = 1000) -> list[ScalingDecision]:
        """Return the newest autoscaling decisions, oldest first."""
        return self._on(name, lambda client: client.scaling_history(name, version, most))

    def _clients(self, *, only_with_endpoints: bool = False, only_running: bool = False) -> list[EndpointClient]:
        """Return the control planes without duplicates: several targets may share one."""
        found: list[EndpointClient] = []
        for target in self._targets().values():
            if target.stands_for:
                continue  # its endpoints belong to another target
            if (only_with_endpoints and not target.has_endpoints()) or (only_running and not target.is_running()):
                continue
            client = target.endpoints()
            if not any(client is other for other in found):
                found.append(client)
        return found

    def _on(self, name: str, operation: Callable[[EndpointClient], Result]) -> Result:
        """Return the result of an operation on the control plane that has an endpoint.

        The control plane of an endpoint is cached. If the endpoint was deleted and created again on another target, it
        is searched again.
        """
        clients = self._clients()
        if len(clients) == 1:
            return operation(clients[0])
        known = self._owners.get(name)
        if known is not None and any(known is client for client in clients):
            with suppress(EndpointNotFoundError):
                return operation(known)
        return operation(self._found(name))

    def _found(self, name: str) -> EndpointClient:
        known: set[str] = set()
        for client in self._clients(only_with_endpoints=True):
            try:
                client.endpoint(name)
            except EndpointNotFoundError:
                known |= _names_on(client)
            else:
                self._owners[name] = client
                return client
        raise EndpointNotFoundError.named(name, known)


def _names_on(client: EndpointClient) -> set[str]:
    """Return the names of the endpoints of a control plane; none if it cannot be reached, for example offline."""
    try:
        return {record.spec.name for record in client.endpoints()}
    except ControllerStartError:
        return set()
