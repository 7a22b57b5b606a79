"""Deployment of an endpoint from its specification (the document that the control plane stores)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mljupyter import core
from mljupyter.deploy.apply import apply_specification
from mljupyter.exceptions import as_webservice_exception
from mljupyter.spec import EndpointSpec

if TYPE_CHECKING:
    from mljupyter.core import Webservice, Workspace


def deploy_specification(workspace: Workspace, document: Mapping[str, Any] | EndpointSpec) -> Webservice:
    """Create an endpoint from a document, or change the endpoint of that name to it; return at once.

    An endpoint that exists keeps its keys and its address, and serves its present versions until the new ones are
    ready. `Webservice.wait_for_deployment` waits.

    Parameters:
        workspace: the workspace with the models, code and images that the document names.
        document: an endpoint's specification with camelCase keys, as ``%deploy --dry-run --json`` prints it.

    Raises:
        WebserviceException: the document breaks a rule, or names a model or code that is not in the workspace.

    Example:
        >>> deploy_specification(ws, yaml.safe_load(open("diabetes.yaml")))     # doctest: +SKIP

    """
    with as_webservice_exception():
        record = apply_specification(workspace.context, document)
    return core.Webservice.from_record(workspace, record)
