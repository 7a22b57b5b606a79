"""Interpreters without the SDK: this one for a test, and a virtual environment of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import mljupyter
from mljupyter.azureml import hook
from mljupyter.azureml.installation import FILE_NAME
from mljupyter.core.workspace import use_without_config
from tests.waiting import COMMAND_SECONDS


@pytest.fixture
def names() -> Iterator[None]:
    """The hook in this interpreter; afterwards nothing of it is left."""
    hook.install()
    yield
    hook.uninstall()
    use_without_config(None)
    for name in [name for name in sys.modules if name.partition(".")[0] == "azureml"]:
        del sys.modules[name]


@dataclass(frozen=True)
class Interpreter:
    """The Python of a virtual environment that finds mljupyter and its requirements."""

    executable: Path
    packages: Path
    home: Path

    def run(
        self, *arguments: str, expected: int = 0, cwd: Path | None = None, path: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run it with arguments, and return what it printed; `path` precedes its import path."""
        variables = {**os.environ, "MLJUPYTER_HOME": str(self.home)}
        if path is not None:
            variables["PYTHONPATH"] = str(path)
        done = subprocess.run(
            [self.executable, *arguments],
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            cwd=cwd or self.home,
            env=variables,
        )
        assert done.returncode == expected, (done.stdout, done.stderr)
        return done

    def prints(self, code: str, *, path: Path | None = None) -> str:
        """Return what code prints."""
        return self.run("-c", code, path=path).stdout.strip()

    def azureml(self, *arguments: str) -> str:
        """Return what ``mljupyter azureml`` prints."""
        return self.run("-m", "mljupyter.cli", "azureml", *arguments).stdout


@pytest.fixture(scope="module")
def module_interpreter(tmp_path_factory: pytest.TempPathFactory) -> Interpreter:
    place = tmp_path_factory.mktemp("environment")
    venv.create(place / "venv", symlinks=True)
    executable = place / "venv" / "bin" / "python"
    packages = Path(
        sysconfig.get_path("purelib", "venv", {"base": str(place / "venv"), "platbase": str(place / "venv")})
    )
    paths = [Path(mljupyter.__file__).parent.parent, sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    (packages / "project.pth").write_text("".join(f"{path}\n" for path in paths))
    (place / "home").mkdir()
    return Interpreter(executable, packages, place / "home")


@pytest.fixture
def interpreter(module_interpreter: Interpreter) -> Iterator[Interpreter]:
    """An interpreter whose environment has the hook disabled."""
    yield module_interpreter
    (module_interpreter.packages / FILE_NAME).unlink(missing_ok=True)


@pytest.fixture(scope="module")
def file_of_the_hook(module_interpreter: Interpreter) -> str:
    """The text of the file that enables the hook: written by the command once, since each command takes a second."""
    module_interpreter.azureml("enable")
    file = module_interpreter.packages / FILE_NAME
    text = file.read_text()
    file.unlink()
    return text


@pytest.fixture
def enabled(interpreter: Interpreter, file_of_the_hook: str) -> Interpreter:
    """An interpreter whose environment has the hook enabled."""
    (interpreter.packages / FILE_NAME).write_text(file_of_the_hook)
    return interpreter
