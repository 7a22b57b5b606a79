"""``%undeploy``: delete an endpoint or one of its versions."""

from __future__ import annotations

from typing import Any

from mljupyter.deploy.versions import without_version
from mljupyter.magics.commands.dry_run import (
    NOTHING_DONE,
    called,
    code_of,
    is_preview,
    present,
    preview,
    shown,
)
from mljupyter.magics.commands.endpoints import webservice
from mljupyter.magics.commands.interrupts import taken_back_if_interrupted
from mljupyter.magics.magic import Call, json_line
from mljupyter.notebook.endpoint_commands import versioned_endpoint, wait_until_healthy
from mljupyter.notebook.views.views import Text


def run(call: Call) -> Any:
    """Delete the endpoint or the version; models and scoring scripts stay."""
    name, version = call.endpoint, call.version
    service = webservice(call.session.workspace(), name)
    if version is not None:
        endpoint = versioned_endpoint(call.session.workspace(), name)
        if is_preview(call):
            arguments = {"version_name": version}
            return preview(call, "delete_version", arguments, lambda spec: without_version(spec, version))
        with taken_back_if_interrupted(call):
            endpoint.delete_version(version)
            wait_until_healthy(endpoint)
    elif is_preview(call):
        return _preview(call)
    else:
        service.delete()
    call.session.cache.refresh_soon()
    what = name if version is None else f"{name}:{version}"
    if call["json"]:
        print(json_line({"name": what, "deleted": True}))
    else:
        call.say(f"{what}: deleted")
    return None


def _preview(call: Call) -> Any:
    if call["code"]:
        return code_of(call, [called("delete", {})])
    record = present(call)
    versions = sorted(record.spec.versions)
    lines = [
        f"{call.endpoint} → {record.spec.compute_target}: delete {NOTHING_DONE}",
        f"  versions  {', '.join(versions)}",
        f"  replicas  {sum(status.replicas_ready for status in record.status.versions.values())} running",
        f"  stays     {', '.join(record.spec.model_ids) or 'no models'}",
    ]
    return shown(call, Text("\n".join(lines)), {"endpoint": call.endpoint, "action": "delete", "versions": versions})
