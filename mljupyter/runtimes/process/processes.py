"""Processes of this user: find them by command line, identify them by their start, and wait for their end."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psutil

from mljupyter.process_start import start_mark

_LOOK_EVERY = 0.25


@dataclass(frozen=True)
class Identity:
    """A process: its pid and the mark of its start, since the system uses pids again. No process has the mark ''."""

    pid: int
    start: str

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """Return the identity of a running process, or None when there is none."""
        try:
            return cls(pid, start_mark(pid))
        except ProcessLookupError:
            return None

    @classmethod
    def of_child(cls, pid: int) -> Identity:
        """Return the identity of a process that was just started; one that is not alive if it has ended already."""
        return cls.of(pid) or cls(pid, "")

    @property
    def started_time(self) -> float:
        """The start in seconds since the epoch, by the present clock of the machine; now if it has ended."""
        try:
            return psutil.Process(self.pid).create_time()
        except psutil.Error:
            return time.time()

    def __str__(self) -> str:
        """Return it as text, for example to tell counters of two processes apart."""
        return f"{self.pid}@{self.start}"

    def alive(self) -> bool:
        """Return whether this process still runs, and its pid was not reused by another one."""
        try:
            return start_mark(self.pid) == self.start and psutil.Process(self.pid).status() != psutil.STATUS_ZOMBIE
        except (ProcessLookupError, psutil.Error):
            return False

    def signal(self, number: int) -> None:
        """Send a signal to this process if it still runs; never to another one with its pid."""
        if self.alive():
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return


def find(
    matches: Callable[[list[str]], bool], *, also_in_containers: bool = False
) -> Iterator[tuple[Identity, list[str]]]:
    """Yield the processes of this user whose command line matches.

    Processes in containers are skipped: their user can have the same number as this user, while a script of another
    user chooses their command lines.

    Parameters:
        matches: decides about a command line.
        also_in_containers: skip none; for uses where a wrong match does no harm.

    """
    user, depth = os.getuid(), _depth("self")
    for process in psutil.process_iter():
        try:
            command = process.cmdline()
            if not matches(command):  # first, since everything else about a process costs another file to read
                continue
            ours = process.uids().real == user and process.status() != psutil.STATUS_ZOMBIE
            if ours and (also_in_containers or _depth(process.pid) == depth):
                yield Identity(process.pid, start_mark(process.pid)), command
        except (ProcessLookupError, psutil.Error):
            continue


def option(command: list[str], name: str) -> str | None:
    """Return the value of an option in a command line; None when it has no such option.

    Example:
        >>> option(["envoy", "--config-path", "/a.json"], "--config-path"), option(["less", "/a.json"], "--config-path")
        ('/a.json', None)

    """
    try:
        return command[command.index(name) + 1]
    except (ValueError, IndexError):
        return None


def _depth(process: int | str) -> int | None:
    """Return how many PID namespaces a process is in; None when it is gone, or the system has no namespaces."""
    try:
        with open(f"/proc/{process}/status", encoding="utf-8", errors="replace") as status:  # noqa: PTH123
            return next((len(line.split()) for line in status if line.startswith("NSpid:")), None)
    except OSError:
        return None


async def ended(identity: Identity, child: subprocess.Popen[bytes] | None) -> int | None:
    """Wait until a process has ended; return its exit status, or None if it is not a child of this process."""
    await _gone(identity, child)
    return child.wait() if child is not None else None


async def _gone(identity: Identity, child: subprocess.Popen[bytes] | None) -> None:
    def over() -> bool:
        return child.poll() is not None if child is not None else not identity.alive()

    if over():
        return
    try:
        descriptor = os.pidfd_open(identity.pid)
    except (AttributeError, OSError):  # not Linux, or it has just ended
        while not over():  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(_LOOK_EVERY)
        return
    loop = asyncio.get_running_loop()
    event = asyncio.Event()
    loop.add_reader(descriptor, event.set)
    try:
        if not over():  # it was still that process when the descriptor was opened
            await event.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
