"""Requests to the operator of a cluster through the API server's service proxy, with the user's own credentials."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from mljupyter.client.errors import ControllerError, ControllerStartError, error_for
from mljupyter.client.transport import ANSWER_WITHIN, Answer
from mljupyter.client.unix_socket import USER_HEADER
from mljupyter.kubernetes.objects import names
from mljupyter.ownership import user_name
from mljupyter.targets.kubernetes.cluster import Cluster, ClusterUnreachableError, status_of
from mljupyter.visible import one_line

_PAUSE = 0.5
_TAKE_OVER_SECONDS = 20.0
"""An operator is replaced by another one within 15 s."""
_FIRST_ERROR = 400
_REFUSED_SECRET = (401, 403)
_NOT_FOUND = 404
_NOT_SENT = ("no endpoints available", "connection refused", "no route to host", "i/o timeout", "no such host")


class OperatorNotReadyError(ControllerStartError):
    """The operator does not run, or is not ready. The request was not carried out."""


class ClusterTransport:
    """The `Transport` to the operator of one cluster.

    Parameters:
        cluster: the API server.
        namespace: the namespace of the installation.
        target: the name of the compute target, for messages.
        state: returns a sentence about the state of the operator's pods.

    """

    def __init__(self, cluster: Cluster, namespace: str, target: str, state: Callable[[], str]) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._target = target
        self._state = state
        self._secret: str | None = None

    def ask(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, Any] | None = None,
        within: float | None = ANSWER_WITHIN,
        start: bool = True,
    ) -> Answer:
        """Send a request and return the answer; see `Transport.ask`.

        `start`: wait for an operator that takes over. Kubernetes starts operators; a client has nothing to start.
        """
        deadline = time.monotonic() + _TAKE_OVER_SECONDS
        while True:
            answer = self._send(method, path, body, query, within)
            if not _was_not_carried_out(answer):
                break
            if not start or time.monotonic() > deadline:
                raise self._not_ready(answer)
            time.sleep(_PAUSE)
        if answer.status >= _FIRST_ERROR:
            raise self._refusal(answer, f"{method} {path}")
        return answer

    def wait_for_control_plane(self) -> bool:
        """Wait a moment; return False if the installation was removed from the cluster."""
        time.sleep(_PAUSE)
        try:
            return self._cluster.find(f"{names.services(self._namespace)}/{names.OPERATOR}") is not None
        except ControllerError:
            return True  # the API server may be away for a moment

    def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        query: Mapping[str, Any] | None,
        within: float | None,
    ) -> Answer:
        answer = self._send_with(self._secret or self._read_secret(), method, path, body, query, within)
        if answer.status in _REFUSED_SECRET and status_of(answer) is None:
            # The operator refuses the secret: it was replaced since it was read.
            answer = self._send_with(self._read_secret(), method, path, body, query, within)
        return answer

    def _send_with(
        self,
        secret: str,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        query: Mapping[str, Any] | None,
        within: float | None,
    ) -> Answer:
        content = None if body is None else json.dumps(body).encode()
        headers = {
            names.SECRET_HEADER: secret,
            USER_HEADER: quote(user_name()),
            **({"content-type": "application/json"} if content is not None else {}),
        }
        place = names.operator_proxy(self._namespace) + path
        for last in (False, True):
            try:
                return self._cluster.request(method, place, body=content, query=query, headers=headers, within=within)
            except TimeoutError:
                raise ControllerStartError(
                    f"the operator of compute target {self._target!r} has not answered within {within} s."
                ) from None
            except ConnectionError:
                if method != "GET" or last:
                    raise ControllerStartError(
                        f"the connection to the operator of compute target {self._target!r} was lost while it was "
                        "asked. Look at the endpoint before trying again."
                    ) from None
        raise AssertionError  # the loop returns or raises

    def _read_secret(self) -> str:
        path = f"{names.secrets(self._namespace)}/{names.ACCESS_SECRET}"
        secret = self._cluster.find(path)
        if secret is None:
            raise OperatorNotReadyError(
                f"compute target {self._target!r}: namespace {self._namespace!r} has no installation of mljupyter.\n"
                "It was removed from the cluster. Attach the cluster again, or detach the target."
            )
        try:
            self._secret = base64.b64decode(secret["data"][names.API_KEY]).decode()
        except (KeyError, TypeError, ValueError):
            raise OperatorNotReadyError(
                f"compute target {self._target!r}: Secret {names.ACCESS_SECRET!r} is incomplete.\n"
                "Attach the cluster again."
            ) from None
        return self._secret

    def _not_ready(self, answer: Answer) -> OperatorNotReadyError:
        reason = one_line(str((status_of(answer) or answer.json()).get("message", "")))
        try:
            state = f"{self._state()}; {reason}"
        except ControllerError:  # the rights to read pods may be missing
            state = reason
        return OperatorNotReadyError(
            f"the operator of compute target {self._target!r} is not ready: {state}\n"
            "Endpoints keep serving. Look at it: mljupyter computetarget show " + self._target
        )

    def _refusal(self, answer: Answer, request: str) -> ControllerError:
        if status_of(answer) is not None:
            refusal = self._cluster.refusal(answer, request)
            if isinstance(refusal, ClusterUnreachableError) or answer.status in _REFUSED_SECRET:
                return refusal
            if answer.status == _NOT_FOUND:
                return OperatorNotReadyError(
                    f"compute target {self._target!r}: namespace {self._namespace!r} has no operator of mljupyter.\n"
                    "It was removed from the cluster. Attach the cluster again, or detach the target."
                )
            return ControllerStartError(
                f"the API server lost the connection to the operator of compute target {self._target!r}: "
                f"{refusal.message}\nLook at the endpoint before trying again."
            )
        try:
            document = answer.json()
            return error_for(document["code"], document["message"])
        except (ValueError, KeyError, TypeError):
            return error_for("", f"the operator answered with status {answer.status}.")


def _was_not_carried_out(answer: Answer) -> bool:
    """Return whether the request did not reach the operator, or one that does not lead: another one takes over soon.

    An operator on a busy node may lose its Lease and get it again, so the answer of one that does not lead is no error.
    """
    if answer.status not in (500, 502, 503, 504):
        return False
    if (status := status_of(answer)) is not None:
        return any(text in str(status.get("message", "")) for text in _NOT_SENT)
    try:
        document = answer.json()
    except ValueError:
        return False
    return isinstance(document, dict) and document.get("code") == names.NOT_READY
