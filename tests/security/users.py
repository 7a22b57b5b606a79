"""Runs code as other users of this machine: real user ids, which need no accounts. Only root can."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.waiting import HANG_SECONDS

VICTIM, ATTACKER = 7001, 7002
needs_root = pytest.mark.skipif(
    os.getuid() != 0,
    reason="it runs code as two other users: run it as root, with sudo or in a container",
)


def become(user: int) -> None:
    """Let this process be another user, with no way back."""
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    os.environ["HOME"] = "/nonexistent"


def run_as(user: int, code: Callable[[], object]) -> None:
    """Run a function in a child process that belongs to another user; fail with its traceback where it raises."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(int(HANG_SECONDS))
        try:
            become(user)
            code()
        except BaseException:
            os.write(writer, traceback.format_exc()[-60_000:].encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as said:
        text = said.read().decode()
    _, status = os.waitpid(child, 0)
    if text or status:
        raise AssertionError(text or f"the child ended with status {status}")


@contextmanager
def running_as(user: int, code: Callable[[Callable[[], None]], object]) -> Iterator[None]:
    """Run a function as another user meanwhile; the block begins when it has called the function given to it."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            become(user)
            code(lambda: os.close(writer) if os.write(writer, b"+") else None)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(writer)
    try:
        with os.fdopen(reader, "rb") as ready:
            assert ready.read(1) == b"+", "the other user's process ended before it was ready"
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


@pytest.fixture
def commons() -> Iterator[Path]:
    """A directory like ``/tmp``, in which everybody may write; its path is short enough for sockets."""
    directory = Path(tempfile.mkdtemp(prefix="mlj-commons-"))
    directory.chmod(0o1777)
    yield directory
    shutil.rmtree(directory)
