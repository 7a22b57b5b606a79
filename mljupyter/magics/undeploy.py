"""``%undeploy``: take an endpoint away."""

from __future__ import annotations

from typing import Any

from mljupyter.frontend.options import ENDPOINT_NAME, QUIET
from mljupyter.magics.call import Call
from mljupyter.magics.endpoints import webservice
from mljupyter.magics.magic import Magic


def run(call: Call) -> Any:
    """Delete the endpoint; models and scoring scripts stay."""
    webservice(call.session.workspace(), call["name"]).delete()
    call.session.cache.refresh_soon()
    call.say(f"{call['name']}: deleted")


MAGIC = Magic(
    name="undeploy",
    summary="Delete an endpoint: its replicas, its route and its keys. Registered models stay.",
    options=(ENDPOINT_NAME, QUIET),
    example="%undeploy diabetes",
    run=run,
)
