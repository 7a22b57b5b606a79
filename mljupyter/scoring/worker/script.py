"""The scoring script: its checks, `init()`, and the call of `run()` for a request."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Callable, Iterator
from time import perf_counter
from types import GeneratorType, ModuleType
from typing import Any, cast

from mljupyter.scoring.logs.diagnostics import user_traceback, write_record
from mljupyter.scoring.logs.log_context import request_id
from mljupyter.scoring.messages import ALL_VERSIONS, PARAMETERS, REQUEST, TEXT, Interface, encode_error, is_inference
from mljupyter.scoring.protocol import RAN, RUN_FAILED
from mljupyter.scoring.worker.inference import Inference, Inferences, NoSampleError
from mljupyter.scoring.worker.request_body import (
    MISSING,
    InputError,
    parameters_of,
    raw_request,
    text_of,
    wants_raw_request,
)
from mljupyter.scoring.worker.results import ResultError, encode
from mljupyter.scoring.worker.schema import Schema, schema_of

_HEADERS_PARAMETER = "request_headers"
Outcome = tuple[int, int, float, bytes, bytes]
"""HTTP status, flags of `protocol`, duration of `run()` in seconds, body, packed headers (empty for plain JSON)."""
StreamedOutcome = tuple[int, int, float, Iterator[bytes], bytes]
"""An outcome whose body comes in pieces; `run()` may go on while they are taken from it."""


class ScriptError(Exception):
    """The scoring script cannot serve; `__cause__` is the exception that its own code raised, if any."""


class Script:
    """A checked scoring script. `takes_headers` says whether `run()` has the parameter `request_headers`.

    `answer` handles one request completely. Batches use its parts: `arguments` of a request, `convert`, `run`, and
    `succeeded`, `failed` or `refused` for the outcome.
    """

    def __init__(self, module: ModuleType) -> None:
        self._init = _function(module, "init")
        self.run = _function(_run_home(module), "run")
        """The script's own `run`; its keyword arguments are what `arguments` returns."""
        declared = getattr(_run_home(module), "batching", None)
        self.batching: bool | None = declared if isinstance(declared, bool) else None
        """The script's own ``batching = True`` or ``False``; None if it does not set one."""
        self._schema = schema_of(self.run)
        self._parameters, self.takes_headers = _parameters(self.run)
        self._mode = _mode(self._schema, self._parameters)
        self._inferences = Inferences(module, self.run, self._schema, self._parameters)
        self.interface = self._describe()

    @property
    def batchable(self) -> str | None:
        """The parameter whose rows can be joined with those of other requests in one `run()`; None if there is none.

        It must be the only parameter, and its schema must leave the first dimension free.
        """
        if self._schema is None or self.takes_headers or len(self._parameters) != 1:
            return None
        name = self._parameters[0][0]
        return name if self._schema.has_rows(name) else None

    @property
    def takes_text_only(self) -> bool:
        """Whether `run` takes the body as text and no other argument."""
        return self._mode == TEXT and not self.takes_headers

    def initialise(self) -> None:
        """Call `init()`; raise ScriptError from any exception it raises, SystemExit included."""
        try:
            self._init()
        except BaseException as error:
            raise ScriptError(f"init() of the scoring script raised {brief(error)}") from error
        if wants_raw_request() and self._mode != REQUEST:
            self._mode = _mode(self._schema, self._parameters)  # init() may import the module that has run()
        self._inferences.prepare()
        self.interface = self._describe()

    def try_sample(self) -> None:
        """Run the model once with a sample: that of the schema, or zeros for a model without a script.

        Raises:
            NoSampleError: there is none, or it would be kept as collected data.
            BaseException: what `run()` raises.

        """
        if self._inferences.try_sample():
            return
        example = (self.interface.input_schema or {}).get("example") if self._schema is not None else None
        if not isinstance(example, dict):
            raise NoSampleError("run() has no schema with a sample")
        if _collects():
            raise NoSampleError("a sample request would be collected with the data of the clients")
        result = self.run(**self.arguments(b"", json.dumps(example, default=str).encode()))
        pieces = result if type(result) is GeneratorType else encode(result, in_pieces=True).body
        if not isinstance(pieces, bytes):
            next(pieces, None)
            if isinstance(pieces, GeneratorType):
                pieces.close()

    def answer(self, head: bytes, body: bytes) -> Outcome | StreamedOutcome:
        """Return the outcome of one request; exceptions of user code become error answers."""
        if head and is_inference(head):
            return self._infer(head, body)
        try:
            arguments = self.arguments(head, body)
        except InputError as error:
            return self.refused(error)
        start = perf_counter()
        try:
            result = self.run(**arguments)
        except BaseException as error:  # noqa: BLE001 (user code may raise anything, SystemExit too)
            return self.failed(error, perf_counter() - start)
        seconds = perf_counter() - start
        if type(result) is GeneratorType and head:
            from mljupyter.scoring.worker import events  # few scripts yield

            if events.accepts_events(json.loads(head).get("headers", {}).get("Accept", "")):
                return 200, RAN, seconds, events.events_of(result), events.events_headers()
        return self._outcome(result, seconds, in_pieces=True)

    def arguments(self, head: bytes, body: bytes) -> dict[str, Any]:
        """Return the keyword arguments of `run` for a request; raise InputError when the request does not fit.

        Values with a schema are not converted yet: `run` does so itself, or `convert` does it before.
        """
        if head and is_inference(head):
            return self.inference(head, body).arguments
        call = json.loads(head) if head else {}
        if call:
            request_id.set(call["id"])
        if self._mode == TEXT:
            arguments = {self._parameters[0][0]: text_of(call, body)}
        elif self._mode == PARAMETERS:
            arguments = parameters_of(call, body, self._parameters)
        else:
            arguments = {self._parameters[0][0]: raw_request(call, body)}
        if self.takes_headers:
            arguments[_HEADERS_PARAMETER] = call.get("headers", {})
        return arguments

    def convert(self, name: str, value: Any) -> Any:
        """Convert a parameter's JSON value to the array or data frame of its schema; raise the schema's own errors.

        `run` accepts the converted value as well.
        """
        assert self._schema is not None  # noqa: S101 (for the type checker: only names from `batchable` come here)
        return self._schema.types[name].deserialize_input(value)

    def inference(self, head: bytes, body: bytes) -> Inference:
        """Return a request of the Open Inference Protocol; raise InputError when it does not fit.

        Its values are those that `convert` returns for other requests.
        """
        call = json.loads(head)
        request_id.set(call["id"])
        found = self._inferences.of(call, body)
        if self.takes_headers:
            found.arguments[_HEADERS_PARAMETER] = call["headers"]
        return found

    def succeeded(self, result: Any, seconds: float, inference: Inference | None = None) -> Outcome:
        """Return the outcome of a `run` that has returned; an error if its result cannot be sent."""
        if inference is None:
            return cast(Outcome, self._outcome(result, seconds, in_pieces=False))
        try:
            status, body, headers, run_failed = inference.answer(result)
        except InputError as error:
            return error.status, RAN, seconds, encode_error(error.status, str(error)), b""
        except ResultError as error:
            return self.not_sent(error, seconds)
        except BaseException as error:  # noqa: BLE001 (a generator or a response object may raise anything)
            return self.failed(error, seconds)
        return status, RAN | RUN_FAILED if run_failed else RAN, seconds, body, headers

    def _infer(self, head: bytes, body: bytes) -> Outcome:
        try:
            inference = self.inference(head, body)
        except InputError as error:
            return self.refused(error)
        start = perf_counter()
        try:
            result = inference.run(**inference.arguments)
        except BaseException as error:  # noqa: BLE001 (user code may raise anything, SystemExit too)
            return self.failed(error, perf_counter() - start)
        return self.succeeded(result, perf_counter() - start, inference)

    def _outcome(self, result: Any, seconds: float, *, in_pieces: bool) -> Outcome | StreamedOutcome:
        try:
            status, body, headers, run_failed = encode(result, in_pieces)
        except ResultError as error:
            return self.not_sent(error, seconds)
        except BaseException as error:  # noqa: BLE001 (a response object of the script's own may raise anything)
            return self.failed(error, seconds)
        return status, RAN | RUN_FAILED if run_failed else RAN, seconds, body, headers  # type: ignore[return-value] # mypy: one or the other

    def not_sent(self, error: ResultError, seconds: float) -> Outcome:
        """Return the outcome of a `run` whose result cannot be sent."""
        write_record("E", "azmlinfsrv", str(error))
        return 500, RAN | RUN_FAILED, seconds, encode_error(500, str(error)), b""

    def failed(self, error: BaseException, seconds: float) -> Outcome:
        """Return the outcome of a `run` that has raised; the log gets the traceback, the client does not.

        An error that names a status of 4xx as `mljupyter_status` is the client's: it gets the text.
        """
        status = getattr(type(error), "mljupyter_status", None)
        if isinstance(status, int) and 400 <= status <= 499:
            return status, RAN, seconds, encode_error(status, str(error)), b""
        write_record("E", "azmlinfsrv.user_script", f"run() raised:\n{user_traceback(error)}")
        message = f"run() of the scoring script raised {type(error).__name__}; the service's log has the traceback"
        return 500, RAN | RUN_FAILED, seconds, encode_error(500, message), b""

    def refused(self, error: InputError) -> Outcome:
        """Return the outcome of a request that does not fit `run`."""
        return error.status, 0, 0.0, encode_error(error.status, str(error)), b""

    def _describe(self) -> Interface:
        schema = self._schema
        needs_head = self.takes_headers or self._mode == REQUEST or _collects()
        if schema is None:
            return Interface(
                self._mode, needs_head, None, ALL_VERSIONS, *self._undecorated(), self._inferences.described
            )
        return Interface(
            self._mode,
            needs_head,
            self.batchable,
            schema.versions,
            schema.input_schema,
            schema.output_schema,
            self._inferences.described,
        )

    def _undecorated(self) -> tuple[dict[str, Any] | None, None]:
        if self._mode != PARAMETERS:
            return None, None
        return {"type": "object", "properties": {name: {} for name, _ in self._parameters}}, None


