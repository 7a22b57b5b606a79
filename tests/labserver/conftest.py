"""One Jupyter server with the extension for all tests, with workspaces of its own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import websocket

from tests.leftovers import end_what_was_started_below
from tests.waiting import COMMAND_SECONDS, HANG_SECONDS, wait_until

TOKEN = "the-token-of-these-tests"


@dataclass(frozen=True)
class Server:
    """A running Jupyter server with the extension: its address, its token, the home of its workspaces, its process."""

    url: str
    token: str
    home: Path
    pid: int

    def client(self) -> httpx.Client:
        """Return a client of the extension's routes, with the right to use them."""
        headers = {"Authorization": f"token {self.token}"}
        return httpx.Client(base_url=f"{self.url}mljupyter/", headers=headers, timeout=HANG_SECONDS)

    @contextmanager
    def page(self) -> Iterator[Page]:
        """Connect as a page does."""
        address = f"{self.url.replace('http', 'ws', 1)}mljupyter/channel?token={self.token}"
        connection = websocket.create_connection(address, timeout=HANG_SECONDS)
        try:
            yield Page(connection)
        finally:
            connection.close()

    def sdk(self, code: str) -> str:
        """Run code with the SDK in a process that has the workspaces of the server; return its output."""
        environment = {**_own_environment(), "MLJUPYTER_HOME": str(self.home)}
        ended = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            cwd=self.home.parent,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout


class Page:
    """The end of a page: sends messages, and waits for those of a kind."""

    def __init__(self, connection: websocket.WebSocket) -> None:
        self._connection = connection

    def tell(self, **message: Any) -> None:
        """Send a message."""
        self._connection.send(json.dumps(message))

    def hear(self, accept: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return the next message that a function accepts."""
        while True:
            message = json.loads(self._connection.recv())
            if accept(message):
                return dict(message)


def _own_environment() -> dict[str, str]:
    """Return the variables of this process without the workspace that an earlier test may have chosen."""
    return {name: value for name, value in os.environ.items() if name != "MLJUPYTER_WORKSPACE"}


@contextmanager
def running(
    place: Path, *arguments: str, port: int = 0, environment: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Run a Jupyter server with the extension, with its home below a directory; its controllers outlive it.

    Parameters:
        place: the directory, which may be that of a server that has ended.
        arguments: further arguments of the server.
        port: the port; 0 for any.
        environment: further variables.

    """
    home, runtime = place / "home", place / "runtime"
    runtime.mkdir(mode=0o700, exist_ok=True)
    for left in runtime.glob("jpserver-*"):
        left.unlink()
    variables = {
        **_own_environment(),
        "MLJUPYTER_HOME": str(home),
        "JUPYTER_CONFIG_DIR": str(place / "config"),
        "JUPYTER_DATA_DIR": str(place / "data"),
        "JUPYTER_RUNTIME_DIR": str(runtime),
        "JUPYTER_TOKEN": TOKEN,
        **(environment or {}),
    }
    command = [
        *(sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root", f"--ServerApp.port={port}"),
        "--ServerApp.ip=127.0.0.1",
        "--ServerApp.jpserver_extensions={'mljupyter.labserver': True}",
        "--ServerApp.allow_unauthenticated_access=False",
        f"--ServerApp.root_dir={place}",
        *arguments,
    ]
    log = place / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=variables, stdout=output, stderr=output, cwd=place)
    try:
        found = wait_until(lambda: list(runtime.glob("jpserver-*.json")), "the Jupyter server")
        about = wait_until(lambda: _document(found[0]) or {}, "the server's address")
        wait_until(lambda: "is running at" in log.read_text(errors="replace"), "the server's start")
        wait_until(lambda: _answers(about["port"]), "the server answers: it says that it runs a moment before")
        yield Server(about["url"], TOKEN, home, process.pid)
    finally:
        with suppress(psutil.NoSuchProcess):
            process.kill()
        process.wait(HANG_SECONDS)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Jupyter server in its own home."""
    place = tmp_path_factory.mktemp("jupyter")
    try:
        with running(place) as found:
            yield found
    finally:
        end_what_was_started_below(place / "home")


@pytest.fixture
def new_server(tmp_path: Path) -> Iterator[Server]:
    """A Jupyter server without any workspace."""
    try:
        with running(tmp_path) as found:
            yield found
    finally:
        end_what_was_started_below(tmp_path / "home")


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), HANG_SECONDS).close()
    except OSError:
        return False
    return True


def _document(path: Path) -> dict[str, Any] | None:
    try:
        return dict(json.loads(path.read_text()))
    except ValueError:
        return None
