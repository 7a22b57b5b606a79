"""A small HTTP server that speaks list and watch, and fails as a test tells it to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

PATH = "/api/v1/namespaces/tests/pods"


class ListWatchServer:
    """Has objects with resource versions, and streams their changes.

    Attributes:
        lists, watches: the number of requests so far.
        versions: the resource version that each watch began with.
        failures: statuses of the next answers, before it answers well again.
        forbidden: paths that are not answered.
        queries: the query of each request.
        page: the number of objects of an answer; the rest follows by a token.

    """

    def __init__(self) -> None:
        self._objects: dict[str, dict[str, Any]] = {}
        self._version = 100
        self._streams: list[asyncio.Queue[dict[str, Any] | None]] = []
        self.lists = self.watches = 0
        self.versions: list[str] = []
        self.failures: list[int] = []
        self.forbidden: set[str] = set()
        self.queries: list[dict[str, str]] = []
        self.authorizations: list[str | None] = []
        self.page = 500

    def put(self, name: str, *, uid: str = "1", silent: bool = False, **content: Any) -> None:
        """Create or change an object, with further fields; `silent`: no watch notices."""
        self._version += 1
        kind = "MODIFIED" if name in self._objects else "ADDED"
        metadata = {"name": name, "uid": uid, "resourceVersion": str(self._version)}
        self._objects[name] = {**content, "metadata": metadata}
        if not silent:
            self.send(kind, self._objects[name])

    def remove(self, name: str, *, silent: bool = False) -> None:
        """Delete an object."""
        self._version += 1
        item = self._objects.pop(name)
        item["metadata"]["resourceVersion"] = str(self._version)
        if not silent:
            self.send("DELETED", item)

    def bookmark(self) -> None:
        """Send a bookmark of a newer version, as other kinds of objects change it."""
        self._version += 10
        self.send("BOOKMARK", {"metadata": {"resourceVersion": str(self._version)}})

    def expire(self) -> None:
        """Tell watches that their version is too old."""
        self.send("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"})

    def send(self, kind: str, item: dict[str, Any]) -> None:
        """Send an event to all watches."""
        for stream in self._streams:
            stream.put_nowait({"type": kind, "object": json.loads(json.dumps(item))})

    def break_streams(self) -> None:
        """Cut the connections of all watches."""
        for stream in self._streams:
            stream.put_nowait(None)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a list or a watch."""
        self.queries.append(dict(request.query))
        self.authorizations.append(request.headers.get("authorization"))
        if request.path in self.forbidden:
            return web.json_response({"kind": "Status", "reason": "Forbidden", "message": "no right"}, status=403)
        if self.failures:
            status = self.failures.pop(0)
            return web.json_response({"kind": "Status", "reason": "Because", "message": "not now"}, status=status)
        if "watch" in request.query:
            return await self._stream(request)
        self.lists += 1
        found = sorted(self._objects.values(), key=lambda item: str(item["metadata"]["name"]))
        first = int(request.query.get("continue", "0"))
        metadata = {"resourceVersion": str(self._version)}
        if first + self.page < len(found):
            metadata["continue"] = str(first + self.page)
        return web.json_response({"metadata": metadata, "items": found[first : first + self.page]})

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        self.watches += 1
        self.versions.append(request.query["resourceVersion"])
        answer = web.StreamResponse()
        answer.enable_chunked_encoding()
        events: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._streams.append(events)
        try:
            await answer.prepare(request)
            while (event := await events.get()) is not None:
                await answer.write(json.dumps(event).encode() + b"\n")
            assert request.transport is not None
            request.transport.abort()
            return answer
        finally:
            self._streams.remove(events)


@asynccontextmanager
async def served(server: ListWatchServer, directory: Path) -> AsyncIterator[Path]:
    """Serve, and yield a kubeconfig."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    file = directory / "kubeconfig"
    file.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "tests",
                "clusters": [{"name": "tests", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
                "users": [{"name": "tests", "user": {"token": "the-token"}}],
                "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
            }
        )
    )
    try:
        yield file
    finally:
        server.break_streams()
        with suppress(asyncio.CancelledError):
            await runner.cleanup()
