"""Deploy an endpoint from its specification: the document that the controller stores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mljupyter.core.webservice.base import Webservice
from mljupyter.deploy.apply import apply
from mljupyter.deploy.plan import DeploymentPlan, check_content
from mljupyter.exceptions import as_webservice_exception
from mljupyter.ownership import user_name
from mljupyter.spec import EndpointSpec
from mljupyter.spec.names import SERVICE

if TYPE_CHECKING:
    from mljupyter.core.workspace import Workspace


def deploy_specification(workspace: Workspace, document: Mapping[str, Any] | EndpointSpec) -> Webservice:
    """Create an endpoint as a document says, or bring the one of that name to it; the old state serves until then.

    Keys and address of an endpoint that exists are kept. Returns at once; `wait_for_deployment` waits.

    Parameters:
        workspace: where the models are registered, and code and images are known.
        document: an endpoint's specification with camelCase keys: what ``%deploy --dry-run --json`` prints.

    Raises:
        WebserviceException: the document breaks a rule, or names a model or code that is not in the workspace.

    Example:
        >>> deploy_specification(ws, yaml.safe_load(open("diabetes.yaml")))     # doctest: +SKIP

    """
    with as_webservice_exception():
        spec = document if isinstance(document, EndpointSpec) else EndpointSpec.parse(document)
        SERVICE.check(spec.name)
        workspace.context.target(spec.compute_target)
        spec = spec.model_copy(update={"created_by": spec.created_by or user_name()})
        check_content(workspace.context, spec)
        record = apply(workspace.context, DeploymentPlan(spec, None))
    return Webservice._of(workspace, record)
