"""The command line with a home of its own: in a process of its own, or in this one."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mljupyter.cli import main
from mljupyter.core import InferenceConfig, Model, Workspace
from mljupyter.core.webservice import AksWebservice
from tests.waiting import COMMAND_SECONDS, HANG_SECONDS

SCRIPT = """\
import json

def init():
    print("ready to add")

def run(data):
    return [sum(row) for row in json.loads(data)["data"]]
"""


@dataclass
class Commands:
    """Runs ``mljupyter`` in a directory: in a process of its own, or in this one, which saves most of the time."""

    directory: Path
    environment: dict[str, str]
    own_process: bool = True

    def run(self, *arguments: str, standard_input: str = "", expected: int = 0) -> subprocess.CompletedProcess[str]:
        """Return what a command printed; its exit status must be the expected one."""
        done = (self._in_a_process if self.own_process else self._here)(list(arguments), standard_input)
        assert done.returncode == expected, (done.stdout, done.stderr)
        return done

    def _in_a_process(self, arguments: list[str], standard_input: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "mljupyter.cli", *arguments],
            input=standard_input,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            cwd=self.directory,
            env={**os.environ, **self.environment},
        )

    def _here(self, arguments: list[str], standard_input: str) -> subprocess.CompletedProcess[str]:
        streams = {
            name: io.TextIOWrapper(io.BytesIO(content), encoding="utf-8", write_through=True)
            for name, content in (("stdin", standard_input.encode()), ("stdout", b""), ("stderr", b""))
        }
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.directory)
            patch.setattr(sys, "argv", ["mljupyter", *arguments])
            for name, value in self.environment.items():
                patch.setenv(name, value)
            for name, stream in streams.items():
                patch.setattr(sys, name, stream)
            with pytest.raises(SystemExit) as ended:
                main()
        printed = [streams[name].buffer.getvalue().decode() for name in ("stdout", "stderr")]  # type: ignore[attr-defined]
        return subprocess.CompletedProcess(arguments, ended.value.code or 0, *printed)

    def json(self, *arguments: str, expected: int = 0) -> Any:
        """Return the JSON that a command printed."""
        return json.loads(self.run(*arguments, "--json", expected=expected).stdout)

    def failed(self, *arguments: str, status: int = 1) -> str:
        """Return the message of a command that must fail: no traceback, nothing on standard output."""
        done = self.run(*arguments, expected=status)
        assert "Traceback" not in done.stderr
        assert done.stdout == ""
        return done.stderr


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    return Commands(tmp_path, {"MLJUPYTER_HOME": str(tmp_path / "home"), "MLJUPYTER_WORKSPACE": "default"})


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    """Commands in a workspace that has the endpoint 'adder'."""
    directory = tmp_path_factory.mktemp("cli")
    environment = {"MLJUPYTER_HOME": str(directory / "home"), "MLJUPYTER_WORKSPACE": "cli-team"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLJUPYTER_HOME", environment["MLJUPYTER_HOME"])
        workspace = Workspace.create("cli-team")
        (directory / "score.py").write_text(SCRIPT)
        config = InferenceConfig(str(directory / "score.py"))
        service = Model.deploy(workspace, "adder", [], config, AksWebservice.deploy_configuration(num_replicas=1))
        service.wait_for_deployment(timeout_sec=HANG_SECONDS)
        yield Commands(directory, environment, own_process=False)
        workspace.delete(delete_dependent_resources=True)
