"""The hook of a whole Python environment: a file in its site-packages, which each interpreter reads at its start."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from mljupyter import interpreter_files
from mljupyter.errors import MLJupyterError
from mljupyter.targets.mapped import setting

FILE_NAME = "mljupyter-azureml.pth"
# Every interpreter runs this line, so it imports nothing before the first name of the SDK or of scikit-learn.
# The file may outlive mljupyter: then it finds nothing.
_FINDER = """\
class MljupyterHook:
 def find_spec(name, path=None, target=None):
  if name[:7] in ('azureml', 'sklearn'):
   try:
    from mljupyter.azureml.hook import install
   except ImportError:
    return
   install()
sys.meta_path.insert(0, MljupyterHook)"""
_LINE = f"import sys; exec({_FINDER!r})\n"
_ASK = """\
import sys
from importlib.util import find_spec
there = any(getattr(finder, "__name__", "") == "MljupyterHook" for finder in sys.meta_path)
print(there and find_spec("mljupyter") is not None)"""
_START_SECONDS = 60


class HookError(MLJupyterError):
    """The hook cannot be enabled or disabled."""


@dataclass(frozen=True)
class Status:
    """The hook of this Python environment.

    Parameters:
        files: the files that enable it; empty when it is disabled.
        active: whether new interpreters have it.
        real: the installed real package and its version, such as ``azureml-core 1.61.0``; None if there is none.
        aks: the compute target that AKS targets are mapped to; None if they are clusters of Azure.

    """

    files: tuple[Path, ...]
    active: bool
    real: str | None
    aks: str | None = None

    @property
    def enabled(self) -> bool:
        """Whether a file enables it."""
        return bool(self.files)


def status() -> Status:
    """Return the state of the hook; this starts an interpreter."""
    return Status(tuple(interpreter_files.find(FILE_NAME)), _is_active(), real_package(), setting.aks_place())


def enable() -> Path:
    """Enable the hook in this Python environment, and return the file; a second call changes nothing.

    Raises:
        HookError: no directory of installed packages is writable.

    """
    return _written(FILE_NAME, _LINE)


def disable() -> tuple[Path, ...]:
    """Disable the hook in this Python environment, and return the removed files.

    Raises:
        HookError: a file cannot be removed.

    """
    return _removed(FILE_NAME)


def map_aks(place: str) -> Path:
    """Keep the compute target that AKS targets are mapped to, for this Python environment, and return the file.

    Parameters:
        place: the name of a compute target: ``local``, ``docker``, or an attached cluster.

    Raises:
        ComputeTargetException: it is no name of a compute target.
        HookError: no directory of installed packages is writable.

    """
    return _written(setting.FILE_NAME, f"{setting.checked(place)}\n")


def unmap_aks() -> tuple[Path, ...]:
    """Let AKS targets be clusters of Azure again, in this Python environment, and return the removed files.

    Raises:
        HookError: a file cannot be removed.

    """
    return _removed(setting.FILE_NAME)


def real_package() -> str | None:
    """Return the installed real package with its version, such as ``azureml-core 1.61.0``; None if there is none."""
    try:
        return f"azureml-core {version('azureml-core')}"
    except PackageNotFoundError:
        pass
    found = (Path(place) / "azureml" / "core" / "__init__.py" for place in sys.path)
    return next((f"azureml.core in {file.parent}" for file in found if file.is_file()), None)


def _written(name: str, text: str) -> Path:
    file = interpreter_files.write(name, text)
    if file is None:
        raise HookError(
            f"{', '.join(map(str, interpreter_files.directories()))} cannot be written, so it cannot be enabled for "
            f"{sys.executable}.\n"
            "For one notebook: %load_ext mljupyter. For one script: python -m mljupyter.azureml SCRIPT.py"
        )
    return file


def _removed(name: str) -> tuple[Path, ...]:
    try:
        return interpreter_files.remove(name)
    except OSError as error:
        raise HookError(
            f"{error.filename} cannot be removed: {error.strerror}. Remove it as the owner of that directory."
        ) from None


def _is_active() -> bool:
    try:
        done = subprocess.run(
            [sys.executable, "-c", _ASK],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_START_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.stdout.strip() == "True"
