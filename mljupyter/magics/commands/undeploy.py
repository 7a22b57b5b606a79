"""``%undeploy``: delete endpoints or versions. All are checked first; nothing is deleted if one cannot be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mljupyter.deploy.plan import DeploymentPlan
from mljupyter.deploy.versions import without_version
from mljupyter.exceptions import as_webservice_exception
from mljupyter.magics.commands.dry_run import NOTHING_DONE, WAIT, called, is_preview, plan_document, present
from mljupyter.magics.commands.endpoints import webservice
from mljupyter.magics.commands.interrupts import taken_back_if_interrupted
from mljupyter.magics.magic import Call, json_line, masked_line
from mljupyter.notebook.code import script_of
from mljupyter.notebook.endpoint_commands import versioned_endpoint, wait_until_healthy
from mljupyter.notebook.plan import Plan
from mljupyter.notebook.views.views import Text, View
from mljupyter.spec import EndpointSpec


def run(call: Call) -> Any:
    """Delete the endpoints and versions; models and scoring scripts stay."""
    wanted = _wanted(call.values["names"])
    calls = {name: replace(call, values={**call.values, "name": name}) for name in wanted}
    plans = {name: _plan(calls[name], versions) for name, versions in wanted.items()}
    if call["code"]:
        return call.deliver(Text(script_of(call.session.workspace(), _code(wanted))))
    if is_preview(call):
        return _preview(call, plans)
    deleted = []
    for name, versions in wanted.items():
        _delete(calls[name], versions)
        for what in [f"{name}:{version}" for version in versions] or [name]:
            deleted.append({"name": what, "deleted": True})
            if not call["json"]:
                call.say(f"{what}: deleted")
    call.session.cache.refresh_soon()
    if call["json"]:
        print(json_line(_one_or_all(deleted)))
    return None


def _wanted(words: list[str]) -> dict[str, list[str]]:
    """Return the versions to delete by endpoint; none for a whole endpoint, which its versions go with."""
    wanted: dict[str, list[str]] = {}
    whole = {word for word in words if not word.partition(":")[2]}
    for word in words:
        name, _, version = word.partition(":")
        versions = wanted.setdefault(name, [])
        if not {name, f"{name}:"} & whole and version not in versions:
            versions.append(version)
    return wanted


def _plan(call: Call, versions: list[str]) -> tuple[View, dict[str, Any]]:
    """Return the effect of a deletion as a view and a document.

    Raises:
        MLJupyterError: it is not possible: there is no such endpoint or version, or the version is the default one.

    """
    webservice(call.session.workspace(), call.endpoint)
    record = present(call)
    if versions:
        versioned_endpoint(call.session.workspace(), call.endpoint)
        with as_webservice_exception():
            plan = Plan(DeploymentPlan(_without(record.spec, versions), record))
        return plan, plan_document(call, plan)
    names = sorted(record.spec.versions)
    lines = [
        f"{call.endpoint} → {record.spec.compute_target}: delete {NOTHING_DONE}",
        f"  versions  {', '.join(names)}",
        f"  replicas  {sum(status.replicas_ready for status in record.status.versions.values())} running",
        f"  stays     {', '.join(record.spec.model_ids) or 'no models'}",
    ]
    return Text("\n".join(lines)), {"endpoint": call.endpoint, "action": "delete", "versions": names}


def _without(spec: EndpointSpec, versions: list[str]) -> EndpointSpec:
    for version in versions:
        spec = without_version(spec, version)
    return spec


def _delete(call: Call, versions: list[str]) -> None:
    if not versions:
        webservice(call.session.workspace(), call.endpoint).delete()
        return
    endpoint = versioned_endpoint(call.session.workspace(), call.endpoint)
    with taken_back_if_interrupted(call):
        for version in versions:
            endpoint.delete_version(version)
        wait_until_healthy(endpoint)


def _code(wanted: Mapping[str, list[str]]) -> list[str]:
    lines = []
    for name, versions in wanted.items():
        lines.append(f"service = Webservice(ws, {name!r})")
        lines += [called("delete_version", {"version_name": version}) for version in versions]
        lines.append(WAIT if versions else called("delete", {}))
    return lines


def _preview(call: Call, plans: Mapping[str, tuple[View, dict[str, Any]]]) -> Any:
    if call["json"]:
        print(masked_line(_one_or_all([document for _, document in plans.values()])))
        return None
    *others, last = [view for view, _ in plans.values()]
    for view in others:
        call.show(view)
    return call.deliver(last)


def _one_or_all(documents: list[dict[str, Any]]) -> Any:
    """Return what ``--json`` prints: the document of one thing, or the list of several."""
    return documents[0] if len(documents) == 1 else documents
