"""Requests of the Open Inference Protocol in the worker: their arguments for `run()`, and its result as their answer.

The modules that do it need NumPy. They are imported for scripts that have a schema, and for models without a script.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from types import GeneratorType, ModuleType
from typing import TYPE_CHECKING, Any

from mljupyter.scoring.logs.diagnostics import write_record
from mljupyter.scoring.messages import INFERENCE
from mljupyter.scoring.protocol import pack_headers
from mljupyter.scoring.worker.request_body import MISSING, InputError
from mljupyter.scoring.worker.results import Result, ResultError, encode

if TYPE_CHECKING:
    from mljupyter.scoring.open_inference.requests import Request
    from mljupyter.scoring.open_inference.tensors import Tensor
    from mljupyter.scoring.worker.schema import Schema

_NO_SCHEMA = "the scoring script has no schema; send requests to /score"


class NoSampleError(Exception):
    """There is no sample request for a script; the text says why."""


class Inference:
    """One request: the function that answers it, the arguments of that, and the form of its answer."""

    def __init__(
        self,
        run: Callable[..., Any],
        arguments: dict[str, Any],
        request: Request,
        outputs: Sequence[Tensor],
        model: dict[str, str],
    ) -> None:
        self.run = run
        self.arguments = arguments
        self._request = request
        self._outputs = outputs
        self._model = model

    def answer(self, result: Any) -> Result:
        """Return what to send for a result.

        Raises:
            InputError: the request asks for an output that there is not.
            ResultError: the result cannot become tensors.

        """
        # Only scripts that are called with tensors pay for these modules.
        from mljupyter.scoring.open_inference.results import OutputError, answer_of, tensors_of
        from mljupyter.scoring.open_inference.tensors import TensorError

        if type(result) is GeneratorType:
            result = list(result)
        if hasattr(result, "get_data") and hasattr(result, "status_code") and hasattr(result, "headers"):
            response = encode(result)
            if response.status >= 400:
                return response
            result = _content(response.body)
        try:
            body, headers = answer_of(tensors_of(result), self._request, self._outputs, self._model)
        except TensorError as error:
            raise InputError(400, str(error)) from None
        except OutputError as error:
            raise ResultError(str(error)) from None
        return Result(200, body, pack_headers(headers), run_failed=False)


class Inferences:
    """How a script, or a model without one, takes tensors.

    Parameters:
        module: the script. A built-in one may have `tensors()`, which describes its model when `init()` has returned,
            and `infer(tensors, outputs, parameters)`.
        run: its `run()`.
        schema: the schema of that; None if it has none.
        parameters: the parameters of `run()` with their defaults, or MISSING.

    """

    def __init__(
        self, module: ModuleType, run: Callable[..., Any], schema: Schema | None, parameters: Sequence[tuple[str, Any]]
    ) -> None:
        self._module = module if module.__name__.startswith("mljupyter.scoring.nocode.") else None
        self._run = run
        self._schema = schema
        self._parameters = parameters
        self._arguments: Callable[[Request], dict[str, Any]] | None = None
        self._inputs: Sequence[Tensor] = ()
        self._outputs: Sequence[Tensor] = ()
        self.described: dict[str, Any] | None = None
        """The metadata of the model, or its member `reason` says why there is none; None without a schema."""

    def prepare(self) -> None:
        """Find out which tensors the script takes. An error in this does not keep it from serving."""
        try:
            if self._module is not None:
                self._use_module(self._module)
            elif self._schema is not None:
                self._use_schema(self._schema)
        except Exception as error:  # noqa: BLE001 - types of parameters may be classes of the user's own
            text = f"the schema of run() cannot be described by tensors: {type(error).__name__}: {error}"
            self.described = {"reason": f"{text}; send requests to /score"}
            write_record("D", "azmlinfsrv", text)

    def of(self, call: dict[str, Any], body: bytes) -> Inference:
        """Return a request; raise InputError if it does not fit."""
        if self._arguments is None:
            raise InputError(400, (self.described or {}).get("reason", _NO_SCHEMA))
        # Only scripts that are called with tensors pay for these modules.
        from mljupyter.scoring.open_inference.requests import request_of
        from mljupyter.scoring.open_inference.tensors import TensorError

        try:
            request = request_of(call["headers"], body, self._inputs)
            arguments = self._arguments(request)
        except TensorError as error:
            raise InputError(400, str(error)) from None
        return Inference(self._run, arguments, request, self._outputs, call[INFERENCE])

    def try_sample(self) -> bool:
        """Run a model without a script once, with zeros; return False for a script, which has its own sample.

        Raises:
            NoSampleError: the tensors of the model are not known, or too large.
            Exception: what the model raises.

        """
        if self._module is None:
            return False
        if self._arguments is None:
            raise NoSampleError((self.described or {}).get("reason", "the tensors of the model are not known"))
        from mljupyter.scoring.open_inference.tensors import TensorError, zeros  # for models without a script only

        # Columns are another form of the same table if there is a whole one.
        inputs = [tensor for tensor in self._inputs if not tensor.column] or self._inputs
        try:
            tensors = {tensor.name: zeros(tensor) for tensor in inputs}
        except TensorError as error:
            raise NoSampleError(str(error)) from None
        self._run(tensors=tensors, outputs=[], parameters={})
        return True

    def _use_module(self, module: ModuleType) -> None:
        described = module.tensors()
        if isinstance(described, str):
            self.described = {"reason": described}
            return
        self._run = module.infer
        self._arguments = _parts
        platform, self._inputs, self._outputs = described
        self._describe(platform)

    def _use_schema(self, schema: Schema) -> None:
        # Only scripts that are called with tensors pay for these modules.
        from mljupyter.scoring.open_inference.binding import Binding, NotTensorsError

        required = [(name, default is MISSING) for name, default in self._parameters]
        try:
            binding = Binding(schema.types, required, schema.output_schema)
        except NotTensorsError as error:
            self.described = {"reason": f"{error}, which tensors cannot give; send requests to /score"}
            return
        self._arguments = binding.arguments
        self._inputs, self._outputs = binding.inputs, binding.outputs
        self._describe("python")

    def _describe(self, platform: str) -> None:
        self.described = {
            "platform": platform,
            "inputs": [tensor.described() for tensor in self._inputs],
            "outputs": [tensor.described() for tensor in self._outputs],
        }


def _parts(request: Request) -> dict[str, Any]:
    names = [output.name for output in request.outputs]
    return {"tensors": request.tensors, "outputs": names, "parameters": request.parameters}


def _content(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body
