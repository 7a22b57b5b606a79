"""``%invoke``: send data to an endpoint and get its answer, or its answers to many rows in parts."""

from __future__ import annotations

import json
from typing import Any

from mljupyter.core import Webservice
from mljupyter.core.batch import Batch, BatchError
from mljupyter.core.webservice.aks_endpoint import AksEndpointVersion
from mljupyter.engine.requests.encoder import is_table, row_count, some_rows
from mljupyter.engine.requests.parts import body_limit, size_problem
from mljupyter.errors import MLJupyterError
from mljupyter.exceptions import UserErrorException, WebserviceException
from mljupyter.magics.commands.endpoints import version_of, webservice
from mljupyter.magics.commands.values import data_of, is_file_of_rows, json_body, rows_in
from mljupyter.magics.magic import Call, StoppedError, json_line
from mljupyter.notebook.options.option_values import WrongInputError
from mljupyter.notebook.views.progress import ShownProgress

_SAMPLE_ROWS = 100


class InvokeError(MLJupyterError):
    """An endpoint did not answer a request with a result."""


def run(call: Call) -> Any:
    """Send the data, and return the answer as Python values."""
    if (call["data"] is None) == (call.body is None):
        raise WrongInputError(
            f"Give the data once: on the line (%invoke {call['name']} DATA), or as JSON in the cell "
            f"(%%invoke {call['name']})."
        )
    body = None if call.body is None else body_in_cell(call.body, call["name"])
    service = webservice(call.session.workspace(), call.endpoint)
    asked = service if call.version is None else version_of(service, call.version)
    if body is not None:
        return _sent(call, asked, body)
    if call["batch_rows"] is not None or call["restart"] or is_file_of_rows(call["data"]):
        return _in_parts(call, asked, rows_in(call["data"], call.namespace))
    data = data_of(call["data"], call.namespace)
    if is_table(data):
        limit = body_limit(service.record, call.version)
        if call["output"] and row_count(data) > 1 and _estimated(data, call["data"]) > limit:
            return _in_parts(call, asked, data)
        if problem := size_problem(_estimated(data, call["data"]) // 2, limit, service.name):  # sure to be above it
            raise InvokeError(problem)
    by_name = (is_table(data) or isinstance(data, list)) and service.takes_objects()
    if by_name and isinstance(data, list):
        data = {"data": data}  # the parameter of its run(), by the description of its API
    return _sent(call, asked, json_body(data, call["data"], by_name=by_name))


def _estimated(table: Any, name: str) -> int:
    """Return the size of a table as JSON in bytes: exact for a small one, else from its first rows."""
    rows = row_count(table)
    part = some_rows(table, 0, _SAMPLE_ROWS) if rows > _SAMPLE_ROWS else table
    size = len(json_body(part, name))
    return size * rows // _SAMPLE_ROWS if rows > _SAMPLE_ROWS else size


def _sent(call: Call, asked: Webservice | AksEndpointVersion, body: str) -> Any:
    try:
        answer = asked.run(body)
    except WebserviceException as error:
        raise InvokeError(error.message.replace("service.get_logs()", f"%logs {call['name']}")) from error
    return _delivered(call, answer)


def _in_parts(call: Call, asked: Webservice | AksEndpointVersion, data: Any) -> Any:
    """Send the rows in parts with a progress bar, and return the results in order."""
    shown = ShownProgress(live=call.has_widgets)
    try:
        batch = Batch(asked, data, batch_rows=call["batch_rows"], restart=call["restart"], on_progress=shown)
    except UserErrorException as error:
        raise WrongInputError(f"{call['data']}: {error.message}") from None
    try:
        result = batch.run()
    except KeyboardInterrupt:
        shown.end()
        if call["output"]:
            call.deliver(batch.result)
        raise StoppedError(
            f"Stopped: {batch.result.text().splitlines()[0]}. What is done is kept: the same line goes on from there; "
            "with --restart it starts again."
        ) from None
    except BatchError as error:
        if call["output"]:
            call.deliver(error.result)
        raise InvokeError(error.message.replace("the same call", "the same line")) from None
    except UserErrorException as error:
        raise WrongInputError(f"{call['data']}: {error.message}") from None
    shown.end()
    if call["output"] and not result.complete:
        print(result.text(), flush=True)
    return _delivered(call, result)


def _delivered(call: Call, answer: Any) -> Any:
    if call["json"]:
        print(json_line(answer))
        return call.deliver(answer) if call["output"] else None
    return call.deliver(answer)


def body_in_cell(text: str, name: str = "NAME") -> str:
    """Return the JSON of a cell for the endpoint `name`; an error has the line of the cell."""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        raise WrongInputError(
            f"Line {error.lineno + 1} of the cell is not JSON: {error.msg.lower()} at character {error.colno}.\n"
            "JSON wants double quotes, and true, false, null. A Python value goes onto the line: "
            f"%invoke {name} VARIABLE"
        ) from None
    except (ValueError, RecursionError) as error:
        raise WrongInputError(f"The cell holds JSON that cannot be read: {error}.") from None
    return text
