"""``%invoke``: send data to an endpoint and get its answer."""

from __future__ import annotations

import json
from typing import Any

from mljupyter.errors import MLJupyterError
from mljupyter.exceptions import WebserviceException
from mljupyter.magics.commands.endpoints import version_of, webservice
from mljupyter.magics.commands.values import body_of
from mljupyter.magics.magic import Call, json_line
from mljupyter.notebook.options.option_values import WrongInputError


class InvokeError(MLJupyterError):
    """An endpoint did not answer a request with a result."""


def run(call: Call) -> Any:
    """Send the data, and return the answer as Python values."""
    if (call["data"] is None) == (call.body is None):
        raise WrongInputError(
            "Give the data once: on the line (%invoke NAME DATA), or as JSON in the cell (%%invoke NAME)."
        )
    body = body_of(call["data"], call.namespace) if call.body is None else body_in_cell(call.body)
    service = webservice(call.session.workspace(), call.endpoint)
    asked = service if call.version is None else version_of(service, call.version)
    try:
        answer = asked.run(body)
    except WebserviceException as error:
        raise InvokeError(error.message.replace("service.get_logs()", f"%logs {call['name']}")) from error
    if call["json"]:
        print(json_line(answer))
        return call.deliver(answer) if call["output"] else None
    return call.deliver(answer)


def body_in_cell(text: str) -> str:
    """Return the JSON of a cell; an error has the line of the cell."""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        raise WrongInputError(
            f"Line {error.lineno + 1} of the cell is not JSON: {error.msg.lower()} at character {error.colno}.\n"
            "JSON wants double quotes, and true, false, null. A Python value goes onto the line: %invoke NAME VARIABLE"
        ) from None
    except (ValueError, RecursionError) as error:
        raise WrongInputError(f"The cell holds JSON that cannot be read: {error}.") from None
    return text
