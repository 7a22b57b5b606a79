"""The scoring script: find it, check it, initialise it, call it."""

# ruff: noqa: PTH118, PTH119, PTH122, PTH123
# pathlib takes 3 ms to import, and every start of a replica would pay them in both processes.
from __future__ import annotations

import inspect
import json
import os
import sys
from collections.abc import Callable
from time import perf_counter
from types import ModuleType
from typing import Any

from mljupyter.scoring.diagnostics import user_traceback, write_record
from mljupyter.scoring.protocol import RAN, RUN_FAILED
from mljupyter.scoring.results import ResultError, encode_message, encode_result

_HEADERS_PARAMETER = "request_headers"
Outcome = tuple[int, int, float, bytes]
"""HTTP status, flags of `protocol`, seconds that `run()` took, body."""


class ScriptError(Exception):
    """The scoring script cannot serve; the cause, if any, is what its own code raised."""


class Script:
    """A checked scoring script.

    `takes_headers` says whether `run()` has the optional parameter `request_headers`.
    """

    def __init__(self, module: ModuleType) -> None:
        self._init = _function(module, "init")
        self._run = _function(module, "run")
        self._data_name, self.takes_headers = _parameters(self._run)
        self._by_keyword = self.takes_headers or not _takes_first_positional(self._run)

    def initialise(self) -> None:
        """Call `init()`; raise ScriptError from whatever it raises, exits included."""
        try:
            self._init()
        except BaseException as error:
            raise ScriptError(f"init() of the scoring script raised {_brief(error)}") from error

    def answer(self, head: bytes, body: bytes) -> Outcome:
        """Return the outcome of one call; nothing that user code does escapes as an exception."""
        call = json.loads(head) if head else {}
        try:
            data = query_to_json(call["query"]) if "query" in call else str(body, "utf-8")
        except UnicodeDecodeError as error:
            message = f"the request body is not UTF-8 text: {error.reason} at byte {error.start}"
            return 400, 0, 0.0, encode_message(message)
        start = perf_counter()
        try:
            if self._by_keyword:
                named = {self._data_name: data}
                if self.takes_headers:
                    named[_HEADERS_PARAMETER] = call.get("headers", {})
                result = self._run(**named)
            else:
                result = self._run(data)
            seconds = perf_counter() - start
            return 200, RAN, seconds, encode_result(result)
        except ResultError as error:
            write_record("E", "azmlinfsrv", str(error))
            return 500, RAN | RUN_FAILED, seconds, encode_message(str(error))
        except BaseException as error:  # noqa: BLE001 (user code may raise anything, SystemExit too)
            seconds = perf_counter() - start
            write_record("E", "azmlinfsrv.user_script", f"run() raised:\n{user_traceback(error)}")
            message = f"run() of the scoring script raised {type(error).__name__}; the service's log has the traceback"
            return 500, RAN | RUN_FAILED, seconds, encode_message(message)


def load_script() -> Script:
    """Return the script that the environment names, imported with the working directory and path it expects.

    The working directory is the app root; the app root and the source directory are appended to `sys.path`
    (Azure ML v1: configuration). Raises ScriptError when the script is missing, fails to import, or has no
    usable `init` and `run`.
    """
    app_root = os.environ["AML_APP_ROOT"]
    entry_script = os.environ["AZUREML_ENTRY_SCRIPT"]
    path = os.path.join(app_root, entry_script)
    os.chdir(app_root)
    for directory in (app_root, os.environ.get("AZUREML_SOURCE_DIRECTORY")):
        if directory:
            sys.path.append(os.path.join(app_root, directory))
    sys.argv = [path]
    try:
        with open(path, "rb") as file:
            source = file.read()
    except OSError as error:
        raise ScriptError(f"the scoring script {path} cannot be read: {error.strerror}") from None
    module = ModuleType(_module_name(path))
    module.__file__ = path
    sys.modules[module.__name__] = module
    try:
        # Not the import system: it would write its cache beside the script and put its frames into tracebacks.
        exec(compile(source, path, "exec", dont_inherit=True), module.__dict__)  # noqa: S102
    except BaseException as error:
        raise ScriptError(f"the scoring script {entry_script} cannot be imported: {_brief(error)}") from error
    return Script(module)


def query_to_json(query: str) -> str:
    """Return the parameters of a GET request as a JSON object; repeated ones become lists.

    Values are decoded as JSON where possible: ``a=1&a=x&b=[2]`` is ``{"a": [1, "x"], "b": [2]}``.
    """
    from urllib.parse import parse_qs

    values = {
        name: [_json_or_text(value) for value in found]
        for name, found in parse_qs(query, keep_blank_values=True, max_num_fields=10_000).items()
    }
    return json.dumps({name: found[0] if len(found) == 1 else found for name, found in values.items()})


def _json_or_text(value: str) -> Any:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _module_name(path: str) -> str:
    stem = os.path.splitext(os.path.basename(path))[0]
    taken = stem in sys.modules or stem in sys.stdlib_module_names or not stem.isidentifier()
    return "entry_module" if taken else stem


def _brief(error: BaseException) -> str:
    text = str(error).strip().split("\n", 1)[0][:300]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _function(module: ModuleType, name: str) -> Callable[..., Any]:
    function: Callable[..., Any] | None = getattr(module, name, None)
    if function is None:
        raise ScriptError(f"the scoring script {module.__file__} does not define {name}()")
    if not callable(function):
        raise ScriptError(
            f"{name} in the scoring script {module.__file__} is a {type(function).__name__}, not a function"
        )
    return function


def _parameters(run: Callable[..., Any]) -> tuple[str, bool]:
    parameters = inspect.signature(run).parameters.values()
    for parameter in parameters:
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise ScriptError(f"run() has {parameter}; positional-only parameters, *args and **kwargs are not allowed")
    named = [parameter for parameter in parameters if parameter.name != _HEADERS_PARAMETER]
    if not named:
        raise ScriptError("run() needs a parameter for the input data, for example: def run(data)")
    required = [parameter.name for parameter in named[1:] if parameter.default is parameter.empty]
    if required:
        raise ScriptError(f"run() takes one parameter for the input data; these have no value: {', '.join(required)}")
    return named[0].name, len(named) < len(parameters)


def _takes_first_positional(run: Callable[..., Any]) -> bool:
    first = next(iter(inspect.signature(run).parameters.values()))
    return first.kind is first.POSITIONAL_OR_KEYWORD
