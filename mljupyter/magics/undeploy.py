"""``%undeploy``: take an endpoint away, or one of its versions."""

from __future__ import annotations

from typing import Any

from mljupyter.magics.call import Call, json_line
from mljupyter.magics.dry_run import CODE, DRY_RUN, REHEARSED, called, code_of, is_rehearsal, present, rehearse, shown
from mljupyter.magics.endpoints import webservice
from mljupyter.magics.interrupts import taken_back_if_interrupted
from mljupyter.magics.magic import Magic
from mljupyter.notebook.options.option import ENDPOINT_VERSION, JSON, QUIET
from mljupyter.notebook.views.views import Text


def run(call: Call) -> Any:
    """Delete the endpoint or the version; models and scoring scripts stay."""
    from mljupyter.deploy.versions import without_version
    from mljupyter.notebook.endpoint_commands import versioned_endpoint, wait_until_healthy

    name, version = call.endpoint, call.version
    service = webservice(call.session.workspace(), name)
    if version is not None:
        endpoint = versioned_endpoint(call.session.workspace(), name)
        if is_rehearsal(call):
            arguments = {"version_name": version}
            return rehearse(call, "delete_version", arguments, lambda spec: without_version(spec, version))
        with taken_back_if_interrupted(call):
            endpoint.delete_version(version)
            wait_until_healthy(endpoint)
    elif is_rehearsal(call):
        return _rehearsed(call)
    else:
        service.delete()
    call.session.cache.refresh_soon()
    what = name if version is None else f"{name}:{version}"
    if call["json"]:
        print(json_line({"name": what, "deleted": True}))
    else:
        call.say(f"{what}: deleted")
    return None


def _rehearsed(call: Call) -> Any:
    if call["code"]:
        return code_of(call, [called("delete", {})])
    record = present(call)
    versions = sorted(record.spec.versions)
    lines = [
        f"{call.endpoint} → {record.spec.compute_target}: delete {REHEARSED}",
        f"  versions  {', '.join(versions)}",
        f"  replicas  {sum(status.replicas_ready for status in record.status.versions.values())} running",
        f"  stays     {', '.join(record.spec.model_ids) or 'no models'}",
    ]
    return shown(call, Text("\n".join(lines)), {"endpoint": call.endpoint, "action": "delete", "versions": versions})


MAGIC = Magic(
    name="undeploy",
    summary="Delete an endpoint: its replicas, its route and its keys; or one of its versions. Registered models stay.",
    options=(ENDPOINT_VERSION, DRY_RUN, CODE, JSON, QUIET),
    interrupted="What was begun is carried out: see %endpoints.",
    example="%undeploy diabetes --dry-run\n%undeploy diabetes:version-b\n%undeploy diabetes",
    run=run,
)
