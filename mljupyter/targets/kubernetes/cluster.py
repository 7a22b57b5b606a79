"""The API server of a cluster, with the credentials of a kubeconfig, and errors that say the way out.

The package ``kubernetes`` reads kubeconfig files and makes the connections. It is imported when a cluster is used.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from mljupyter.client.errors import ControllerError, ControllerStartError
from mljupyter.client.transport import ANSWER_WITHIN, Answer
from mljupyter.files import expanded
from mljupyter.visible import one_line

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

MANAGER = "mljupyter"
"""The field manager of server-side apply."""

NOT_INSTALLED = "the Kubernetes client is not installed: pip install 'mljupyter[kubernetes]'"
_CONNECT_WITHIN = 5.0
_MOST_CHARACTERS = 500
_PAGE = 500
_MOST_BYTES = 5_000_000
"""Of a kubeconfig: some have certificates of hundreds of clusters."""

_FIRST_ERROR = 400
_UNAUTHORIZED = 401
MERGE = "application/merge-patch+json"
FORBIDDEN = 403
NOT_FOUND = 404
_CONFLICT = 409


class ClusterUnreachableError(ControllerStartError):
    """The API server cannot be reached with this kubeconfig, or does not accept its credentials."""


class NoKubeconfigError(ClusterUnreachableError):
    """There is no kubeconfig file."""


class ClusterError(ControllerError):
    """The API server refuses a request. `status` is its HTTP status, `reason` the word of Kubernetes for it."""

    def __init__(self, message: str, status: int, reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason

    @property
    def conflict(self) -> bool:
        """Whether the object exists already, or was changed in the meantime."""
        return self.status == _CONFLICT


@dataclass(frozen=True)
class Access:
    """The way to a cluster: the paths of kubeconfig files and a context; no kubeconfig inside a pod of the cluster."""

    kubeconfig: str | None
    context: str | None

    def __str__(self) -> str:
        if self.kubeconfig is None:
            return "this pod's own cluster"
        return f"context {self.context!r} of {self.kubeconfig}"


def access_to(kubeconfig: str | os.PathLike[str] | None = None, context: str | None = None) -> Access:
    """Return the way to a cluster, by default that of ``KUBECONFIG`` or ``~/.kube/config`` with its current context.

    Inside a pod without a kubeconfig it is the pod's own cluster.

    Parameters:
        kubeconfig: the path of a kubeconfig file.
        context: a context of it; its current one by default.

    Raises:
        ClusterUnreachableError: there is no kubeconfig, it cannot be read, or it has no such context.

    """
    try:
        joined, contexts, current = contexts_of(kubeconfig)
    except NoKubeconfigError:
        if kubeconfig is None and context is None and "KUBERNETES_SERVICE_HOST" in os.environ:
            return Access(None, None)
        raise
    chosen = context or current
    if chosen not in contexts:
        known = ", ".join(contexts) or "none"
        wanted = f"no context {chosen!r}" if chosen else "no current context"
        raise ClusterUnreachableError(f"{joined} has {wanted}. It has: {known}. Choose one: context=... (--context).")
    return Access(joined, chosen)


def contexts_of(kubeconfig: str | os.PathLike[str] | None = None) -> tuple[str, list[str], str | None]:
    """Return the paths of the kubeconfig files that exist, the names of their contexts, and the current one.

    Parameters:
        kubeconfig: as for `access_to`.

    Raises:
        NoKubeconfigError: there is none.
        ClusterUnreachableError: it cannot be read.

    """
    given = os.fspath(kubeconfig) if kubeconfig is not None else os.environ.get("KUBECONFIG") or "~/.kube/config"
    paths = [_expanded(part).absolute() for part in given.split(os.pathsep) if part]
    there = [path for path in paths if path.is_file()]
    if not there:
        raise NoKubeconfigError(
            f"there is no kubeconfig at {os.pathsep.join(map(str, paths))}.\n"
            "Give the path of one: kubeconfig=... (--kubeconfig), or set KUBECONFIG."
        )
    joined = os.pathsep.join(map(str, there))
    return (joined, *_contexts(joined))


def _expanded(text: str) -> Path:
    try:
        return expanded(text)
    except RuntimeError:  # ~ of a user that does not exist
        return Path(text)


def _contexts(paths: str) -> tuple[list[str], str | None]:
    import yaml  # only to choose a context

    names: list[str] = []
    current: str | None = None
    for path in paths.split(os.pathsep):
        try:
            if Path(path).stat().st_size > _MOST_BYTES:
                raise ValueError(f"it has more than {_MOST_BYTES} bytes")
            document = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
            names += [str(item["name"]) for item in document.get("contexts") or ()]
            current = current or document.get("current-context")
        except (OSError, ValueError, yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
            raise ClusterUnreachableError(
                f"{path} is not a readable kubeconfig: {one_line(str(error))[:_MOST_CHARACTERS]}"
            ) from None
    return names, current


class Cluster:
    """Requests to the API server of one cluster. It connects when it is first used; all threads share its connections.

    Parameters:
        access: the way to the cluster.

    """

    def __init__(self, access: Access) -> None:
        self.access = access
        self._lock = threading.Lock()
        self._made: ApiClient | None = None

    def __repr__(self) -> str:
        return f"Cluster({self.access})"

    @property
    def client(self) -> ApiClient:
        """The client of the package ``kubernetes``.

        Raises:
            ClusterUnreachableError: the kubeconfig cannot be used, or the package is not installed.

        """
        with self._lock:
            if self._made is None:
                self._made = _client(self.access)
            return self._made

    @property
    def server(self) -> str:
        """The URL of the API server."""
        return str(self.client.configuration.host).rstrip("/")

    def close(self) -> None:
        """Close the connections, and read the kubeconfig again for the next request."""
        with self._lock:
            if self._made is not None:
                self._made.rest_client.pool_manager.clear()
                self._made = None

    def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        within: float | None = ANSWER_WITHIN,
    ) -> Answer:
        """Send a request and return the answer, whatever its status.

        Parameters:
            method, path, body: of the request.
            query: the query string's parameters.
            headers: request headers besides the credentials.
            within: seconds to wait for the answer; None for no limit.

        Raises:
            ClusterUnreachableError: there is no connection.
            ConnectionError: the connection was lost: the request may have been carried out.
            TimeoutError: there is no answer in time.

        """
        import urllib3  # belongs to the package kubernetes
        from urllib3.exceptions import (
            ConnectTimeoutError,
            HTTPError,
            MaxRetryError,
            NewConnectionError,
            ReadTimeoutError,
            SSLError,
        )

        client = self.client
        url = f"{self.server}{path}{f'?{urlencode(query)}' if query else ''}"
        connect = _CONNECT_WITHIN if within is None else min(within, _CONNECT_WITHIN)
        try:
            answer = client.rest_client.pool_manager.request(
                method,
                url,
                body=body,
                headers={**_credentials(client), **(headers or {})},
                timeout=urllib3.Timeout(connect=connect, read=within),
                retries=urllib3.Retry(total=False, redirect=False),
                redirect=False,
            )
        except ReadTimeoutError:
            raise TimeoutError(f"no answer within {within} s") from None
        except (NewConnectionError, ConnectTimeoutError, SSLError, MaxRetryError) as error:
            raise self._unreachable(error) from None
        except HTTPError as error:
            raise ConnectionError(one_line(str(error))) from None
        return Answer(int(answer.status), bytes(answer.data))

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = "application/json",
        within: float | None = ANSWER_WITHIN,
        **query: Any,
    ) -> Any:
        """Send a request of Kubernetes' own API and return the decoded answer.

        Parameters:
            method, path: of the request.
            body: a document.
            content_type: the kind of a patch.
            within: seconds to wait for the answer.
            query: the query string's parameters.

        Raises:
            ClusterUnreachableError: the API server cannot be reached, or does not accept the credentials.
            ClusterError: it refuses.

        """
        content = None if body is None else json.dumps(body).encode()
        headers = {"accept": "application/json", **({"content-type": content_type} if content else {})}
        try:
            answer = self.request(method, path, body=content, query=query, headers=headers, within=within)
        except (ConnectionError, TimeoutError) as error:
            raise ClusterUnreachableError(
                f"the API server {self.server} ({self.access}) stopped answering: {error}. Retry."
            ) from None
        if answer.status >= _FIRST_ERROR:
            raise self.refusal(answer, f"{method} {path}")
        return json.loads(answer.body)

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        """Return an object or a list; see `call`."""
        document: dict[str, Any] = self.call("GET", path, **query)
        return document

    def find(self, path: str) -> dict[str, Any] | None:
        """Return an object, or None if there is none, or no such kind of object."""
        try:
            return self.get(path)
        except ClusterError as error:
            if error.status == NOT_FOUND:
                return None
            raise

    def items(self, path: str, *, labels: str = "") -> list[dict[str, Any]]:
        """Return the objects of a kind; none if the cluster has no such kind.

        Parameters:
            path: the path of the kind.
            labels: a label selector.

        """
        found: list[dict[str, Any]] = []
        query: dict[str, Any] = {"limit": _PAGE, **({"labelSelector": labels} if labels else {})}
        while True:
            try:
                page = self.get(path, **query)
            except ClusterError as error:
                if error.status == NOT_FOUND:
                    return []
                raise
            found += page.get("items") or []
            further = (page.get("metadata") or {}).get("continue")
            if not further:
                return found
            query["continue"] = further

    def apply(self, path: str, body: Mapping[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        """Create an object or change it to this one by server-side apply."""
        query: dict[str, Any] = {"fieldManager": MANAGER, "force": "true", **({"dryRun": "All"} if dry_run else {})}
        document: dict[str, Any] = self.call("PATCH", path, body, content_type="application/apply-patch+yaml", **query)
        return document

    def create(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create an object."""
        document: dict[str, Any] = self.call("POST", path, body, fieldManager=MANAGER)
        return document

    def delete(self, path: str, *, propagation: str = "Background", grace: int | None = None) -> None:
        """Delete an object; do nothing if there is none.

        Parameters:
            path: of the object.
            propagation: the deletion of the objects that it owns: ``Background``, ``Foreground`` or ``Orphan``.
            grace: seconds for a pod to end.

        """
        query: dict[str, Any] = {
            "propagationPolicy": propagation,
            **({} if grace is None else {"gracePeriodSeconds": grace}),
        }
        try:
            self.call("DELETE", path, **query)
        except ClusterError as error:
            if error.status != NOT_FOUND:
                raise

    def refusal(self, answer: Answer, request: str) -> ControllerError:
        """Return the error for an answer of the API server itself."""
        status = status_of(answer) or {}
        message = one_line(str(status.get("message") or answer.body[:_MOST_CHARACTERS].decode(errors="replace")))
        message = message[:_MOST_CHARACTERS]
        reason = str(status.get("reason") or "")
        if answer.status == _UNAUTHORIZED or "system:anonymous" in message:
            return ClusterUnreachableError(
                f"the API server {self.server} does not accept the credentials of {self.access}: they are missing or "
                "have expired.\nLog in to the cluster again, as for kubectl; then look: mljupyter computetarget list"
            )
        if answer.status == FORBIDDEN:
            return ClusterError(
                f"the cluster refuses: {message}\n"
                "The missing rights, and a Role that grants them: mljupyter computetarget check",
                answer.status,
                reason,
            )
        return ClusterError(
            f"the cluster refuses {request}: {message or 'no reason'} ({answer.status})", answer.status, reason
        )

    def _unreachable(self, error: Exception) -> ClusterUnreachableError:
        text = one_line(str(getattr(error, "reason", None) or error)).rpartition(": ")[2][:_MOST_CHARACTERS]
        if "CERTIFICATE_VERIFY_FAILED" in str(error) or "certificate verify failed" in str(error):
            return ClusterUnreachableError(
                f"the certificate of the API server {self.server} is not trusted: {text}\n"
                f"The kubeconfig ({self.access}) belongs to another or an older cluster: get it again."
            )
        return ClusterUnreachableError(
            f"the API server {self.server} ({self.access}) cannot be reached: {text}\n"
            "Check that the cluster runs, and the network or VPN to it. Endpoints there keep serving."
        )


