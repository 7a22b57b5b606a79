"""A real replica on a Unix socket in a short temporary directory."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.waiting import HANG_SECONDS, wait_until

ECHO = """
def init():
    pass

def run(data):
    return data
"""


class Replica:
    """A started `python -m mljupyter.scoring` and a client for it."""

    def __init__(
        self,
        directory: Path,
        script: str | None,
        *flags: str,
        environment: dict[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.directory = directory
        self.socket = directory / "s"
        self.log_file = directory / "log"
        if script is not None:
            (directory / "score.py").write_text(textwrap.dedent(script))
        arguments = ["--unix-socket", str(self.socket), "--log-file", str(self.log_file), *flags]
        if script is not None:
            arguments = ["--entry-script", "score.py", *arguments]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mljupyter.scoring", *arguments],
            cwd=cwd or directory,
            env={**os.environ, **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.client = self.new_client()

    def new_client(self) -> httpx.Client:
        transport = httpx.HTTPTransport(uds=str(self.socket), limits=httpx.Limits(max_connections=200))
        return httpx.Client(transport=transport, base_url="http://replica")

    def health(self) -> int:
        try:
            return self.client.get("/").status_code
        except httpx.TransportError:
            return 0

    def wait_ready(self) -> Replica:
        def ready() -> bool:
            if self.process.poll() is not None:
                raise AssertionError(f"the replica ended with {self.process.returncode}:\n{self.log()}")
            return self.health() == 200

        wait_until(ready, "the replica's readiness")
        return self

    def score(self, body: str | bytes = "", **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post("/score", content=body, headers=named)

    def state(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.client.get("/-/state").json()
        return answer

    def log(self) -> str:
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def wait_log(self, text: str) -> str:
        wait_until(lambda: text in self.log(), f"{text!r} in the log")
        return self.log()

    def worker_pid(self) -> int:
        pid = wait_until(lambda: self.state()["worker_pid"], "the worker's pid")
        assert isinstance(pid, int)
        return pid

    def wait_exit(self) -> int:
        return self.process.wait(HANG_SECONDS)

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def end(self) -> None:
        self.client.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(HANG_SECONDS)
        assert self.process.stdout is not None
        self.process.stdout.close()


def is_alive(pid: int) -> bool:
    """Whether a process exists and is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def now_ms(age_ms: float = 0) -> str:
    """What the router puts into x-mlj-start for a request it took `age_ms` ago."""
    return str(int(time.time() * 1000 - age_ms))


@pytest.fixture
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mlj") as path:
        yield Path(path)


@pytest.fixture
def launch(directory: Path) -> Iterator[Callable[..., Replica]]:
    """Start replicas without waiting for them; they end with the test."""
    with contextlib.ExitStack() as stack:

        def start(script: str | None = ECHO, *flags: str, environment: dict[str, str] | None = None) -> Replica:
            replica = Replica(directory, script, *flags, environment=environment)
            stack.callback(replica.end)
            return replica

        yield start


@pytest.fixture
def serve(launch: Callable[..., Replica]) -> Callable[..., Replica]:
    """Start replicas and wait until they are ready."""

    def start(script: str | None = ECHO, *flags: str, environment: dict[str, str] | None = None) -> Replica:
        return launch(script, *flags, environment=environment).wait_ready()

    return start


@pytest.fixture(scope="module")
def echo() -> Iterator[Replica]:
    """One replica for all tests of a module that only ask it things."""
    with tempfile.TemporaryDirectory(prefix="mlj") as path:
        replica = Replica(Path(path), ECHO, "--max-body-bytes", "300000")
        try:
            yield replica.wait_ready()
        finally:
            replica.end()
