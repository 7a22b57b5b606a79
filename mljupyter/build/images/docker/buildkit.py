"""BuildKit builds with `docker buildx`: the Docker SDK does not support BuildKit's protocol."""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import shutil
import signal
import subprocess
import time
from typing import IO, TYPE_CHECKING

from mljupyter.build.images.builder import failed
from mljupyter.build.images.events import BuildLog
from mljupyter.build.images.plan.dockerfile import STAGE_PREFIX

if TYPE_CHECKING:
    import docker

_POLL_SECONDS = 0.1
_END_TIMEOUT_SECONDS = 10.0
# Lines of its plain progress: `#8 [environment 2/3] RUN ...`, `#8 1.234 text`, `#8 DONE 1.5s`, `#8 ERROR: ...`.
_VERTEX = re.compile(r"#(?P<number>\d+) \[(?P<stage>[^\]]+?)(?: \d+/\d+)?\] (?P<text>.*)")
_OUTPUT = re.compile(r"#(?P<number>\d+) (?:\d+\.\d+ )?(?P<text>.*)")
_BY_ITSELF = {"internal": "context", "auth": "base image"}


def offered(client: docker.DockerClient) -> bool:
    """Return whether to build with BuildKit: the engine prefers it, and Docker's command line here has ``buildx``.

    ``DOCKER_BUILDKIT`` overrides the engine's preference, as for Docker's own command line: 1 for engines from 18.09
    on, which have BuildKit and do not prefer it, 0 for the classic builder.
    """
    docker_program = shutil.which("docker")
    wanted = os.environ.get("DOCKER_BUILDKIT", "").lower()
    if docker_program is None or wanted in ("0", "false"):
        return False
    response = client.api.get(f"{client.api.base_url}/_ping")
    if response.headers.get("Builder-Version") != "2" and wanted not in ("1", "true"):
        return False
    command = [docker_program, "buildx", "version"]
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=10).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def run(
    context: IO[bytes], tag: str | None, platform: str, log: BuildLog, url: str | None, program: str = "docker"
) -> None:
    """Build a context on the engine; raises `BuildFailedError` and `BuildCancelledError`.

    Without a tag, the result stays in the cache. The context is an archive. From a directory, BuildKit would take over
    the file modes, which allow only us to read.
    """
    command = [
        *(program, "buildx", "build", "--progress", "plain", "--platform", platform, "--provenance", "false"),
        *(("--load", "--tag", tag) if tag is not None else ("--output", "type=cacheonly")),
        "-",
    ]
    environment = {**os.environ, "BUILDX_NO_DEFAULT_ATTESTATIONS": "1", "SOURCE_DATE_EPOCH": "0"}
    if url is not None:
        environment["DOCKER_HOST"] = url
    child = subprocess.Popen(
        command,
        env=environment,
        stdin=context,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        process_group=0,
    )
    try:
        reason = _follow(child, log)
        if child.wait():
            raise failed(log, reason or f"docker buildx ended with exit status {child.returncode}")
    finally:
        _end(child)
    log.end("succeeded")


def _follow(child: subprocess.Popen[bytes], log: BuildLog) -> str:
    """Log the output of a build. Return its message about a failure, empty without one."""
    pipe = child.stdout
    if pipe is None:
        return ""
    stages: dict[str, str] = {}
    reason, rest = "", b""
    with pipe, selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while True:
            log.raise_if_cancelled()
            if not selector.select(_POLL_SECONDS):
                continue
            data = os.read(pipe.fileno(), 65536)
            *complete, rest = (rest + data).split(b"\n") if data else (rest, b"")
            for raw in complete:
                line = raw.decode("utf-8", "replace").rstrip()
                if line.startswith("ERROR: "):
                    reason = log.redacted(line.removeprefix("ERROR: "))
                _log_line(line, stages, log)
            if not data:
                return reason


def _log_line(line: str, stages: dict[str, str], log: BuildLog) -> None:
    vertex = _VERTEX.fullmatch(line)
    if vertex:
        first = vertex["stage"].split()[0].removeprefix(STAGE_PREFIX)
        stages[vertex["number"]] = _BY_ITSELF.get(first, "image" if re.match(r"stage-\d", first) else first)
        _enter(stages[vertex["number"]], log)
        log.line(vertex["text"])
        return
    output = _OUTPUT.fullmatch(line)
    if output:
        # Stages run side by side: a line belongs to the stage of its number.
        _enter(stages.get(output["number"], log.current_stage), log)
        log.line(output["text"])
    else:
        log.line(line)


def _enter(stage: str, log: BuildLog) -> None:
    if stage != log.current_stage:
        log.begin(stage)


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a child and the processes it started. Do nothing when it has ended already."""
    for number in (signal.SIGINT, signal.SIGKILL):
        if child.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, number)
        deadline = time.monotonic() + _END_TIMEOUT_SECONDS
        while child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
