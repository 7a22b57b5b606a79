"""What is compared, behind one interface: `OurSystem` in `ours`, and here the other servers as systems."""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import psutil

from benchmarks.serving import processes
from benchmarks.serving.environments import UnavailableError, environment, packages
from benchmarks.serving.peer import SHARED_REQUIREMENTS, Peer, Site
from benchmarks.serving.server import Server
from benchmarks.serving.workloads import SERVED, Workload

_GRACE_SECONDS = 3.0
_LOG_LINES = 4
_IMPORTS = 3
_BARE = "import sys, stand_in_models; stand_in_models.once(sys.argv[1], sys.argv[2])"


class System(Protocol):
    """Something that serves a workload: ours or a peer, with or without batching."""

    name: str
    title: str
    setting: str
    batching: bool
    runs_at_once: int | None
    proxy: bool

    def prepare(self) -> None:
        """Install what is needed, or raise `UnavailableError`."""

    def version(self) -> str:
        """Return the version of the server."""

    def packages(self) -> list[str]:
        """Return what is installed where it runs."""

    def serve(self, workload: Workload, directory: Path) -> AbstractContextManager[Server]:
        """Start it with a workload in an empty directory; end it with the block."""

    def import_seconds(self, workload: Workload, directory: Path) -> float:
        """Return how long the bare model takes in the same interpreter (`import_seconds`)."""


_measured_imports: dict[tuple[Path, str], float] = {}


def import_seconds(python: Path, workload: Workload, directory: Path) -> float:
    """Return the time of a new interpreter that loads the model and calls it once; the median of some runs.

    It is measured once for each interpreter and workload, and remembered.
    """
    key = (python, workload.name)
    if key not in _measured_imports:
        command = [str(python), "-c", _BARE, str(workload.save(directory)), workload.form]
        variables = {"PYTHONPATH": str(SERVED), "OMP_NUM_THREADS": "1"}
        times = []
        for _ in range(_IMPORTS):
            began = time.perf_counter()
            subprocess.run(command, env=variables, check=True)
            times.append(time.perf_counter() - began)
        _measured_imports[key] = statistics.median(times)
    return _measured_imports[key]


class PeerSystem:
    """Another model server in its own environment.

    Parameters:
        peer: which.
        cache: where environments are kept.

    """

    def __init__(self, peer: Peer, cache: Path) -> None:
        self.name, self.title, self.setting, self.batching = peer.name, peer.title, peer.setting, peer.batching
        self.runs_at_once, self.proxy = peer.runs_at_once, peer.proxy
        self._peer = peer
        self._cache = cache

    def prepare(self) -> None:
        """Make the environment, or raise `UnavailableError`."""
        self._python()

    def version(self) -> str:
        """Return the pinned version."""
        return self._peer.version

    def packages(self) -> list[str]:
        """Return what is installed in its environment."""
        return packages(self._python())

    def import_seconds(self, workload: Workload, directory: Path) -> float:
        """Return how long the bare model takes in its environment."""
        return import_seconds(self._python(), workload, directory)

    @contextlib.contextmanager
    def serve(self, workload: Workload, directory: Path) -> Iterator[Server]:
        """Start the server as one child process; end that and all its descendants with the block."""
        peer, log = self._peer, directory / "server.log"
        exchange = peer.exchanges[workload.form]
        if isinstance(exchange, str):
            raise UnavailableError(exchange)
        site = Site(
            self._python(), directory, workload.save(directory), processes.free_port(), peer.batching, workload.form
        )
        variables = site.environment(peer.variables)
        if (preparation := peer.prepare(site)) is not None:
            subprocess.run(preparation, cwd=directory, env=variables, check=True, capture_output=True)
        command = peer.command(site)
        with log.open("wb") as output:
            began = time.perf_counter()
            child = subprocess.Popen(command, cwd=directory, env=variables, stdout=output, stderr=output)
        root = psutil.Process(child.pid)
        seen: dict[int, psutil.Process] = {}

        def members() -> list[psutil.Process]:
            seen.update({process.pid: process for process in processes.tree([root, *seen.values()])})
            return list(seen.values())

        try:
            yield Server(
                url=f"http://127.0.0.1:{site.port}{exchange.route or peer.route}",
                request=exchange.request(workload.data),
                read=exchange.decode,
                began=began,
                processes=members,
                ended=lambda: None if child.poll() is None else _last_lines(log, child.returncode),
            )
        finally:
            members()
            child.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(_GRACE_SECONDS)
            processes.end(members(), _GRACE_SECONDS)

    def _python(self) -> Path:
        return environment(self._cache, self._peer.name.removesuffix("-batching"), self._requirements())

    def _requirements(self) -> tuple[str, ...]:
        return (*self._peer.requirements, *SHARED_REQUIREMENTS)


def _last_lines(log: Path, status: int) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return f"exit status {status}; " + " | ".join(lines[-_LOG_LINES:])[-400:]
