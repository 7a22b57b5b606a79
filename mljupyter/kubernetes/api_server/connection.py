"""A connection to the API server: requests and answers are plain dictionaries, each call has a timeout."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Self

import aiohttp
from kubernetes_asyncio import config
from kubernetes_asyncio.client import ApiClient, Configuration

from mljupyter.errors import MLJupyterError

Object = dict[str, Any]
Patch = Object | list[Object]
PatchKind = Literal["merge", "apply", "json", "strategic"]

_PATCHES: Mapping[PatchKind, str] = {
    "merge": "application/merge-patch+json",
    "apply": "application/apply-patch+yaml",
    "json": "application/json-patch+json",
    "strategic": "application/strategic-merge-patch+json",
}
_JSON = "application/json"
_ANSWER_WITHIN = aiohttp.ClientTimeout(total=30, sock_connect=5)
_PAGE = 500
_NOT_FOUND = 404
# The API server ends a watch after this time. Then the next one continues from the same resource version.
_WATCH_SECONDS = 290
_WATCH_WITHIN = aiohttp.ClientTimeout(sock_connect=5, sock_read=_WATCH_SECONDS + 15)
# A peer that vanishes without closing a connection is noticed after about 20 s without an answer to a probe.
_KEEP_ALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 2}
_LONGEST_TEXT = 500
_QUOTED_INPUT = ", error found in"  # the API server then quotes the request, which may contain a secret


class ApiError(MLJupyterError):
    """The API server refused a request. `status` is its HTTP status, `reason` a word such as ``Conflict``."""

    def __init__(self, message: str, *, status: int = 0, reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class ApiUnreachableError(ApiError):
    """The API server cannot be reached, or does not answer in time."""


class ApiServer:
    """Sends requests to the API server. See `connect`."""

    def __init__(self, client: ApiClient, may_write: Callable[[], Awaitable[bool]] | None = None) -> None:
        self._client = client
        self._may_write = may_write

    @classmethod
    async def connect(cls, kubeconfig: Path | None = None, context: str | None = None) -> Self:
        """Return a connection with the credentials of a file, or with those of the pod that this process runs in.

        Nothing is sent yet. The pod's token is read again once a minute, since Kubernetes replaces it.

        Parameters:
            kubeconfig: the file; None for the pod's own credentials.
            context: a context in the file; None for its current one.

        Raises:
            ApiError: when the credentials cannot be read.

        """
        configuration = Configuration()
        # Like kubectl, accept authorities without the extensions that Python requires since 3.13.
        configuration.disable_strict_ssl_verification = True
        try:
            if kubeconfig is None:
                config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
            else:
                await config.load_kube_config(
                    config_file=str(kubeconfig),
                    context=context,
                    client_configuration=configuration,
                    persist_config=False,
                )
            return cls(ApiClient(configuration))
        except config.ConfigException as error:
            where = "this pod has no credentials" if kubeconfig is None else f"{kubeconfig} cannot be used"
            raise ApiError(
                f"{where}: {str(error)[:_LONGEST_TEXT]}\nCheck it: kubectl --kubeconfig FILE get --raw /version"
            ) from None
        except OSError as error:
            raise ApiError(f"the credentials for the API server cannot be read: {error.strerror or error}.") from None

    def writing_while(self, may_write: Callable[[], Awaitable[bool]]) -> Self:
        """Return the same connection, on which a write is an `ApiError` when `may_write` returns False."""
        return type(self)(self._client, may_write)

    async def get(self, path: str, **query: str) -> Object:
        """Return the object at a path.

        Raises:
            ApiError: when the API server refuses; `status` is 404 without such an object.

        """
        return await self._json("GET", path, query)

    async def list(self, path: str, *, labels: str = "", fields: str = "") -> tuple[list[Object], str]:
        """Return the objects at a path, and the resource version to watch from.

        Parameters:
            path: the path of all objects of a kind.
            labels, fields: selectors.

        """
        query = _selectors(labels, fields) | {"limit": str(_PAGE)}
        found: list[Object] = []
        while True:
            page = await self._json("GET", path, query)
            found += page.get("items") or []
            metadata = page.get("metadata", {})
            if not metadata.get("continue"):
                return found, metadata.get("resourceVersion", "")
            query["continue"] = metadata["continue"]

    async def create(self, path: str, body: Object, **query: str) -> Object:
        """Create an object, and return it. `path` is that of all objects of its kind."""
        return await self._json("POST", path, query, body)

    async def replace(self, path: str, body: Object) -> Object:
        """Replace an object, and return it. With a resource version in `body`, it must be the present one."""
        return await self._json("PUT", path, {}, body)

    async def delete(self, path: str, **query: str) -> None:
        """Delete an object. It is not an error if there is none."""
        try:
            await self._json("DELETE", path, query)
        except ApiError as error:
            if error.status != _NOT_FOUND:
                raise

    async def patch(
        self,
        path: str,
        body: Patch,
        *,
        kind: PatchKind,
        manager: str | None = None,
        force: bool = False,
    ) -> Object:
        """Change an object, and return it.

        Parameters:
            path: the object, or one of its subresources.
            body: the patch.
            kind: the kind of the patch; ``apply`` creates an object that does not exist.
            manager: the name under which the API server records the changed fields; required for ``apply``.
            force: with ``apply``, take over fields of other managers.

        """
        query = {} if manager is None else {"fieldManager": manager}
        if force:
            query["force"] = "true"
        return await self._json("PATCH", path, query, body, _PATCHES[kind])

    async def text(self, path: str, **query: str) -> str:
        """Return an answer as text, such as a pod's log."""
        return (await self._body("GET", path, query)).decode(errors="replace")

    async def watch(
        self, path: str, resource_version: str, *, labels: str = "", fields: str = ""
    ) -> AsyncGenerator[Object, None]:
        """Yield the changes after a resource version, as events with ``type`` and ``object``.

        The first event is a bookmark of this version, when the API server has accepted the watch. The API server sends
        further bookmarks, and ends the watch after some minutes.

        Parameters:
            path: the path of all objects of a kind.
            resource_version: that of a list, or of the last event.
            labels, fields: selectors.

        Raises:
            ApiError: `status` is 410 when the version is too old: list again.
            ApiUnreachableError: when the connection breaks.

        """
        query = _selectors(labels, fields) | {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(_WATCH_SECONDS),
        }
        try:
            answer = await self._send("GET", path, query, None, _JSON, _WATCH_WITHIN)
            try:
                await _check(answer, f"GET {path}")
                _keep_alive(answer)
                yield {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": resource_version}}}
                while (line := await answer.content.readline()).endswith(b"\n"):
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        raise _refusal(f"GET {path}", int(event["object"].get("code") or 0), event["object"])
                    yield event
            finally:
                answer.close()
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:  # ValueError: not a line of JSON
            raise _unreachable(f"GET {path}", error) from None

    async def close(self) -> None:
        """Close the connection."""
        await self._client.close()

    async def _json(
        self, method: str, path: str, query: Mapping[str, str], body: Any = None, content_type: str = _JSON
    ) -> Object:
        answer = await self._body(method, path, query, body, content_type)
        try:
            document = json.loads(answer)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise ApiUnreachableError(f"{method} {path}: the answer is not a JSON object, so not from an API server.")
        return document

    async def _body(
        self, method: str, path: str, query: Mapping[str, str], body: Any = None, content_type: str = _JSON
    ) -> bytes:
        if method != "GET" and self._may_write is not None and not await self._may_write():
            raise ApiError(f"{method} {path} is not sent: another operator may lead by now.")
        try:
            answer = await self._send(method, path, query, body, content_type, _ANSWER_WITHIN)
            async with answer:
                await _check(answer, f"{method} {path}")
                return await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _unreachable(f"{method} {path}", error) from None

    async def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Any,
        content_type: str,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - several timeouts in one, of aiohttp
    ) -> aiohttp.ClientResponse:
        answer: aiohttp.ClientResponse = await self._client.call_api(
            path,
            method,
            query_params=list(query.items()),
            header_params={"Accept": _JSON, "Content-Type": content_type},
            body=body,
            auth_settings=["BearerToken"],
            _preload_content=False,
            _request_timeout=timeout,
        )
        return answer


