"""``%traffic``: how the requests of an endpoint are divided between its versions."""

from __future__ import annotations

from typing import Any

from mljupyter.frontend.options import ENDPOINT_NAME, JSON, OUTPUT, Option
from mljupyter.frontend.views import Table
from mljupyter.magics.call import Call, json_line
from mljupyter.magics.endpoints import webservice
from mljupyter.magics.magic import Magic


def run(call: Call) -> Any:
    """Divide the requests anew if shares are given; return the versions as a table when the router follows."""
    from mljupyter.core.traffic import COLUMNS, divide, documents, rows

    workspace = call.session.workspace()
    webservice(workspace, call["name"])  # its error has the nearest name
    record = divide(workspace, call["name"], call["shares"] or (), call["mirror"], call["sticky_header"])
    found = documents(record)
    if call["json"]:
        print(json_line(found))
        return call.deliver(found) if call["output"] else None
    return call.deliver(Table(COLUMNS, rows(record), found, "No versions."))


MAGIC = Magic(
    name="traffic",
    summary="Show how requests are divided between the versions of an endpoint, or divide them anew.",
    options=(
        ENDPOINT_NAME,
        Option(
            "shares",
            "share of each version; who is not named has none, and the rest goes to the default version",
            metavar="VERSION=PERCENT",
            positional=True,
            repeatable=True,
        ),
        Option(
            "mirror",
            "copy this share of the requests to a version and throw its answers away",
            metavar="VERSION=PERCENT",
            repeatable=True,
        ),
        Option(
            "sticky-header",
            "requests with the same value of this header meet the same version; none turns it off",
            metavar="HEADER",
        ),
        JSON,
        OUTPUT,
    ),
    example="%traffic diabetes\n%traffic diabetes version-a=90 version-b=10\n%traffic diabetes --mirror version-c=20",
    run=run,
)
