"""Deployment of a whole endpoint from its specification, the document that the control plane stores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mljupyter.deploy.apply import apply
from mljupyter.deploy.plan import DeploymentPlan, check_content
from mljupyter.ownership import user_name
from mljupyter.spec import EndpointRecord, EndpointSpec
from mljupyter.spec.names import SERVICE

if TYPE_CHECKING:
    from mljupyter.workspace.context import WorkspaceContext


def apply_specification(context: WorkspaceContext, document: Mapping[str, Any] | EndpointSpec) -> EndpointRecord:
    """Create an endpoint from a document, or change the existing endpoint of that name; return at once.

    Parameters:
        context: the workspace.
        document: the specification, with camelCase keys.

    Raises:
        SpecError: the document breaks a rule.
        WebserviceException: it refers to a model or code that is not in the workspace.

    """
    spec = document if isinstance(document, EndpointSpec) else EndpointSpec.parse(document)
    SERVICE.check(spec.name)
    context.target(spec.compute_target)
    spec = spec.model_copy(update={"created_by": spec.created_by or user_name()})
    check_content(context, spec)
    return apply(context, DeploymentPlan(spec, None))
