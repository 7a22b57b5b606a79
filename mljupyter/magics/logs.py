"""``%logs``: what an endpoint's scoring script printed."""

from __future__ import annotations

from typing import Any

from mljupyter.frontend.options import ENDPOINT_NAME, OUTPUT, Option
from mljupyter.frontend.views import Text
from mljupyter.magics.call import Call
from mljupyter.magics.endpoints import webservice
from mljupyter.magics.magic import Magic


def run(call: Call) -> Any:
    """Return the last lines of the log."""
    log = webservice(call.session.workspace(), call["name"]).get_logs(num_lines=call["lines"])
    return call.deliver(Text(log.rstrip("\n")))


MAGIC = Magic(
    name="logs",
    summary="Show the last lines that an endpoint's replicas wrote.",
    options=(
        ENDPOINT_NAME,
        Option("lines", "how many lines", kind="integer", short="-n", metavar="N", default=100, minimum=1),
        OUTPUT,
    ),
    example="%logs diabetes -n 20",
    run=run,
)
