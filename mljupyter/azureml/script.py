"""Scripts and modules run as Python runs them, with the names of the SDK.

The script is ``__main__``, `sys.argv` and the import path are its own, and tracebacks begin with its first line.
"""

from __future__ import annotations

import builtins
import os
import runpy
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, TracebackType
from typing import NoReturn

from mljupyter.azureml import hook
from mljupyter.errors import MLJupyterError

_USAGE = """\
usage: python -m mljupyter.azureml SCRIPT.py [ARGUMENTS]
       python -m mljupyter.azureml -m MODULE [ARGUMENTS]

Runs a script or module of the Azure ML SDK v1: import azureml.core gives the classes of mljupyter.
Before the script, --aks TARGET runs what is deployed to AKS on local, docker, or an attached cluster."""
_WRONG_USAGE = 2
_PACKAGE = f"{Path(__file__).parent.parent}{os.sep}"
_OURS = (__file__, str(Path(__file__).with_name("__main__.py")), runpy.__file__, "<frozen runpy>")


def main(arguments: list[str]) -> None:
    """Run the script or module that the arguments name; exit with status 2 if there is none.

    Parameters:
        arguments: the arguments of the command line: a script or ``-m`` and a module, then their arguments.

    """
    if arguments[:1] in (["-h"], ["--help"]):
        print(_USAGE)
        return
    arguments = _mapped(arguments)
    if not arguments or arguments == ["-m"]:
        _stop(_USAGE)
    hook.install()
    sys.excepthook = _show
    if arguments[0] == "-m":
        _run_module(arguments[1], arguments[2:])
    else:
        _run_script(arguments[0], arguments[1:])


def _mapped(arguments: list[str]) -> list[str]:
    """Return the arguments behind ``--aks TARGET``, which maps AKS targets in this process and those that it starts."""
    name, equals, place = arguments[0].partition("=") if arguments else ("", "", "")
    if name != "--aks":
        return arguments
    rest = arguments[1:]
    if not equals:
        if not rest:
            _stop(_USAGE)
        place, rest = rest[0], rest[1:]
    from mljupyter.exceptions import ComputeTargetException  # only with the option
    from mljupyter.targets.mapped import setting  # likewise

    try:
        os.environ[setting.VARIABLE] = setting.checked(place)
    except ComputeTargetException as error:
        _stop(f"mljupyter: {error.message}")
    return rest


def _run_module(name: str, arguments: list[str]) -> None:
    sys.argv = [name, *arguments]  # run_module replaces the first one by the path
    try:
        found = find_spec(name) is not None
    except ModuleNotFoundError:
        found = False
    if not found:
        _stop(f"mljupyter: there is no module {name!r}. The search began in {sys.path[0] or '.'}.")
    runpy.run_module(name, run_name="__main__", alter_sys=True)


def _run_script(path: str, arguments: list[str]) -> None:
    script = Path(path)
    try:
        source = script.read_bytes()
    except OSError as error:
        _stop(f"mljupyter: the script {path!r} cannot be read: {error.strerror}.")
    sys.argv = [path, *arguments]
    sys.path[0] = str(script.resolve().parent)  # which `python -m` has set to the current directory
    module = ModuleType("__main__")
    # Its spec is None, as that of any script, so that processes of multiprocessing find the file by its path.
    vars(module).update(__file__=path, __builtins__=builtins, __spec__=None)
    sys.modules["__main__"] = module
    exec(compile(source, path, "exec", dont_inherit=True), vars(module))  # noqa: S102 - the user's script


def _show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print an exception that ends the script, without the frames that led to the script.

    One of the SDK is shown with the user's frames alone: it says what is wrong and what to do.
    """
    while trace is not None and trace.tb_frame.f_code.co_filename in _OURS:
        trace = trace.tb_next
    if isinstance(error, MLJupyterError):
        error.__cause__, error.__suppress_context__ = None, True
        trace = _of_the_user(trace)
    sys.__excepthook__(kind, error.with_traceback(trace), trace)


def _of_the_user(trace: TracebackType | None) -> TracebackType | None:
    """Return a traceback that ends where the user's code has called mljupyter."""
    if trace is None or trace.tb_frame.f_code.co_filename.startswith(_PACKAGE):
        return None
    return TracebackType(_of_the_user(trace.tb_next), trace.tb_frame, trace.tb_lasti, trace.tb_lineno)


def _stop(text: str) -> NoReturn:
    print(text, file=sys.stderr)
    sys.exit(_WRONG_USAGE)