def brief(error: BaseException) -> str:
    """Return an error in one line."""
    text = str(error).strip().split("\n", 1)[0][:300]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _run_home(module: ModuleType) -> ModuleType:
    """Return the module that has the user's `run`: for a generated driver, the driver's `driver_module`."""
    behind = getattr(module, "driver_module", None)
    return behind if isinstance(behind, ModuleType) and hasattr(behind, "run") else module


def _function(module: ModuleType, name: str) -> Callable[..., Any]:
    function: Callable[..., Any] | None = getattr(module, name, None)
    if function is None:
        raise ScriptError(f"the scoring script {module.__file__} does not define {name}()")
    if not callable(function):
        raise ScriptError(
            f"{name} in the scoring script {module.__file__} is a {type(function).__name__}, not a function"
        )
    return function


def _parameters(run: Callable[..., Any]) -> tuple[list[tuple[str, Any]], bool]:
    """Return the data parameters with their defaults (or MISSING), and whether `run` takes the headers."""
    parameters = inspect.signature(run).parameters.values()
    for parameter in parameters:
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise ScriptError(f"run() has {parameter}; positional-only parameters, *args and **kwargs are not allowed")
    named = [
        (parameter.name, MISSING if parameter.default is parameter.empty else parameter.default)
        for parameter in parameters
        if parameter.name != _HEADERS_PARAMETER
    ]
    if not named:
        raise ScriptError("run() needs a parameter for the input data, for example: def run(data)")
    return named, len(named) < len(parameters)


def _mode(schema: Schema | None, parameters: list[tuple[str, Any]]) -> str:
    required = sum(default is MISSING for _, default in parameters)
    if wants_raw_request():
        if schema is not None:
            raise ScriptError("run() is decorated with both @rawhttp and @input_schema; use one of them")
        if required > 1:
            raise ScriptError("run() is decorated with @rawhttp: it takes one parameter, the request")
        return REQUEST
    return PARAMETERS if schema is not None or required > 1 else TEXT


def _collects() -> bool:
    return os.environ.get("AML_MODEL_DC_STORAGE_ENABLED", "").strip().lower() == "true"