def _selectors(labels: str, fields: str) -> dict[str, str]:
    return {name: text for name, text in (("labelSelector", labels), ("fieldSelector", fields)) if text}


async def _check(answer: aiohttp.ClientResponse, request: str) -> None:
    if answer.ok:
        return
    try:
        document = json.loads(await answer.read())
    except ValueError:
        document = None
    raise _refusal(request, answer.status, document if isinstance(document, dict) else {})


def _refusal(request: str, status: int, document: Object) -> ApiError:
    reason = str(document.get("reason") or "")
    text = str(document.get("message") or reason or "no reason is given").partition(_QUOTED_INPUT)[0]
    message = f"the API server refused {request} ({status}): {text[:_LONGEST_TEXT]}"
    return ApiError(message, status=status, reason=reason)


def _unreachable(request: str, error: Exception) -> ApiUnreachableError:
    why = "no answer in time" if isinstance(error, TimeoutError) else str(error)[:_LONGEST_TEXT] or type(error).__name__
    return ApiUnreachableError(f"the API server does not answer {request}: {why}")


def _keep_alive(answer: aiohttp.ClientResponse) -> None:
    """Have the system probe the connection of a watch, on which nothing may be sent for minutes."""
    transport = answer.connection.transport if answer.connection is not None else None
    found = transport.get_extra_info("socket") if transport is not None else None
    if found is None:
        return
    found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if sys.platform == "linux":
        for name, value in _KEEP_ALIVE.items():
            found.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
