"""Deploy an endpoint from its specification: the document that the controller stores."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mljupyter.core.usage import in_use
from mljupyter.core.webservice.base import Webservice
from mljupyter.exceptions import WebserviceException, as_webservice_exception
from mljupyter.spec import EndpointSpec, ModelReference
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
        spec = spec.model_copy(update={"created_by": spec.created_by or getpass.getuser()})
        with workspace.artifacts.hold():
            _check_content(workspace, spec)
            with in_use(workspace, spec.name, spec):
                record = workspace.endpoints.create(spec, overwrite=True)
    return Webservice._of(workspace, record)


def _check_content(workspace: Workspace, spec: EndpointSpec) -> None:
    """Refuse what names content by digests that this workspace does not have."""
    for name, version in spec.versions.items():
        for model in version.models:
            _check_model(workspace, model)
        if version.code is not None and version.image is None and not workspace.artifacts.exists(version.code.digest):
            raise WebserviceException(
                f"versions.{name}.code names {version.code.digest[:19]}, which this workspace does not have.\n"
                "A document from another workspace: name the scoring script instead, code: SCRIPT, and deploy it with "
                "%%deploy."
            )


def _check_model(workspace: Workspace, model: ModelReference) -> None:
    from mljupyter.registry.errors import ModelNotFoundError

    try:
        there = workspace.registry.models.get_by_id(model.id).artifact.digest if model.version else model.digest
    except ModelNotFoundError as error:
        raise WebserviceException(error.message) from error
    if there != model.digest or not workspace.artifacts.exists(model.digest):
        raise WebserviceException(f"Model {model.id} has other content in this workspace than the document says.")
