"""The socket of a controller tells clients whether it was stopped or has crashed."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mljupyter.controller.api.controller_socket import ControllerSocket
from mljupyter.controller.layout import RUNTIME_VARIABLE, Layout


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A directory for sockets with a short path: the system allows 107 bytes, and `tmp_path` is long."""
    with tempfile.TemporaryDirectory(prefix="mlj") as directory:
        monkeypatch.setenv(RUNTIME_VARIABLE, directory)
        yield


@pytest.mark.usefixtures("runtime")
async def test_a_controller_that_is_stopped_never_looks_as_if_it_had_crashed(tmp_path: Path) -> None:
    """A socket that takes no connections means a crash: clients that only look start the controller again then."""
    layout = Layout.of(tmp_path)
    layout.prepare()
    asked, answering = asyncio.Event(), asyncio.Event()

    async def slow(_: Request) -> Response:
        asked.set()
        await answering.wait()
        return Response("answered")

    own = ControllerSocket(layout, Starlette(routes=[Route("/", slow)]), failed=lambda _: None)
    own.bind()
    own.serve()
    reader, writer = await asyncio.open_unix_connection(str(layout.socket()))
    writer.write(b"GET / HTTP/1.1\r\nHost: controller\r\n\r\n")
    await asked.wait()
    closing = asyncio.create_task(own.close())
    while layout.socket().exists():
        with contextlib.suppress(FileNotFoundError):  # it was removed in this moment
            _, other = await asyncio.open_unix_connection(str(layout.socket()))  # refused: a crash
            other.close()
        await asyncio.sleep(0)
    answering.set()
    assert b"answered" in await reader.read()
    await closing
    writer.close()
