"""``%endpoints``: list the endpoints of the workspace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mljupyter.core import Webservice, Workspace
from mljupyter.core.webservice.aks_endpoint import AksEndpointVersion
from mljupyter.errors import MLJupyterError
from mljupyter.magics.magic import Call, masked_line
from mljupyter.notebook.options.option_values import near
from mljupyter.notebook.views.history import state_text
from mljupyter.notebook.views.views import Table
from mljupyter.spec import EndpointRecord

COLUMNS = ("Name", "State", "Kind", "Target", "Models", "Replicas", "Authentication")
EMPTY = "No endpoints yet. Deploy one with %deploy NAME --model MODEL --score SCRIPT"


class EndpointMissingError(MLJupyterError):
    """No endpoint has this name."""


def webservice(workspace: Workspace, name: str) -> Webservice:
    """Return a deployed web service.

    Raises:
        EndpointMissingError: there is none of this name; the message has the nearest one.

    """
    services = workspace.webservices
    if name not in services:
        hint = near(name, services) or " %deploy makes one."
        raise EndpointMissingError(f"There is no endpoint {name!r} in this workspace.{hint}")
    return services[name]


def version_of(service: Webservice, name: str) -> AksEndpointVersion:
    """Return one of an endpoint's versions.

    Raises:
        EndpointMissingError: there is none of this name; the message has the existing ones.

    """
    versions: Mapping[str, AksEndpointVersion] = getattr(service, "versions", {})
    if name not in versions:
        hint = near(name, versions) or " It has a single one: leave the version out."
        raise EndpointMissingError(f"{service.name!r} has no version {name!r}.{hint}")
    return versions[name]


def row(record: EndpointRecord) -> list[str]:
    """Return the table row of an endpoint, without addresses, which change from run to run."""
    spec, status = record.spec, record.status
    return [
        spec.name,
        state_text(record),
        str(spec.kind).lower(),
        spec.compute_target,
        ", ".join(spec.model_ids) or "none",
        status.replicas,
        str(spec.authentication),
    ]


def run(call: Call) -> Any:
    """Return the endpoints as a table; its items are the full data, one dict for each endpoint."""
    found = sorted(call.session.workspace().endpoint_records(), key=lambda record: record.spec.name)
    documents = [record.document() for record in found]
    call.session.cache.refresh_soon()
    if call["json"]:
        print(masked_line(documents))
        return call.deliver(documents) if call["output"] else None
    columns, rows = list(COLUMNS), [row(record) for record in found]
    if call["uris"]:
        columns.append("Scoring URI")
        rows = [[*cells, record.status.scoring_uri or ""] for cells, record in zip(rows, found, strict=True)]
    return call.deliver(Table(columns, rows, documents, EMPTY))
