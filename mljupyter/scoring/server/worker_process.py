"""The server's handle on a worker process that it starts: arguments, environment, end, kill."""

# ruff: noqa: PTH118, PTH120
# pathlib takes 3 ms to import, and every start of a replica would pay them in both processes.
from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec

import mljupyter
from mljupyter.scoring.configuration import Configuration
from mljupyter.scoring.logs import log_context
from mljupyter.scoring.logs.capture import PRINT, STDERR, LogCapture
from mljupyter.scoring.protocol import FAST_JSON_PACKAGE
from mljupyter.scoring.server.memory_limit import explained, killed_for_memory

WORKER_PYTHONPATH = "MLJUPYTER_WORKER_PYTHONPATH"
"""The PYTHONPATH for another interpreter; the server's own would bring modules made for the server's Python."""
_OF_OUR_PYTHON = ("CONDA_PREFIX", "PYTHONHOME", "PYTHONPATH", "PYTHONSAFEPATH", "VIRTUAL_ENV")
_BATCHING = {None: "0", True: "1", False: "2"}  # as in `worker.batches`


class WorkerProcess:
    """A worker process that this server has started. `socket` is the server's end of the socket pair.

    The worker leads a process group of its own: Ctrl-C in the terminal reaches the server only, and processes that the
    script has started end with the worker. With `preload` it becomes a private zygote if that is safe, otherwise it
    serves. With `listener` it becomes the shared zygote of all servers that connect there, or ends.
    """

    def __init__(
        self, configuration: Configuration, log: LogCapture, preload: bool, listener: socket.socket | None = None
    ) -> None:
        self._killed_before = killed_for_memory()
        self.socket, theirs = socket.socketpair()
        self.socket.setblocking(False)
        out_reader, out_writer = os.pipe()
        error_reader, error_writer = os.pipe()
        command, environment, directory = _how_to_start(configuration)
        shared = -1 if listener is None else listener.fileno()
        try:
            self._process = subprocess.Popen(
                [
                    *command,
                    *(str(theirs.fileno()), str(os.getpid()), str(configuration.concurrency)),
                    *(_BATCHING[configuration.batching], str(int(preload)), str(shared)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=out_writer,
                stderr=error_writer,
                pass_fds=(theirs.fileno(), *([] if listener is None else [shared])),
                env={
                    **environment,
                    **configuration.script_environment(),
                    log_context.VARIABLE: "1" if configuration.insights else "",
                },
                cwd=directory,
                process_group=0,
            )
        except BaseException:
            self.socket.close()
            for reader in (out_reader, error_reader):
                os.close(reader)
            raise
        finally:
            theirs.close()
            os.close(out_writer)
            os.close(error_writer)
        self.pid = self._process.pid
        self._reaping = threading.Lock()
        log.add(out_reader, self.pid, PRINT)
        log.add(error_reader, self.pid, STDERR)

    def watch(self, on_exit: Callable[[], None]) -> None:
        """Call `on_exit` from another thread when the process has ended and is reaped."""
        threading.Thread(target=self._wait, args=(on_exit,), name=f"wait-{self.pid}", daemon=True).start()

    def kill(self) -> None:
        """Kill the worker and the processes it has started; do nothing when it has ended already."""
        with self._reaping:
            if self._process.returncode is None:
                self._signal_group()

    def dump_stacks(self) -> None:
        """Let the worker write the stacks of all its threads to the log, even while code holds its interpreter lock."""
        with self._reaping:
            if self._process.returncode is None:
                os.kill(self.pid, signal.SIGUSR1)

    def describe_end(self) -> str:
        """Return how the process ended, for messages: `was killed by SIGSEGV`, `ended with exit status 1`."""
        said = describe_status(self._process.returncode)
        if self._process.returncode == -signal.SIGKILL and killed_for_memory() > self._killed_before:
            return f"{said} {explained()}"
        return said

    def _wait(self, on_exit: Callable[[], None]) -> None:
        if hasattr(os, "waitid"):
            # It stays a zombie at first, so that no other group can get its process id while its children are killed.
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
            self._signal_group()
        with self._reaping:
            self._process.wait()
        on_exit()

    def _signal_group(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)


def _how_to_start(configuration: Configuration) -> tuple[list[str], dict[str, str], str | None]:
    """Return the worker's command without arguments, its environment, and its directory (None for the server's)."""
    other = configuration.worker_python
    if other is None:
        root = os.path.dirname(mljupyter.__path__[0])
        # -P keeps modules of the current directory off the path, unless this package itself was found there.
        from_here = not sys.flags.safe_path and sys.path[0] == root
        module = ("-m", "mljupyter.scoring.worker.worker")
        command = [sys.executable, "-u", *([] if from_here else ["-P"]), *module]
        return command, dict(os.environ), root if from_here else None
    environment = {name: value for name, value in os.environ.items() if name not in _OF_OUR_PYTHON}
    # As in an activated environment, the script finds the programs beside its own interpreter first.
    environment["PATH"] = os.pathsep.join((os.path.dirname(other), os.environ.get("PATH", os.defpath)))
    if own := environment.pop(WORKER_PYTHONPATH, ""):
        environment["PYTHONPATH"] = own
    if package := _fast_json_package():
        environment[FAST_JSON_PACKAGE] = package
    bootstrap = os.path.join(os.path.dirname(os.path.dirname(__file__)), "worker_bootstrap.py")
    return [other, "-u", bootstrap], environment, None


@cache
def _fast_json_package() -> str:
    """Return the directory of the server's msgspec; empty if there is none. The worker checks whether it can use it."""
    found = find_spec("msgspec")
    return "" if found is None or found.origin is None else os.path.dirname(found.origin)


def describe_status(status: int | None) -> str:
    """Return how a process ended: `was killed by SIGSEGV`, `ended with exit status 1`."""
    if status is None:
        return "is still running"
    if status >= 0:
        return f"ended with exit status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"
