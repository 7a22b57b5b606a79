"""``%logs``: what an endpoint's scoring script printed."""

from __future__ import annotations

from typing import Any

from mljupyter.frontend.options import ENDPOINT_NAME, OUTPUT, Option
from mljupyter.frontend.views import Text
from mljupyter.magics.call import Call
from mljupyter.magics.endpoints import webservice
from mljupyter.magics.magic import Magic


def run(call: Call) -> Any:
    """Return the last lines of the log, or show lines as they come until interrupted."""
    if call["follow"]:
        return _follow(call)
    log = webservice(call.session.workspace(), call["name"]).get_logs(num_lines=call["lines"])
    return call.deliver(Text(log.rstrip("\n")))


def _follow(call: Call) -> None:
    service = webservice(call.session.workspace(), call["name"])
    try:
        for line in service.follow_logs(num_lines=call["lines"]):
            print(line, end="", flush=True)
    except KeyboardInterrupt:
        print(f"Stopped following {call['name']!r}.")


MAGIC = Magic(
    name="logs",
    summary="Show the last lines that an endpoint's replicas wrote.",
    options=(
        ENDPOINT_NAME,
        Option("lines", "how many lines", kind="integer", short="-n", metavar="N", default=100, minimum=1),
        Option("follow", "go on with what is written from now on, until interrupted", kind="flag", short="-f"),
        OUTPUT,
    ),
    example="%logs diabetes -n 20",
    run=run,
)
