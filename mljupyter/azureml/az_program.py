"""The program ``az``, which runs old command lines of Azure by mljupyter: for one kernel, or for a whole environment.

A real az always comes first. A kernel has the program in the last directory of its PATH. For a whole environment the
user asks for it; its program looks for another az on the PATH at each start, and hands over to that.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path

from mljupyter.errors import MLJupyterError
from mljupyter.files import write_whole

_DIRECTORY = Path(__file__).parent / "programs"
_PYTHON_VARIABLE = "MLJUPYTER_PYTHON"
_MARK = "# mljupyter azureml enable --az"
_EXECUTABLE = 0o755
_LARGEST = 10_000
_PROGRAM = """\
#!/bin/sh
{mark} has written this file; mljupyter azureml disable removes it.
# A real az that is found on the PATH is run instead.
IFS=:
for directory in $PATH; do
  other="$directory/az"
  if [ -f "$other" ] && [ -x "$other" ] && ! grep -q mljupyter "$other" 2>/dev/null; then
    unset IFS
    exec "$other" "$@"
  fi
done
unset IFS
exec {python} -m mljupyter.cli az "$@"
"""


class ProgramError(MLJupyterError):
    """The program ``az`` cannot be written or removed."""


def add_to_path() -> None:
    """Let cells of this kernel find the program as ``!az``; a real az comes first. A second call changes nothing."""
    os.environ[_PYTHON_VARIABLE] = sys.executable
    places = _path()
    if str(_DIRECTORY) not in places:
        os.environ["PATH"] = os.pathsep.join([*places, str(_DIRECTORY)])


def remove_from_path() -> None:
    """Undo `add_to_path`."""
    os.environ["PATH"] = os.pathsep.join(place for place in _path() if place != str(_DIRECTORY))
    os.environ.pop(_PYTHON_VARIABLE, None)


def enable() -> Path:
    """Write the program into the directory of this environment's programs, and return it.

    Raises:
        ProgramError: there is a real az, or the directory cannot be written.

    """
    other = real_az()
    if other is not None:
        raise ProgramError(
            f"There is an az already, {other}, and it is not replaced.\n"
            "Old command lines for mljupyter: mljupyter az ml ..., or %az ml ... in a notebook."
        )
    program = _program()
    python = "'" + sys.executable.replace("'", "'\\''") + "'"
    try:
        write_whole(program, _PROGRAM.format(mark=_MARK, python=python), mode=_EXECUTABLE)
    except OSError as error:
        raise ProgramError(f"{program} cannot be written: {error.strerror}. Use mljupyter az ml ...") from None
    return program


def disable() -> Path | None:
    """Remove the program that `enable` has written, and return it; None if there is none.

    Raises:
        ProgramError: it cannot be removed.

    """
    program = enabled()
    if program is not None:
        try:
            program.unlink()
        except OSError as error:
            raise ProgramError(f"{program} cannot be removed: {error.strerror}.") from None
    return program


def enabled() -> Path | None:
    """Return the program that `enable` has written; None if there is none."""
    program = _program()
    return program if _is_ours(program) else None


def real_az() -> Path | None:
    """Return the first az on the PATH, or where `enable` would write, that mljupyter has not written; None without."""
    candidates = [*(Path(place) / "az" for place in _path() if place), _program()]
    return next((one for one in candidates if os.access(one, os.X_OK) and one.is_file() and not _is_ours(one)), None)


def _is_ours(program: Path) -> bool:
    if program.parent == _DIRECTORY:
        return True
    try:
        with program.open("rb") as file:
            return _MARK.encode() in file.read(_LARGEST)
    except OSError:
        return False


def _program() -> Path:
    return Path(sysconfig.get_path("scripts")) / "az"


def _path() -> list[str]:
    return [place for place in os.environ.get("PATH", os.defpath).split(os.pathsep) if place]
