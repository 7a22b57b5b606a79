"""A deployment plan: the wanted and the present endpoint, and the versions that must be built first.

The plan that is shown is the plan that is applied: `build` and `apply` read no file again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mljupyter.deploy.content import VersionContent
from mljupyter.deploy.prepare import Prepared
from mljupyter.deploy.spec_builder import Settings, new_endpoint
from mljupyter.exceptions import WebserviceException
from mljupyter.ownership import user_name
from mljupyter.registry.artifacts.store import ArtifactStore
from mljupyter.registry.errors import ModelNotFoundError
from mljupyter.spec import Authentication, EndpointKind, EndpointRecord, EndpointSpec, ModelReference
from mljupyter.spec.difference import differences
from mljupyter.workspace.context import WorkspaceContext

Change = tuple[str, Any, Any]
"""A field that differs: its path, its present value, its new value."""

_BUILT = ("image", "image_id", "interpreter")
_NOT_DECIDED = ("createdBy", "properties")
MOST_ACI_BYTES = 1 << 30
"""The size that models of a container instance should stay below (Azure ML v1: deploying to Container Instances)."""


@dataclass(frozen=True)
class DeploymentPlan:
    """One endpoint before and after.

    Parameters:
        wanted: the endpoint, with the images and interpreters that `build` is expected to produce.
        present: the endpoint that exists; None for a new one.
        prepared: the versions that must be built, by name.
        primary_key, secondary_key: keys chosen by the user; None for generated or present ones.
        is_change: whether parts of the present endpoint are changed, which is refused during a rollout. Otherwise it is
            replaced, and a rollout is aborted.

    """

    wanted: EndpointSpec
    present: EndpointRecord | None
    prepared: Mapping[str, Prepared] = field(default_factory=dict)
    primary_key: str | None = field(default=None, repr=False)
    secondary_key: str | None = field(default=None, repr=False)
    is_change: bool = False

    @property
    def changes(self) -> list[Change]:
        """Each field that differs from the present endpoint; empty for a new one."""
        return [] if self.present is None else changes(self.present.spec, self.wanted)

    @property
    def action(self) -> str:
        """One of ``create``, ``update`` and ``unchanged``."""
        return "create" if self.present is None else "update" if self.changes else "unchanged"

    def with_built(self, built: Mapping[str, VersionContent]) -> DeploymentPlan:
        """Return the plan with the images and interpreters that were built, and nothing left to build."""
        versions = dict(self.wanted.versions)
        for name, content in built.items():
            versions[name] = versions[name].model_copy(update={part: getattr(content, part) for part in _BUILT})
        wanted = self.wanted.model_copy(update={"versions": versions})
        return replace(self, wanted=wanted, prepared={})


def plan_new(
    context: WorkspaceContext,
    name: str,
    settings: Settings,
    prepared: Prepared,
    *,
    present: EndpointRecord | None = None,
) -> DeploymentPlan:
    """Return the plan of an endpoint with one version.

    Parameters:
        context: the workspace.
        name: the endpoint's name.
        settings: kind, size, authentication and other settings.
        prepared: the version.
        present: the endpoint that it replaces; its tags and description stay unless `settings` has others.

    Raises:
        WebserviceException, SpecError: a value breaks a rule.

    """
    wanted = new_endpoint(
        name, settings, prepared.expected(context), target=prepared.target.name, created_by=user_name()
    )
    if present is not None:
        kept = {
            "tags": present.spec.tags if settings.tags is None else wanted.tags,
            "description": present.spec.description if settings.description is None else wanted.description,
        }
        wanted = wanted.model_copy(update=kept)
    keys = wanted.authentication is Authentication.KEY
    given = settings.given()
    return DeploymentPlan(
        wanted,
        present,
        {wanted.default_version: prepared},
        primary_key=given.get("primary_key") if keys else None,
        secondary_key=given.get("secondary_key") if keys else None,
    )


def find(context: WorkspaceContext, name: str) -> EndpointRecord | None:
    """Return the endpoint of a name; None if there is none."""
    return next((record for record in context.endpoints.endpoints() if record.spec.name == name), None)


def changes(present: EndpointSpec, wanted: EndpointSpec) -> list[Change]:
    """Return each field that differs between an endpoint before and after."""
    before, after = comparable(present), comparable(wanted)
    if wanted.port is None and wanted.kind is present.kind:
        before.pop("port", None)  # chosen and kept by the controller
    return differences(before, after)


def comparable(spec: EndpointSpec) -> dict[str, Any]:
    """Return the document of an endpoint without the fields that a deployment does not decide."""
    document = spec.document()
    for key in _NOT_DECIDED:
        document.pop(key, None)
    for version in document["versions"].values():
        version.pop("reload", None)
        version.pop("imageId", None)
    return document


def check_content(context: WorkspaceContext, spec: EndpointSpec) -> None:
    """Check that the workspace has all content that an endpoint names by digest.

    Raises:
        WebserviceException: a model or code is missing.

    """
    for name, version in spec.versions.items():
        for model in version.models:
            _check_model(context, model)
        if version.code is not None and version.image is None and not context.artifacts.exists(version.code.digest):
            raise WebserviceException(
                f"versions.{name}.code is {version.code.digest[:19]}, which is not in this workspace.\n"
                "If the specification comes from another workspace, give the scoring script instead (code: SCRIPT)."
            )


def _check_model(context: WorkspaceContext, model: ModelReference) -> None:
    try:
        there = context.registry.models.get_by_id(model.id).artifact.digest if model.version else model.digest
    except ModelNotFoundError as error:
        raise WebserviceException(error.message) from error
    if there != model.digest:
        raise WebserviceException(
            f"Model {model.id} of the specification has the digest {model.digest[:19]}; in this workspace it has "
            f"{there[:19]}.\nRegister that model here, or give its id alone (models: [{model.id}])."
        )
    if not context.artifacts.exists(model.digest):
        what = "register it again" if model.version else "deploy it again from its file"
        raise WebserviceException(f"The content of model {model.id} is missing from this workspace: {what}.")


def size_warning(spec: EndpointSpec, artifacts: ArtifactStore, most_bytes: int = MOST_ACI_BYTES) -> str | None:
    """Return what to say of an ACI web service whose models are larger than they should be, else None.

    It is deployed all the same: the machine decides what fits.

    Parameters:
        spec: the web service.
        artifacts: has the models.
        most_bytes: how large the models of a version may be together.

    """
    if spec.kind is not EndpointKind.ACI:
        return None
    for version in spec.versions.values():
        digests = {model.digest for model in version.models}
        size = sum(artifacts.size(digest) for digest in digests)
        if size > most_bytes:
            return (
                f"Warning: the models of {spec.name!r} take {size / (1 << 30):.2f} GB; ACI web services are for models "
                f"of at most {most_bytes / (1 << 30):g} GB. Larger ones: AksWebservice.deploy_configuration()."
            )
    return None