def status_of(answer: Answer) -> dict[str, Any] | None:
    """Return the ``Status`` document with which the API server itself answers; None for an answer of another server."""
    try:
        document = answer.json()
    except ValueError:
        return None
    return document if isinstance(document, dict) and document.get("kind") == "Status" else None


def _client(access: Access) -> ApiClient:
    try:
        from kubernetes import config
        from kubernetes.client import ApiClient, Configuration
        from kubernetes.config.config_exception import ConfigException
    except ImportError as error:
        raise ClusterUnreachableError(f"no cluster can be used: {NOT_INSTALLED}") from error
    configuration = Configuration()
    try:
        if access.kubeconfig is None:
            config.load_incluster_config(client_configuration=configuration)
        else:
            config.load_kube_config(
                config_file=access.kubeconfig,
                context=access.context,
                client_configuration=configuration,
                persist_config=False,
            )
    except (ConfigException, OSError, ValueError, TypeError) as error:
        raise ClusterUnreachableError(
            f"{access} cannot be used: {one_line(str(error))[:_MOST_CHARACTERS]}\n"
            "Get the kubeconfig of the cluster again, or attach it with another one."
        ) from None
    return ApiClient(configuration=configuration)


def _credentials(client: ApiClient) -> dict[str, str]:
    """Return the headers with the credentials; a token that expires is renewed here."""
    settings = client.configuration.auth_settings().values()
    return {item["key"]: item["value"] for item in settings if item["in"] == "header" and item["value"]}
