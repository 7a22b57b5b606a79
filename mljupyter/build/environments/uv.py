"""Run uv: its output arrives line by line with secrets redacted, and a run can be cancelled."""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from mljupyter.build.environments.definition import redacted
from mljupyter.build.environments.pip_settings import index_settings
from mljupyter.build.failures import BuildCancelledError, EnvironmentBuildError, hint_for
from mljupyter.files import in_home

_POLL_SECONDS = 0.1
_END_TIMEOUT_SECONDS = 5.0
# The first ones select uv's environment, which is always given on its command line here. The width of a terminal would
# wrap uv's lines, and the search for hints needs whole lines.
_NOT_INHERITED = {"COLUMNS", "CONDA_PREFIX", "PYTHONHOME", "PYTHONPATH", "UV_PYTHON", "UV_SYSTEM_PYTHON", "VIRTUAL_ENV"}
# Settings for pip also count for uv, unless the user set uv's own.
# Each has the name for uv, and the separator of uv's list.
_FROM_PIP = {
    "PIP_CERT": ("SSL_CERT_FILE", " "),
    "PIP_CONSTRAINT": ("UV_CONSTRAINT", " "),
    "PIP_EXTRA_INDEX_URL": ("UV_INDEX", " "),
    "PIP_FIND_LINKS": ("UV_FIND_LINKS", ","),
    "PIP_INDEX_URL": ("UV_DEFAULT_INDEX", " "),
    "PIP_NO_INDEX": ("UV_NO_INDEX", " "),
    "PIP_TRUSTED_HOST": ("UV_INSECURE_HOST", " "),
}
_INDEXES = {
    "PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_EXTRA_INDEX_URL", "UV_INDEX", "UV_INDEX_URL",
}  # fmt: skip
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


def uv_platform(architecture: str, *, musl: bool) -> str:
    """Return uv's name of a platform.

    >>> uv_platform("amd64", musl=False)
    'x86_64-unknown-linux-gnu'
    """
    return f"{_MACHINES.get(architecture, architecture)}-unknown-linux-{'musl' if musl else 'gnu'}"


@dataclass(frozen=True)
class Finished:
    """The result of a command: its exit status and its output, secrets redacted."""

    status: int
    lines: list[str]


