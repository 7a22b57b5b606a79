"""What a web service shows of itself: its attributes, as of its last operation (Azure ML v1: Webservice)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from mljupyter.core.rich import Rich, Rows, pairs
from mljupyter.deploy import wait
from mljupyter.exceptions import WebserviceException, as_webservice_exception
from mljupyter.spec import Authentication, EndpointKind, EndpointRecord, EndpointSpec, EndpointState, VersionSpec

if TYPE_CHECKING:
    from mljupyter.core.environment import Environment
    from mljupyter.core.image import Image
    from mljupyter.core.model import Model
    from mljupyter.core.workspace import Workspace


class DescribedWebservice(Rich):
    """The attributes of a web service."""

    kind: ClassVar[EndpointKind]
    workspace: Workspace
    name: str
    _record: EndpointRecord | None
    _deleted: bool

    @property
    def state(self) -> str | None:
        """Transitioning, Healthy, Unhealthy, Unschedulable, Failed or Deleting; as of the last operation."""
        if self._deleted:
            return EndpointState.DELETING.value
        return self._record.status.state.value if self._record else None

    @property
    def error(self) -> str | None:
        """What is wrong, with the last lines of the log; None when nothing is."""
        return wait.problem_text(self._record) if self._record else None

    @property
    def description(self) -> str | None:
        """The description."""
        return self._spec.description

    @property
    def tags(self) -> dict[str, str]:
        """Tags, a copy."""
        return dict(self._spec.tags)

    @property
    def properties(self) -> dict[str, str]:
        """Properties, a copy."""
        return dict(self._spec.properties)

    @property
    def enable_app_insights(self) -> bool:
        """Whether requests and what the script logs are recorded."""
        return self._version.app_insights_enabled

    @property
    def created_time(self) -> datetime:
        """When it was deployed first."""
        return self._known.created_time

    @property
    def updated_time(self) -> datetime:
        """When it was changed last."""
        return self._known.updated_time

    @property
    def created_by(self) -> str | None:
        """The user who deployed it."""
        return self._spec.created_by

    @property
    def compute_type(self) -> str:
        """LOCAL, ACI, AKS or AKSENDPOINT."""
        return self.kind.value

    @property
    def auth_enabled(self) -> bool:
        """Whether a key is needed to score."""
        return self._spec.authentication is Authentication.KEY

    @property
    def token_auth_enabled(self) -> bool:
        """Whether a token is needed to score."""
        return self._spec.authentication is Authentication.TOKEN

    @property
    def authentication_needed(self) -> bool:
        """Whether a key or a token is needed to score."""
        return self._spec.authentication is not Authentication.NONE

    @property
    def scoring_uri(self) -> str | None:
        """Where to POST data; None until it is known."""
        return self._known.status.scoring_uri

    @property
    def swagger_uri(self) -> str | None:
        """Where the description of the API is; None until it is known."""
        return self._known.status.swagger_uri

    @property
    def models(self) -> Sequence[Model]:
        """The models it serves."""
        from mljupyter.core.model import Model

        return [Model._referenced(self.workspace, reference) for reference in self._version.models]

    @property
    def image(self) -> Image | None:
        """The registered image that it serves from; None where none is needed: for processes on this machine."""
        from mljupyter.core.image import Image
        from mljupyter.registry.image_errors import ImageNotFoundError

        if self.image_id is None:
            return None
        try:
            return Image._of(self.workspace, self.workspace.registry.images.get_by_id(self.image_id))
        except ImageNotFoundError:
            return None

    @property
    def image_id(self) -> str | None:
        """``name:version`` of the image that it serves from; None where none is needed."""
        return self._version.image_id

    @property
    def image_digest(self) -> str | None:
        """The digest of the image that it serves from."""
        return self.image.image_digest if self.image is not None else None

    @property
    def environment(self) -> Environment | None:
        """The environment in its image; None where it serves from none."""
        return self.image.environment if self.image is not None else None

    def serialize(self) -> dict[str, Any]:
        """Return all that is known as JSON types, without keys."""
        return {
            "name": self.name,
            "computeType": self.compute_type,
            "state": self.state,
            "error": self.error,
            "description": self.description,
            "tags": self.tags,
            "properties": self.properties,
            "createdTime": self.created_time.isoformat(),
            "updatedTime": self.updated_time.isoformat(),
            "createdBy": self.created_by,
            "authEnabled": self.auth_enabled,
            "tokenAuthEnabled": self.token_auth_enabled,
            "appInsightsEnabled": self.enable_app_insights,
            "scoringUri": self.scoring_uri,
            "swaggerUri": self.swagger_uri,
            "modelIds": [reference.id for reference in self._version.models],
            "imageId": self.image_id,
        }

    def _summary(self) -> Rows:
        if self._record is None:
            return [("Name", self.name), ("State", self.state)]
        spec = self._spec
        return [
            ("Name", self.name),
            ("State", self.state),
            ("Target", spec.compute_target),
            ("Authentication", str(spec.authentication)),
            ("Models", ", ".join(spec.model_ids)),
            ("Versions", ", ".join(spec.versions) if len(spec.versions) > 1 else None),
            ("Tags", pairs(self.tags)),
        ]

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name}, compute_type={self.compute_type}, state={self.state})"

    def update_deployment_state(self) -> None:
        """Bring what this object shows up to date.

        Raises:
            WebserviceException: `WebserviceNotFound` when the web service is gone.

        """
        with as_webservice_exception():
            self._show(self.workspace.endpoints.endpoint(self.name))
            self._deleted = False

    @property
    def _known(self) -> EndpointRecord:
        if self._record is None:
            raise WebserviceException(f"WebserviceNotFound: there is no web service {self.name!r} in this workspace.")
        return self._record

    @property
    def _spec(self) -> EndpointSpec:
        return self._known.spec

    @property
    def _version(self) -> VersionSpec:
        return self._spec.versions[self._spec.default_version]

    def _show(self, record: EndpointRecord) -> None:
        self._check_kind(record.spec)
        self._record = record

    def _check_kind(self, spec: EndpointSpec) -> None:
        if spec.kind is not self.kind:
            raise WebserviceException(
                f"{self.name!r} is no {type(self).__name__} but of kind {spec.kind}: "
                f"use Webservice(workspace, {self.name!r})"
            )

    def _check_not_deleted(self) -> None:
        if self._deleted:
            raise WebserviceException(f"WebserviceNotFound: the web service {self.name!r} was deleted.")
