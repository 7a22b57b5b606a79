"""Run a scoring script once on a sample, in a child process of the same interpreter."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mljupyter.notebook import sample_child
from mljupyter.notebook.script_check import ScoringScriptError

_FRAME = re.compile(r'^  File "(?P<file>.+)", line (?P<line>\d+), in (?P<function>.+)$')
_RECORD = "\x1e"
_MOST_OUTPUT_LINES = 3


def run_sample(script: Path, app_root: Path, sample: str, environment: Mapping[str, str], timeout: float) -> Any:
    """Return the result of ``run(sample)`` after ``init()``, as a client would read it.

    Parameters:
        script: the scoring script, below the app root.
        app_root: the working directory of the script, as in a replica.
        sample: the request's text.
        environment: additional environment variables, such as ``AZUREML_MODEL_DIR``.
        timeout: seconds that import, ``init()`` and ``run(sample)`` may take together.

    Raises:
        ScoringScriptError: it failed or took too long; the message has the line of the script.

    """
    with tempfile.TemporaryDirectory(prefix="mljupyter-sample-") as directory:
        sample_path, answer_path = Path(directory, "sample"), Path(directory, "answer")
        sample_path.write_text(sample, encoding="utf-8")
        root = str(Path(sample_child.__file__).parents[1])
        command = [sys.executable, "-u", "-P", sample_child.__file__, root, str(sample_path), str(answer_path)]
        contract = {"AML_APP_ROOT": str(app_root), "AZUREML_ENTRY_SCRIPT": str(script.relative_to(app_root))}
        # Without standard input, and the leader of a process group: child processes of the script end with it.
        process = subprocess.Popen(
            command,
            cwd=app_root,
            env={**os.environ, **contract, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            encoding="utf-8",
            errors="replace",
        )
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            raise ScoringScriptError(
                f"The script took longer than {timeout:g} s for init() and run(sample). "
                "Give it more time with --timeout, or no --sample to check it without running it."
            ) from None
        finally:
            _end_group(process)
        if not answer_path.is_file():
            raise ScoringScriptError(_died_text(process.returncode, output))
        answer = json.loads(answer_path.read_text(encoding="utf-8"))
    if "stage" in answer:
        text = _failure_text(answer["stage"], answer["message"], output, str(script))
        raise ScoringScriptError(text.replace(f"{app_root}/", ""))
    return answer["result"]


def _end_group(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    if process.stdout:
        process.stdout.close()
    process.wait()


def _died_text(status: int, output: str) -> str:
    how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended its process with status {status}"
    lines = [f"  {line}" for line in output.splitlines() if line.strip()][-_MOST_OUTPUT_LINES:]
    return "\n".join([f"The script {how}.{' Last lines:' if lines else ''}", *lines])


def _failure_text(stage: str, message: str, output: str, script: str) -> str:
    """Return the exception and the line of the script that led to it, as three lines."""
    # Not splitlines(): it would also split at the mark.
    trace = [line.split(" ", 2)[2] for line in output.split("\n") if line.startswith(_RECORD)]
    raised = next((line for line in reversed(trace) if line and not line.startswith(" ")), "")
    frame: tuple[str, str] | None = None
    for number, line in enumerate(trace):
        match = _FRAME.match(line)
        if match and match["file"] == script:
            code = trace[number + 1].strip() if number + 1 < len(trace) else ""
            frame = (match["line"], code)
        elif stage == "the script" and line.startswith(f'  File "{script}"'):
            frame = (line.rpartition(" ")[2], "")
    if frame is None:
        return f"{stage} failed: {message}."
    return "\n".join(
        filter(None, [f"{stage} failed on line {frame[0]} of the cell:", f"  {frame[1]}".rstrip(), raised])
    )
