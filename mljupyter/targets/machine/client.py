"""Talks to the controller of one workspace. All clients are equal: notebooks, the command line, JupyterLab."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote, urlencode

from mljupyter.client.bounds import MOST_DECISIONS, MOST_LOG_LINES, count_within
from mljupyter.client.errors import ControllerError, ControllerStartError, error_for
from mljupyter.client.transport import Answer, ConnectionLostError, ConnectionNotMadeError, ask
from mljupyter.controller import launch
from mljupyter.controller.layout import Layout
from mljupyter.spec import EndpointRecord, EndpointSpec, RolloutPlan, RouterRecord, RouterSpec, ScalingDecision
from mljupyter.spec.history import HistoryEntry

if TYPE_CHECKING:
    from mljupyter.controller.stopping import Stop

_ANSWER_WITHIN = 30.0
_POLL_SPARE = 10.0
_STATUS_WITHIN = 5.0
_NO_CONTENT, _FIRST_ERROR = 204, 400


class ControllerClient:
    """A client of a workspace's controller, over its Unix socket.

    The controller is started by the first call that needs it. Making a client does nothing yet.

    Parameters:
        directory: the workspace's directory.

    """

    def __init__(self, directory: Path) -> None:
        self._layout = Layout.of(directory)

    def __repr__(self) -> str:
        return f"ControllerClient({str(self._layout.directory)!r})"

    def running(self) -> dict[str, Any] | None:
        """Return the controller's status document, or None when none runs. Starts nothing.

        Raises:
            ControllerStartError: when one runs that cannot be reached, or does not answer.

        """
        if not launch.reachable(self._layout):
            self._refuse_unreachable()
            return None
        status: dict[str, Any] = self._call("GET", "/v1/status", start=False, within=_STATUS_WITHIN).json()
        return status

    def ensure(self) -> dict[str, Any]:
        """Start the controller if needed; return its status document."""
        status: dict[str, Any] = self._call("GET", "/v1/status").json()
        return status

    def endpoints(self) -> list[EndpointRecord]:
        """Return all endpoints of the workspace."""
        return [EndpointRecord.parse(item) for item in self._call("GET", "/v1/endpoints").json()]

    def endpoint(self, name: str) -> EndpointRecord:
        """Return an endpoint, or raise `EndpointNotFoundError`."""
        return EndpointRecord.parse(self._call("GET", _path(name)).body)

    def create(
        self,
        spec: EndpointSpec,
        *,
        overwrite: bool = False,
        primary_key: str | None = None,
        secondary_key: str | None = None,
    ) -> EndpointRecord:
        """Ask for a new endpoint; return it as accepted, while it is still being made.

        Parameters:
            spec: the endpoint.
            overwrite: whether it may take the place of one with the same name, which serves until then.
            primary_key: first key, random if not given.
            secondary_key: second key, random if not given.

        Raises:
            EndpointExistsError: when the name is taken and `overwrite` is not set.
            PortInUseError: when the port asked for is taken.

        """
        body = {
            "spec": spec.document(),
            "overwrite": overwrite,
            "primaryKey": primary_key,
            "secondaryKey": secondary_key,
        }
        return EndpointRecord.parse(self._call("POST", "/v1/endpoints", body=body).body)

    def replace(self, spec: EndpointSpec, *, generation: int | None = None) -> EndpointRecord:
        """Ask for a change of an endpoint that exists; return it as accepted.

        Parameters:
            spec: the endpoint as it is to be.
            generation: that of the record the change was made from; None puts the spec in place of any.

        Raises:
            EndpointChangedError: when the endpoint has another generation by now; nothing is changed.
            EndpointBusyError: when it is being deleted.

        """
        body = {"spec": spec.document(), "generation": generation}
        return EndpointRecord.parse(self._call("PUT", _path(spec.name), body=body).body)

    def delete(self, name: str) -> None:
        """Delete an endpoint; return when its replicas and routes are gone."""
        while self._call("DELETE", _path(name), within=None).status != _NO_CONTENT:
            continue

    def watch(self, name: str, after: int, timeout: float) -> EndpointRecord:
        """Return an endpoint as soon as its resource version is above `after`, or when `timeout` seconds are over."""
        query = {"after": after, "timeout": timeout}
        return EndpointRecord.parse(self._call("GET", _path(name), query=query, within=timeout + _POLL_SPARE).body)

    def start_rollout(self, name: str, plan: RolloutPlan) -> EndpointRecord:
        """Begin to roll a version out; return the endpoint with the rollout in its first step."""
        return EndpointRecord.parse(self._call("POST", f"{_path(name)}/rollout", body=plan.document()).body)

    def control_rollout(self, name: str, action: Literal["pause", "resume", "abort"]) -> EndpointRecord:
        """Pause, resume or abort the rollout that is under way."""
        return EndpointRecord.parse(self._call("POST", f"{_path(name)}/rollout/{action}", body={}).body)

    def promote(self, name: str, version: str) -> EndpointRecord:
        """Make a version default and control, and give it all requests."""
        return EndpointRecord.parse(self._call("POST", f"{_path(name)}/promote", body={"version": version}).body)

    def rollback(self, name: str, number: int | None = None, *, generation: int | None = None) -> EndpointRecord:
        """Put an endpoint back to an entry of its history; None is what it was before the last change."""
        body = {"number": number, "generation": generation}
        return EndpointRecord.parse(self._call("POST", f"{_path(name)}/rollback", body=body).body)

    def history(self, name: str) -> list[HistoryEntry]:
        """Return the changes of an endpoint that are remembered, the oldest first."""
        return [HistoryEntry.parse(item) for item in self._call("GET", f"{_path(name)}/history").json()]

    def keys(self, name: str) -> tuple[str, str]:
        """Return the primary and the secondary key of an endpoint."""
        keys = self._call("GET", f"{_path(name)}/keys").json()
        return keys["primary"], keys["secondary"]

    def regenerate_key(self, name: str, which: Literal["primary", "secondary"], key: str | None = None) -> None:
        """Replace a key, by a random one or a given one; return when the router refuses the old one."""
        self._call("POST", f"{_path(name)}/keys/{which}", body={"key": key})

    def token(self, name: str, subject: str = "") -> dict[str, Any]:
        """Return a token for an endpoint: its text, and in seconds since 1970 when to ask anew and when it ends."""
        token: dict[str, Any] = self._call("POST", f"{_path(name)}/token", body={"subject": subject}).json()
        return token

    def rotate_token_keys(self, *, revoke: bool = False) -> list[str]:
        """Let a new key sign tokens; with `revoke` those that exist are refused from now on. Return the keys' names."""
        names: list[str] = self._call("POST", "/v1/router/token-keys", body={"revoke": revoke}).json()["tokenKeys"]
        return names

    def router(self) -> RouterRecord:
        """Return how the router listens, its certificates, and what is wrong with them."""
        return RouterRecord.parse(self._call("GET", "/v1/router").body)

    def put_router(self, spec: RouterSpec, *, overwrite_domain: bool = False) -> RouterRecord:
        """Let the router listen in another way; return when it does.

        Raises:
            AuthenticationRequiredError: when endpoints would be open to other machines.
            CertificateError: when the certificate cannot be used.
            DomainExistsError: when there is another leaf domain label, and `overwrite_domain` is not set.

        """
        body = {"spec": spec.document(), "overwriteDomain": overwrite_domain}
        return RouterRecord.parse(self._call("PUT", "/v1/router", body=body).body)

    def replace_router(self) -> RouterRecord:
        """Put another router process in the place of the one that runs; no request is lost.

        Returns when new connections go to the other one. The one before ends when its clients have gone.

        Raises:
            ControllerError: when the other one cannot take over; the one before serves on.

        """
        return RouterRecord.parse(self._call("POST", "/v1/router/replacement").body)

    def logs(
        self,
        name: str,
        *,
        lines: int = 5000,
        version: str | None = None,
        replica: str | None = None,
        startup: bool = False,
    ) -> str:
        """Return the last lines of an endpoint's log, all replicas in the order of time.

        Parameters:
            name: the endpoint.
            lines: how many lines at most.
            version: only this version.
            replica: only this replica.
            startup: instead, the first lines of the newest replica: what import and ``init()`` printed.

        """
        query: dict[str, Any] = {
            "lines": count_within("lines", lines, MOST_LOG_LINES),
            "startup": "true" if startup else "false",
        }
        query |= {key: value for key, value in {"version": version, "replica": replica}.items() if value is not None}
        return self._call("GET", f"{_path(name)}/logs", query=query).body.decode()

    def follow_logs(self, name: str, *, lines: int = 100, version: str | None = None) -> Iterator[str]:
        """Yield the last lines of an endpoint's log, and then each line that any replica writes; see `log_stream`."""
        from mljupyter.client.log_follow import stream

        query = {"lines": count_within("lines", lines, MOST_LOG_LINES)} | (
            {"version": version} if version is not None else {}
        )
        return stream(self._call, self._layout, f"{_path(name)}/logs/follow", query)

    def records(self, name: str, *, count: int = 1000, version: str | None = None) -> list[dict[str, Any]]:
        """Return the newest records of requests and of what the script logged, the oldest of them first."""
        query = {"count": count_within("count", count, MOST_LOG_LINES)} | (
            {"version": version} if version is not None else {}
        )
        text = self._call("GET", f"{_path(name)}/records", query=query).body
        return [json.loads(line) for line in text.splitlines()]

    def metrics(
        self, name: str, *, since: float, every: int | None = None, after: int | None = None, merge: bool = False
    ) -> dict[str, Any]:
        """Return the series of an endpoint as `mljupyter.telemetry.metrics.report.report` makes them.

        Parameters:
            name: the endpoint.
            since: how many seconds back.
            every: resolution in seconds; None chooses one.
            after: the cursor of an earlier answer: only what has come since.
            merge: all versions together.

        """
        query = {"since": since, "every": every, "after": after, "merge": "true" if merge else "false"}
        given = {name: value for name, value in query.items() if value is not None}
        document: dict[str, Any] = self._call("GET", f"{_path(name)}/metrics", query=given).json()
        return document

    def exposition(self) -> str:
        """Return the metrics of all endpoints in Prometheus' text format."""
        return self._call("GET", "/metrics").body.decode()

    def metrics_settings(self, **change: bool | int | None) -> dict[str, Any]:
        """Return whether metrics are taken and on which port Prometheus finds them, after a change if one is given.

        Parameters:
            change: `enabled`, and `port`: a port on this machine's loopback address, None for none.

        """
        answer = self._call("PUT", "/v1/metrics", body=change) if change else self._call("GET", "/v1/metrics")
        document: dict[str, Any] = answer.json()
        return document

    def scaling_history(self, name: str, version: str | None = None, most: int = 1000) -> list[ScalingDecision]:
        """Return the newest decisions on the number of replicas of an endpoint's versions, oldest first.

        Parameters:
            name: the endpoint.
            version: only this version.
            most: how many at most.

        """
        query: dict[str, Any] = {"most": count_within("most", most, MOST_DECISIONS)} | (
            {"version": version} if version is not None else {}
        )
        return [ScalingDecision.parse(item) for item in self._call("GET", f"{_path(name)}/scaling", query=query).json()]

    def stop(self, *, force: bool = False) -> Stop:
        """Stop the controller; return what was stopped, which is false when there was nothing to stop.

        Endpoints keep serving. With `force` their replicas and the router end too; the next controller starts them.
        What does not end in time is killed then: after 20 s nothing of it is left, whatever hangs.

        Raises:
            ControllerError: when the controller does not end, which only `force` changes.

        """
        from mljupyter.controller.stopping import stop

        return stop(self._layout, force=force)

    def restore(self) -> Path:
        """Put the last copy of the controller's database in its place; return where what was there is now.

        For when it cannot be read, and no controller starts. Endpoints serve on meanwhile; they are then wanted as they
        were when the copy was made, at most a second or two before.

        Raises:
            ControllerError: when a controller runs, or there is no copy.

        """
        from mljupyter.controller.storage.backup import restore

        return restore(self._layout)

    def controller_log(self, lines: int = 200) -> str:
        """Return the last lines of the controller's own log. Needs no controller."""
        try:
            text = self._layout.log.read_text(errors="replace")
        except OSError:
            return ""
        return "".join(text.splitlines(keepends=True)[-lines:])

    def _refuse_unreachable(self) -> None:
        """Raise `ControllerStartError` when a controller runs that nobody can connect to; one that starts, may."""
        import time

        from mljupyter.controller.running import controller_of

        found = controller_of(self._layout)
        if found is not None and time.time() - found.started_time > launch.START_WITHIN:
            raise ControllerStartError(
                f"the controller (pid {found.pid}) runs, but its socket {str(self._layout.socket())!r} is gone.\n"
                "It makes the socket again within 15 s. If it does not: mljupyter controller stop"
            )

    def _call(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, Any] | None = None,
        within: float | None = _ANSWER_WITHIN,
        start: bool = True,
    ) -> Answer:
        target = f"{path}?{urlencode(query)}" if query else path
        try:
            answer = ask(self._layout.socket(), method, target, body, within)
        except (ConnectionNotMadeError, ConnectionLostError) as error:
            if isinstance(error, ConnectionLostError) and method != "GET":
                raise ControllerStartError(
                    "the controller ended while it was asked. Look at the endpoint before trying again."
                ) from None
            if not start:
                raise ControllerStartError("no controller runs. Start it: mljupyter controller start") from None
            answer = self._ask_a_new_one(method, target, body, within)
        except TimeoutError:
            raise ControllerStartError(f"the controller has not answered within {within} s.") from None
        if answer.status >= _FIRST_ERROR:
            raise _error(answer)
        return answer

    def _ask_a_new_one(self, method: str, target: str, body: Mapping[str, Any] | None, within: float | None) -> Answer:
        """Start the controller and ask it: the request has not been sent yet, or only reads."""
        launch.start(self._layout)
        try:
            return ask(self._layout.socket(), method, target, body, within)
        except (ConnectionNotMadeError, ConnectionLostError, TimeoutError):
            raise ControllerStartError("the controller was started, and does not answer. Its log says more.") from None


def _path(name: str) -> str:
    return f"/v1/endpoints/{quote(name, safe='')}"


def _error(answer: Answer) -> ControllerError:
    try:
        document = answer.json()
        return error_for(document["code"], document["message"])
    except (ValueError, KeyError, TypeError):
        return error_for("", f"the controller answered with status {answer.status}.")
