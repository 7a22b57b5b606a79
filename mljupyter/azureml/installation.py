"""The hook of a whole Python environment: a file in its site-packages, which each interpreter reads at its start."""

from __future__ import annotations

import os
import site
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from mljupyter.errors import MLJupyterError
from mljupyter.files import write_whole

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
_READABLE = 0o644


class HookError(MLJupyterError):
    """The hook cannot be enabled or disabled."""


@dataclass(frozen=True)
class Status:
    """The hook of this Python environment.

    Parameters:
        files: the files that enable it; empty when it is disabled.
        active: whether new interpreters have it.
        real: the installed real package and its version, such as ``azureml-core 1.61.0``; None if there is none.

    """

    files: tuple[Path, ...]
    active: bool
    real: str | None

    @property
    def enabled(self) -> bool:
        """Whether a file enables it."""
        return bool(self.files)


def status() -> Status:
    """Return the state of the hook; this starts an interpreter."""
    files = tuple(file for place in _places() if (file := place / FILE_NAME).exists())
    return Status(files, _is_active(), real_package())


def enable() -> Path:
    """Enable the hook in this Python environment, and return the file; a second call changes nothing.

    Raises:
        HookError: no directory of installed packages is writable.

    """
    places = _places()
    for place in places:
        if place.is_dir() and os.access(place, os.W_OK):
            write_whole(place / FILE_NAME, _LINE, mode=_READABLE)
            return place / FILE_NAME
    user = site.getusersitepackages() if site.ENABLE_USER_SITE else None
    if user is not None:
        Path(user).mkdir(parents=True, exist_ok=True)
        write_whole(Path(user) / FILE_NAME, _LINE, mode=_READABLE)
        return Path(user) / FILE_NAME
    raise HookError(
        f"{', '.join(map(str, places))} cannot be written, so the hook cannot be enabled for {sys.executable}.\n"
        "For one notebook: %load_ext mljupyter. For one script: python -m mljupyter.azureml SCRIPT.py"
    )


def disable() -> tuple[Path, ...]:
    """Disable the hook in this Python environment, and return the removed files.

    Raises:
        HookError: a file cannot be removed.

    """
    removed = []
    for place in _places():
        file = place / FILE_NAME
        try:
            file.unlink()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise HookError(
                f"{file} cannot be removed: {error.strerror}. Remove it as the owner of that directory."
            ) from None
        removed.append(file)
    return tuple(removed)


def real_package() -> str | None:
    """Return the installed real package with its version, such as ``azureml-core 1.61.0``; None if there is none."""
    try:
        return f"azureml-core {version('azureml-core')}"
    except PackageNotFoundError:
        pass
    found = (Path(place) / "azureml" / "core" / "__init__.py" for place in sys.path)
    return next((f"azureml.core in {file.parent}" for file in found if file.is_file()), None)


def _places() -> list[Path]:
    """Return the directories of installed packages, that of this environment first."""
    places = [sysconfig.get_path("purelib"), *site.getsitepackages()]
    if site.ENABLE_USER_SITE:
        places.append(site.getusersitepackages())
    return [Path(place) for place in dict.fromkeys(places)]


def _is_active() -> bool:
    try:
        done = subprocess.run(
            [sys.executable, "-c", _ASK], capture_output=True, text=True, timeout=_START_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.stdout.strip() == "True"
