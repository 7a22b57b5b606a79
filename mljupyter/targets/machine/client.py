"""The client of this machine's control plane: the controller of one workspace, started on demand.

Notebooks, the command line and JupyterLab are equal clients. None of them owns the controller.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mljupyter.client.http import HttpEndpointClient
from mljupyter.controller.layout import Layout
from mljupyter.spec import RouterRecord, RouterSpec
from mljupyter.targets.machine.transport import SocketTransport

if TYPE_CHECKING:
    from mljupyter.controller.stopping import Stop

_STATUS_WITHIN = 5.0


class ControllerClient(HttpEndpointClient):
    """A client of a workspace's controller, over its Unix socket.

    The first call that needs the controller starts it. Creating a client does nothing yet.

    Parameters:
        directory: the workspace's directory.

    """

    def __init__(self, directory: Path) -> None:
        self._layout = Layout.of(directory)
        super().__init__(SocketTransport(self._layout))

    def __repr__(self) -> str:
        return f"ControllerClient({str(self._layout.directory)!r})"

    def running(self) -> dict[str, Any] | None:
        """Return the controller's status document, or None when no controller runs. Starts nothing.

        Raises:
            ControllerStartError: the controller runs, but cannot be reached or does not answer.

        """
        from mljupyter.controller import launch  # slow; only to start a controller

        if not launch.reachable(self._layout):
            launch.refuse_unreachable(self._layout)
            return None
        answer = self._transport.ask("GET", "/v1/status", start=False, within=_STATUS_WITHIN)
        status: dict[str, Any] = answer.json()
        return status

    def ensure(self) -> dict[str, Any]:
        """Start the controller if needed; return its status document."""
        status: dict[str, Any] = self._transport.ask("GET", "/v1/status").json()
        return status

    def rotate_token_keys(self, *, revoke: bool = False) -> list[str]:
        """Sign tokens with a new key from now on; return the names of the keys.

        Parameters:
            revoke: refuse the existing tokens from now on.

        """
        answer = self._transport.ask("POST", "/v1/router/token-keys", body={"revoke": revoke})
        names: list[str] = answer.json()["tokenKeys"]
        return names

    def router(self) -> RouterRecord:
        """Return the router's addresses, its certificates, and their problems."""
        return RouterRecord.parse(self._transport.ask("GET", "/v1/router").body)

    def put_router(self, spec: RouterSpec, *, overwrite_domain: bool = False) -> RouterRecord:
        """Change the router's addresses or TLS; return when the change is in force.

        Raises:
            AuthenticationRequiredError: endpoints would be open to other machines.
            CertificateError: the certificate cannot be used.
            DomainExistsError: another leaf domain label exists, and `overwrite_domain` is not set.

        """
        body = {"spec": spec.document(), "overwriteDomain": overwrite_domain}
        return RouterRecord.parse(self._transport.ask("PUT", "/v1/router", body=body).body)

    def replace_router(self) -> RouterRecord:
        """Replace the router process by a new one; no request is lost.

        Returns when new connections go to the new process. The old one ends when its clients have disconnected.

        Raises:
            ControllerError: the new process cannot take over; the old one continues to serve.

        """
        return RouterRecord.parse(self._transport.ask("POST", "/v1/router/replacement").body)

    def exposition(self) -> str:
        """Return the metrics of all endpoints in Prometheus' text format."""
        return self._transport.ask("GET", "/metrics").body.decode()

    def metrics_settings(self, **change: bool | int | None) -> dict[str, Any]:
        """Return whether metrics are collected, and the port for Prometheus, after a change if one is given.

        Parameters:
            change: `enabled`, and `port`: a port on this machine's loopback address, None for none.

        """
        if change:
            answer = self._transport.ask("PUT", "/v1/metrics", body=change)
        else:
            answer = self._transport.ask("GET", "/v1/metrics")
        document: dict[str, Any] = answer.json()
        return document

    def stop(self, *, force: bool = False) -> Stop:
        """Stop the controller; return a document of the stopped processes, which is false if none ran.

        Endpoints continue to serve. With `force` their replicas and the router end as well; the next controller starts
        them again. Processes that do not end in time are killed, after 20 s at the latest.

        Raises:
            ControllerError: the controller does not end; `force` kills it.

        """
        from mljupyter.controller.stopping import stop  # as above

        return stop(self._layout, force=force)

    def restore(self) -> Path:
        """Restore the last copy of the controller's database; return the path to which the damaged one was moved.

        Use it if the database cannot be read, so that no controller starts. Endpoints continue to serve; their specs
        are those of the copy, which is one or two seconds older at most.

        Raises:
            ControllerError: a controller runs, or there is no copy.

        """
        from mljupyter.controller.storage.backup import restore  # as above

        return restore(self._layout)

    def controller_log(self, lines: int = 200) -> str:
        """Return the last lines of the controller's own log. Needs no controller."""
        try:
            text = self._layout.log.read_text(errors="replace", encoding="utf-8")
        except OSError:
            return ""
        return "".join(text.splitlines(keepends=True)[-lines:])
