"""``%invoke``: send data to an endpoint and get its answer."""

from __future__ import annotations

from typing import Any

from mljupyter.errors import MLJupyterError
from mljupyter.frontend.options import ENDPOINT_NAME, JSON, Option
from mljupyter.magics.call import Call, json_line
from mljupyter.magics.endpoints import webservice
from mljupyter.magics.magic import Magic
from mljupyter.magics.values import body_of


class InvokeError(MLJupyterError):
    """An endpoint did not answer a request with a result."""


def run(call: Call) -> Any:
    """Send the data, and return what came back as Python values."""
    from mljupyter.core.exceptions import WebserviceException

    body = body_of(call["data"], call.namespace)
    service = webservice(call.session.workspace(), call["name"])
    try:
        answer = service.run(body)
    except WebserviceException as error:
        raise InvokeError(error.message.replace("service.get_logs()", f"%logs {call['name']}")) from error
    if call["json"]:
        print(json_line(answer))
        return call.deliver(answer) if call["output"] else None
    return call.deliver(answer)


MAGIC = Magic(
    name="invoke",
    summary="Send data to an endpoint and show its answer.",
    options=(
        ENDPOINT_NAME,
        Option(
            "data",
            'JSON, a variable or expression, or @file; tables and arrays are sent as {"data": rows}',
            metavar="DATA",
            positional=True,
            required=True,
            completes="variable",
        ),
        Option("output", "keep the answer in this variable instead of showing it", short="-o", metavar="VAR"),
        JSON,
    ),
    example='%invoke diabetes {"data": [[0.04, 0.05, 0.06]]}\n%invoke diabetes X_test[:2] -o predictions',
    run=run,
)
