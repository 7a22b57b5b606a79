"""Find processes by their command line, tell them from later ones with the same pid, wait for their end."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psutil

_LOOK_EVERY = 0.25


@dataclass(frozen=True)
class Identity:
    """A process: its pid, and when it started, since pids are used again."""

    pid: int
    started_time: float

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """Return the identity of a running process, or None when there is none."""
        try:
            return cls(pid, psutil.Process(pid).create_time())
        except psutil.Error:
            return None

    def alive(self) -> bool:
        """Return whether this very process still runs."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started_time) < 0.01
            return bool(same and process.status() != psutil.STATUS_ZOMBIE)
        except psutil.Error:
            return False

    def signal(self, number: int) -> None:
        """Send a signal to this very process, if it still runs."""
        if self.alive():
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return


def find(matches: Callable[[list[str]], bool]) -> Iterator[tuple[Identity, list[str]]]:
    """Yield the processes of this user whose command line matches."""
    user = os.getuid()
    for process in psutil.process_iter():
        try:
            if process.uids().real != user:
                continue
            command = process.cmdline()
            if matches(command) and process.status() != psutil.STATUS_ZOMBIE:
                yield Identity(process.pid, process.create_time()), command
        except psutil.Error:
            continue


async def ended(identity: Identity, child: subprocess.Popen[bytes] | None) -> int | None:
    """Wait until a process has ended; return its exit status if it is a child of ours, else None."""
    await _gone(identity, child)
    return child.wait() if child is not None else None


async def _gone(identity: Identity, child: subprocess.Popen[bytes] | None) -> None:
    def over() -> bool:
        return child.poll() is not None if child is not None else not identity.alive()

    if over():
        return
    try:
        descriptor = os.pidfd_open(identity.pid)
    except (AttributeError, OSError):  # not Linux, or gone in this very moment
        while not over():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(_LOOK_EVERY)
        return
    loop = asyncio.get_running_loop()
    event = asyncio.Event()
    loop.add_reader(descriptor, event.set)
    try:
        if not over():  # the pid was ours when the descriptor was opened
            await event.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