@dataclass
class Uv:
    """Runs uv, or another installer, for one build.

    Parameters:
        directory: its working directory, made for this purpose: a ``pyproject.toml`` or ``uv.toml`` of the caller, or
            of another user in a directory above such as ``/tmp``, has no effect there.
        on_line: gets every line that is shown.
        cancel: an event that ends the running command with `BuildCancelledError`.
        keep_open: descriptors that children inherit, so that a lock is held until the last of them has ended.
        cache: the directory of uv's cache; None for uv's default.
        index: the only default index, such as one from a requirements file; None for that of the user's settings.
        secrets: texts that are replaced in each line of output.

    """

    directory: Path
    on_line: Callable[[str], None]
    cancel: Event | None = None
    keep_open: Sequence[int] = ()
    cache: Path | None = None
    index: str | None = None
    secrets: Sequence[str] = ()
    program: str = field(default_factory=lambda: uv_program())

    def run(
        self, *arguments: str | Path, shown: bool = True, program: str | None = None, output: Path | None = None
    ) -> Finished:
        """Run a command to its end.

        Parameters:
            arguments: the arguments of the program.
            shown: whether its lines go to `on_line`. If not, only the result has them.
            program: another program than uv.
            output: a file for its standard output. The lines are then those of standard error.

        Raises:
            BuildCancelledError: when `cancel` is set.

        """
        self.check()
        command = [program or self.program, *(str(argument) for argument in arguments)]
        (self.directory / "uv.toml").touch()  # the nearest one counts; the user's own settings stay in force
        with contextlib.ExitStack() as stack:
            target = stack.enter_context(output.open("wb")) if output is not None else None
            child = subprocess.Popen(
                command,
                cwd=self.directory,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=target or subprocess.PIPE,
                stderr=subprocess.PIPE if target else subprocess.STDOUT,
                pass_fds=tuple(self.keep_open),
                process_group=0,  # a Ctrl-C reaches this process, which ends the child with all that it has started
            )
            try:
                lines = self._follow(child, shown)
                return Finished(child.wait(), lines)
            finally:
                _end(child)

    def checked(self, step: str, *arguments: str | Path, program: str | None = None) -> Finished:
        """Run a command that must succeed.

        Raises:
            EnvironmentBuildError: with step, last lines and a hint when it fails.

        """
        finished = self.run(*arguments, program=program)
        if finished.status:
            raise failed(step, finished)
        return finished

    def hidden(self, text: str) -> str:
        """Return a text without secrets."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return redacted(text)

    def check(self) -> None:
        """Raise `BuildCancelledError` when the build was cancelled."""
        if self.cancel is not None and self.cancel.is_set():
            raise BuildCancelledError("The build was cancelled; nothing of it is left.")

    def _follow(self, child: subprocess.Popen[bytes], shown: bool) -> list[str]:
        pipe = child.stdout or child.stderr
        assert pipe is not None  # noqa: S101 (for the type checker: one of the two is a pipe)
        lines: list[str] = []
        rest = b""
        with pipe, selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            while True:
                self.check()
                if not selector.select(_POLL_SECONDS):
                    continue
                data = os.read(pipe.fileno(), 65536)
                *complete, rest = (rest + data).split(b"\n") if data else (rest, b"")
                for line in complete:
                    text = self.hidden(line.decode("utf-8", "replace").rstrip())
                    if text or data:
                        lines.append(text)
                        if shown:
                            self.on_line(text)
                if not data:
                    return [line for line in lines if line]

    def _environment(self) -> dict[str, str]:
        environment = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
        environment |= index_settings(environment)
        if self.index is not None:
            # Like pip: the index of a requirements file replaces all others. uv would ask those of its settings first.
            environment = {name: value for name, value in environment.items() if name not in _INDEXES}
            environment["UV_DEFAULT_INDEX"] = self.index
        for theirs, (ours, separator) in _FROM_PIP.items():
            if value := environment.get(theirs):
                environment.setdefault(ours, separator.join(value.split()))
        if "PIP_EXTRA_INDEX_URL" in environment:
            environment.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")
        environment |= {"NO_COLOR": "1", "UV_NO_PROGRESS": "1", "UV_PYTHON_DOWNLOADS": "never"}
        if self.cache is not None:
            environment.setdefault("UV_CACHE_DIR", str(self.cache))
        return environment


def failed(step: str, finished: Finished) -> EnvironmentBuildError:
    """Return the error for a command that failed."""
    message = f"{step} failed:" if finished.lines else f"{step} failed with exit status {finished.status}."
    return EnvironmentBuildError(message, step=step, last_lines=finished.lines, hint=hint_for(finished.lines))


def uv_program() -> str:
    """Return the path of uv: from its Python package, else from PATH.

    Raises:
        EnvironmentBuildError: when uv is not installed.

    """
    try:
        from uv import find_uv_bin

        return str(find_uv_bin())
    except (ImportError, FileNotFoundError):
        pass
    found = shutil.which("uv")
    if found is None:
        raise EnvironmentBuildError("uv, which makes environments, is not installed: pip install uv")
    return found


def cache_beside(root: Path, environment: Mapping[str, str] = os.environ) -> Path | None:
    """Return a cache in `root` if uv's own is on another file system, from which files cannot be hard-linked."""
    if environment.get("UV_CACHE_DIR"):
        return None
    usual = in_home(environment.get("XDG_CACHE_HOME"), ".cache")
    while not usual.exists():
        usual = usual.parent
    return None if usual.stat().st_dev == root.stat().st_dev else root / "cache"


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a child and the processes it started. Do nothing when it has ended already."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if child.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, number)
        deadline = time.monotonic() + _END_TIMEOUT_SECONDS
        while child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
