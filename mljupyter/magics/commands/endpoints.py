"""``%endpoints``: list the endpoints of the workspace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from mljupyter.core import Webservice, Workspace
from mljupyter.core.display import date_text
from mljupyter.core.webservice.aks_endpoint import AksEndpointVersion
from mljupyter.engine.endpoints.unknown_endpoint import unknown_endpoint
from mljupyter.engine.rollout.traffic import shares_text
from mljupyter.engine.rollout.unknown_version import unknown_version
from mljupyter.errors import MLJupyterError
from mljupyter.exceptions import WebserviceException
from mljupyter.magics.magic import Call, json_line, masked_line
from mljupyter.notebook.views.clients import Clients
from mljupyter.notebook.views.history import state_text
from mljupyter.notebook.views.views import Table
from mljupyter.spec import EndpointRecord

COLUMNS = (
    "Name",
    "State",
    "Kind",
    "Target",
    "Models",
    "Replicas",
    "Traffic",
    "Authentication",
    "Scoring URI",
    "Updated",
)
EMPTY = (
    "No endpoints yet. Deploy one with %deploy NAME ESTIMATOR, such as %deploy diabetes ridge for the fitted estimator "
    "ridge. With a scoring script of your own: %deploy NAME --model MODEL --score SCRIPT"
)


class EndpointMissingError(MLJupyterError):
    """No endpoint has this name."""


def webservice(workspace: Workspace, name: str) -> Webservice:
    """Return a deployed web service.

    Raises:
        EndpointMissingError: there is none of this name; the message has the nearest one.

    """
    services = workspace.webservices
    if name not in services:
        hint = "" if services else " %deploy makes one."
        raise EndpointMissingError(f"{unknown_endpoint(name, services)}{hint}")
    return services[name]


def version_of(service: Webservice, name: str) -> AksEndpointVersion:
    """Return one of an endpoint's versions.

    Raises:
        WebserviceException: there is none of this name; the message has the existing ones.

    """
    versions: Mapping[str, AksEndpointVersion] = getattr(service, "versions", {})
    if name not in versions:
        raise WebserviceException(unknown_version(service.record.spec, name))
    return versions[name]


def row(record: EndpointRecord) -> list[str]:
    """Return the table row of an endpoint."""
    spec, status = record.spec, record.status
    return [
        spec.name,
        state_text(record),
        str(spec.kind).lower(),
        spec.compute_target,
        ", ".join(spec.model_ids) or "none",
        status.replicas,
        shares_text(spec) or "",
        str(spec.authentication),
        status.scoring_uri or "",
        date_text(record.updated_time),
    ]


def run(call: Call) -> Any:
    """Return the endpoints as a table, or how other programs call one of them.

    The items of the table are the full data, one dict for each endpoint.
    """
    if call["name"] is not None:
        return _one(call)
    found = sorted(call.session.workspace().endpoint_records(), key=lambda record: record.spec.name)
    documents = [record.document() for record in found]
    call.session.cache.refresh_soon()
    if call["json"]:
        print(masked_line(documents))
        return call.deliver(documents) if call["output"] else None
    return call.deliver(Table(COLUMNS, [row(record) for record in found], documents, EMPTY))


def _one(call: Call) -> Any:
    """Return how other programs call an endpoint: URI, curl and Python, with the key read from a variable."""
    snippets = webservice(call.session.workspace(), call["name"]).client_snippets()
    if call["json"]:
        print(json_line(asdict(snippets)))
        return call.deliver(asdict(snippets)) if call["output"] else None
    return call.deliver(Clients(snippets))
