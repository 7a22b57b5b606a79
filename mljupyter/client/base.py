"""EndpointClient: the interface between the user-facing packages (SDK, magics, widgets, CLI) and control planes.

SDK, magics, widgets and command line use endpoints only through this interface. It is implemented for the controller of
this machine, and for all control planes of a workspace together; plug-ins implement it for other control planes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, Protocol

from mljupyter.spec import EndpointChanges, EndpointRecord, EndpointSpec, RolloutPlan, ScalingDecision
from mljupyter.spec.collected import CollectedFile
from mljupyter.spec.history import HistoryEntry

RolloutAction = Literal["pause", "resume", "abort"]
KeyName = Literal["primary", "secondary"]


class EndpointClient(Protocol):
    """Operations on the endpoints of one control plane.

    All methods raise `ControllerError` or a subclass: `EndpointNotFoundError` for an unknown name,
    `ControllerStartError` if the control plane cannot be reached.
    """

    def endpoints(self) -> list[EndpointRecord]:
        """Return all endpoints."""
        ...

    def endpoint(self, name: str) -> EndpointRecord:
        """Return an endpoint, or raise `EndpointNotFoundError`."""
        ...

    def create(
        self,
        spec: EndpointSpec,
        *,
        overwrite: bool = False,
        generation: int | None = None,
        primary_key: str | None = None,
        secondary_key: str | None = None,
    ) -> EndpointRecord:
        """Accept a new endpoint and return at once, while its replicas are still starting.

        Parameters:
            spec: the endpoint.
            overwrite: replace an endpoint of the same name, which serves until the new one does.
            generation: the generation of the endpoint to replace; None replaces any.
            primary_key, secondary_key: keys to score with; random ones by default.

        Raises:
            EndpointExistsError: the name is taken, and `overwrite` is not set.
            EndpointChangedError: the endpoint has another generation; nothing is changed.

        """
        ...

    def replace(self, spec: EndpointSpec, *, generation: int | None = None) -> EndpointRecord:
        """Accept a change of an existing endpoint and return at once.

        Parameters:
            spec: the whole new spec.
            generation: the generation that the change was made from; None replaces any.

        Raises:
            EndpointChangedError: the endpoint has another generation; nothing is changed.
            EndpointBusyError: the endpoint is being deleted.

        """
        ...

    def delete(self, name: str) -> None:
        """Delete an endpoint; return when its replicas and routes are gone."""
        ...

    def watch(self, name: str, after: int, timeout: float) -> EndpointRecord:
        """Return an endpoint as soon as its resource version is above `after`, or after `timeout` seconds."""
        ...

    def start_rollout(self, name: str, plan: RolloutPlan) -> EndpointRecord:
        """Start a rollout of a version; return the endpoint with the rollout in its first step."""
        ...

    def control_rollout(self, name: str, action: RolloutAction) -> EndpointRecord:
        """Pause, resume or abort the current rollout."""
        ...

    def promote(self, name: str, version: str) -> EndpointRecord:
        """Make a version default and control, with all traffic."""
        ...

    def rollback(self, name: str, number: int | None = None, *, generation: int | None = None) -> EndpointRecord:
        """Restore an entry of the history; None restores the state before the last change."""
        ...

    def history(self, name: str) -> list[HistoryEntry]:
        """Return the changes of an endpoint, oldest first."""
        ...

    def keys(self, name: str) -> tuple[str, str]:
        """Return the primary and the secondary key."""
        ...

    def regenerate_key(self, name: str, which: KeyName, key: str | None = None) -> None:
        """Replace a key by a random or a given one; return when the old one is refused."""
        ...

    def token(self, name: str, subject: str = "") -> dict[str, Any]:
        """Return a token: its text, and the times (seconds since 1970) of its refresh and its expiry."""
        ...

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
        """Return the last lines of the log, all replicas in order of time.

        Parameters:
            name: the endpoint.
            lines: the largest number of lines.
            version, replica: only this version, only this replica.
            startup: the first lines of the newest replica instead: output of imports and ``init()``.
            names: name version and replica beside the process id where several replicas write.

        """
        ...

    def follow_logs(
        self, name: str, *, lines: int = 100, version: str | None = None, names: bool = False
    ) -> Iterator[str]:
        """Yield the last lines of the log, then each new line as a replica writes it."""
        ...

    def records(self, name: str, *, count: int = 1000, version: str | None = None) -> list[dict[str, Any]]:
        """Return the newest request records and script logs, oldest first."""
        ...

    def collected_files(self, name: str) -> list[CollectedFile]:
        """Return the files of data that an endpoint's scripts have collected, in the order of their paths.

        Raises:
            CollectedDataError: the data cannot be read, with the reason and a way out.

        """
        ...

    def read_collected(self, name: str, file: CollectedFile) -> Iterator[bytes]:
        """Yield the content of a file in pieces of a few megabytes, as far as its `size`.

        Raises:
            CollectedDataError: it cannot be read, or was removed.

        """
        ...

    def metrics(
        self, name: str, *, since: float, every: int | None = None, after: int | None = None, merge: bool = False
    ) -> dict[str, Any]:
        """Return the time series of an endpoint in the form of `mljupyter.telemetry.metrics.report.report`.

        Parameters:
            name: the endpoint.
            since: seconds back from now.
            every: resolution in seconds; None chooses one.
            after: the cursor of an earlier answer: return only newer intervals.
            merge: sum all versions.

        """
        ...

    def scaling_history(self, name: str, version: str | None = None, most: int = 1000) -> list[ScalingDecision]:
        """Return the newest autoscaling decisions, oldest first."""
        ...


class ControlPlaneClient(EndpointClient, Protocol):
    """The client of one control plane, which also tells of changes of any endpoint."""

    def changes(self, after: str, timeout: float) -> EndpointChanges:
        """Return what has changed in any endpoint since the state of a token, as soon as there is something.

        A control plane that does not run is not started.

        Parameters:
            after: the token of an earlier answer; empty for all endpoints, at once.
            timeout: the longest wait in seconds; then the answer has no endpoints.

        """
        ...
