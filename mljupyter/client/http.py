"""Endpoint client over HTTP. Every control plane serves the same interface; only the `Transport` differs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from mljupyter.client.base import KeyName, RolloutAction
from mljupyter.client.bounds import (
    MOST_COLLECTED_BYTES,
    MOST_COLLECTED_FILES,
    MOST_DECISIONS,
    MOST_LOG_LINES,
    count_within,
)
from mljupyter.client.errors import EndpointNotFoundError
from mljupyter.client.transport import Transport
from mljupyter.spec import EndpointChanges, EndpointRecord, EndpointSpec, RolloutPlan, ScalingDecision
from mljupyter.spec.collected import CollectedFile
from mljupyter.spec.history import HistoryEntry

_POLL_SPARE = 10.0
_NO_CONTENT = 204


class HttpEndpointClient:
    """The `EndpointClient` that sends one HTTP request for each operation.

    Parameters:
        transport: sends requests to the control plane.

    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def endpoints(self) -> list[EndpointRecord]:
        """Return all endpoints."""
        return [self._read(item) for item in self._transport.ask("GET", "/v1/endpoints").json()]

    def endpoint(self, name: str) -> EndpointRecord:
        """Return an endpoint, or raise `EndpointNotFoundError`."""
        return self._record("GET", _path(name))

    def create(
        self,
        spec: EndpointSpec,
        *,
        overwrite: bool = False,
        generation: int | None = None,
        primary_key: str | None = None,
        secondary_key: str | None = None,
    ) -> EndpointRecord:
        """Accept a new endpoint; see `EndpointClient.create`."""
        body = {
            **self._sent(spec),
            "overwrite": overwrite,
            "generation": generation,
            "primaryKey": primary_key,
            "secondaryKey": secondary_key,
        }
        return self._record("POST", "/v1/endpoints", body)

    def replace(self, spec: EndpointSpec, *, generation: int | None = None) -> EndpointRecord:
        """Accept a change of an existing endpoint; see `EndpointClient.replace`."""
        return self._record("PUT", _path(spec.name), {**self._sent(spec), "generation": generation})

    def delete(self, name: str) -> None:
        """Delete an endpoint; return when its replicas and routes are gone."""
        while self._transport.ask("DELETE", _path(name), within=None).status != _NO_CONTENT:
            continue

    def watch(self, name: str, after: int, timeout: float) -> EndpointRecord:
        """Return an endpoint as soon as its resource version is above `after`, or after `timeout` seconds."""
        query = {"after": after, "timeout": timeout}
        answer = self._transport.ask("GET", _path(name), query=query, within=timeout + _POLL_SPARE)
        return self._read(answer.body)

    def changes(self, after: str, timeout: float) -> EndpointChanges:
        """Return what has changed in any endpoint since the state of a token; see `EndpointClient.changes`."""
        query = {"after": after, "timeout": timeout}
        answer = self._transport.ask("GET", "/v1/changes", query=query, within=timeout + _POLL_SPARE, start=False)
        found = answer.json()
        return EndpointChanges(
            token=found["token"],
            whole=found["whole"],
            records=[self._read(item) for item in found["records"]],
            removed=found["removed"],
        )

    def wait_for_control_plane(self) -> bool:
        """Wait a moment, and start a control plane that has crashed, not one that was stopped; see `Transport`.

        Raises:
            ControllerError: it does not start.

        """
        return self._transport.wait_for_control_plane()

    def start_rollout(self, name: str, plan: RolloutPlan) -> EndpointRecord:
        """Start a rollout of a version; return the endpoint with the rollout in its first step."""
        return self._record("POST", f"{_path(name)}/rollout", plan.document())

    def control_rollout(self, name: str, action: RolloutAction) -> EndpointRecord:
        """Pause, resume or abort the current rollout."""
        return self._record("POST", f"{_path(name)}/rollout/{action}", {})

    def promote(self, name: str, version: str) -> EndpointRecord:
        """Make a version default and control, with all traffic."""
        return self._record("POST", f"{_path(name)}/promote", {"version": version})

    def rollback(self, name: str, number: int | None = None, *, generation: int | None = None) -> EndpointRecord:
        """Restore an entry of the history; None restores the state before the last change."""
        return self._record("POST", f"{_path(name)}/rollback", {"number": number, "generation": generation})

    def history(self, name: str) -> list[HistoryEntry]:
        """Return the changes of an endpoint, oldest first."""
        return [HistoryEntry.parse(item) for item in self._transport.ask("GET", f"{_path(name)}/history").json()]

    def keys(self, name: str) -> tuple[str, str]:
        """Return the primary and the secondary key."""
        keys = self._transport.ask("GET", f"{_path(name)}/keys").json()
        return keys["primary"], keys["secondary"]

    def regenerate_key(self, name: str, which: KeyName, key: str | None = None) -> None:
        """Replace a key by a random or a given one; return when the old one is refused."""
        self._transport.ask("POST", f"{_path(name)}/keys/{which}", body={"key": key})

    def token(self, name: str, subject: str = "") -> dict[str, Any]:
        """Return a token: its text, and the times (seconds since 1970) of its refresh and its expiry."""
        token: dict[str, Any] = self._transport.ask("POST", f"{_path(name)}/token", body={"subject": subject}).json()
        return token

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
        query = {
            "lines": count_within("lines", lines, MOST_LOG_LINES),
            "startup": "true" if startup else "false",
            "version": version,
            "replica": replica,
            "names": "true" if names else None,
        }
        return self._transport.ask("GET", f"{_path(name)}/logs", query=_given(query)).body.decode()

    def follow_logs(
        self, name: str, *, lines: int = 100, version: str | None = None, names: bool = False
    ) -> Iterator[str]:
        """Yield the last lines of the log, then each new line; see `mljupyter.client.log_follow`."""
        from mljupyter.client.log_follow import stream  # heavy for `%load_ext`, and rarely needed

        count = count_within("lines", lines, MOST_LOG_LINES)
        query = {"lines": count, "version": version, "names": "true" if names else None}
        return stream(self._transport, f"{_path(name)}/logs/follow", _given(query))

    def records(self, name: str, *, count: int = 1000, version: str | None = None) -> list[dict[str, Any]]:
        """Return the newest request records and script logs, oldest first."""
        query = {"count": count_within("count", count, MOST_LOG_LINES), "version": version}
        text = self._transport.ask("GET", f"{_path(name)}/records", query=_given(query)).body
        return [json.loads(line) for line in text.splitlines()]

    def collected_files(self, name: str) -> list[CollectedFile]:
        """Return the files of collected data; see `EndpointClient.collected_files`."""
        files: list[CollectedFile] = []
        while True:
            query = {"after": files[-1].path if files else "", "most": MOST_COLLECTED_FILES}
            answer = self._transport.ask("GET", f"{_path(name)}/collected", query=query)
            found = [CollectedFile.parse(one) for one in answer.json()]
            files += found
            if len(found) < MOST_COLLECTED_FILES:
                return files

    def read_collected(self, name: str, file: CollectedFile) -> Iterator[bytes]:
        """Yield the content of a file in pieces; see `EndpointClient.read_collected`."""
        offset = 0
        while offset < file.size:
            query = {"file": file.path, "offset": offset, "most": min(MOST_COLLECTED_BYTES, file.size - offset)}
            piece = self._transport.ask("GET", f"{_path(name)}/collected/content", query=query).body
            if not piece:
                return
            yield piece
            offset += len(piece)

    def metrics(
        self, name: str, *, since: float, every: int | None = None, after: int | None = None, merge: bool = False
    ) -> dict[str, Any]:
        """Return the time series of an endpoint; see `EndpointClient.metrics`."""
        query = {"since": since, "every": every, "after": after, "merge": "true" if merge else "false"}
        document: dict[str, Any] = self._transport.ask("GET", f"{_path(name)}/metrics", query=_given(query)).json()
        return document

    def scaling_history(self, name: str, version: str | None = None, most: int = 1000) -> list[ScalingDecision]:
        """Return the newest autoscaling decisions, oldest first."""
        query = {"most": count_within("most", most, MOST_DECISIONS), "version": version}
        answer = self._transport.ask("GET", f"{_path(name)}/scaling", query=_given(query))
        return [ScalingDecision.parse(item) for item in answer.json()]

    def _sent(self, spec: EndpointSpec) -> dict[str, Any]:
        """Return the members of a request with an endpoint; a subclass may add what its control plane cannot read."""
        return {"spec": spec.document()}

    def _record(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> EndpointRecord:
        return self._read(self._transport.ask(method, path, body=body).body)

    def _read(self, document: Mapping[str, Any] | bytes) -> EndpointRecord:
        """Return the record of a document; a subclass may adapt its addresses to this machine."""
        return EndpointRecord.parse(document)


def _path(name: str) -> str:
    """Return the path of an endpoint. A name with a slash would be another route: that of its keys, for example."""
    if "/" in name or name in (".", ".."):
        raise EndpointNotFoundError(
            f"{EndpointNotFoundError.code}: There is no endpoint {name!r}: a name has no '/' in it."
        )
    return f"/v1/endpoints/{quote(name, safe='')}"


def _given(query: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in query.items() if value is not None}
