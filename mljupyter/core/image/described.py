"""What an image shows of itself: its attributes (Azure ML v1: Image)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mljupyter.core.rich import Rich, Rows, pairs
from mljupyter.deploy.images import build_job, files

if TYPE_CHECKING:
    from mljupyter.core.environment import Environment
    from mljupyter.core.model import Model
    from mljupyter.core.workspace import Workspace
    from mljupyter.registry.catalog.image_record import ImageRecord


class DescribedImage(Rich):
    """The attributes of an image, as of its last operation."""

    workspace: Workspace
    _record: ImageRecord

    @property
    def id(self) -> str:
        """``name:version``."""
        return self._record.id

    @property
    def name(self) -> str:
        """The name."""
        return self._record.name

    @property
    def version(self) -> int:
        """The version, from 1."""
        return self._record.version

    @property
    def creation_state(self) -> str:
        """Running, Succeeded, Failed or Canceled."""
        return self._record.creation_state

    @property
    def creation_error(self) -> str | None:
        """Why it was not made: step, reason, last lines of the log and a hint; None when nothing is wrong."""
        return build_job.failure_text(self._record) or None

    @property
    def created_time(self) -> datetime:
        """When it was asked for, in UTC."""
        return self._record.created_time

    @property
    def created_by(self) -> str:
        """The user who asked for it."""
        return self._record.created_by

    @property
    def image_location(self) -> str | None:
        """What a container is started from: its reference on the Docker engine or in a registry."""
        return self._record.location

    @property
    def image_digest(self) -> str | None:
        """Its digest: of the manifest in a registry, else the engine's id."""
        return self._record.digest

    @property
    def image_type(self) -> str:
        """Docker."""
        return self._record.image_type

    @property
    def image_flavor(self) -> str:
        """WebApiContainer, AccelContainer or IoTContainer."""
        return self._record.image_flavor

    @property
    def image_build_log_uri(self) -> str:
        """Where the log of its build is: a file that grows while it is built."""
        return files.BuildLogFile.of(self.workspace.context, self._record).path.as_uri()

    @property
    def generated_dockerfile_uri(self) -> str | None:
        """Where its Dockerfile is; None for an image that was not built here."""
        path = files.dockerfile_of(self.workspace.context, self._record)
        return path.as_uri() if path is not None else None

    @property
    def build_stages(self) -> dict[str, float]:
        """Seconds that each stage of the build took."""
        return dict(self._record.stages)

    @property
    def bill_of_materials(self) -> dict[str, Any]:
        """What is in it, as CycloneDX; empty until it is ready."""
        from mljupyter.build.images import stored_text

        found: dict[str, Any] = json.loads(stored_text(self.workspace.registry, self._record.sbom_digest) or "{}")
        return found

    @property
    def model_ids(self) -> Sequence[str]:
        """Ids of the registered models in it."""
        return list(self._record.model_ids)

    @property
    def models(self) -> Sequence[Model]:
        """The models in it."""
        from mljupyter.core.model import Model
        from mljupyter.spec import ModelReference

        references = [ModelReference.parse(model) for model in self._record.recipe.get("models", [])]
        return [Model._referenced(self.workspace, reference) for reference in references]

    @property
    def model_details(self) -> Sequence[dict[str, Any]]:
        """The models in it as JSON types."""
        return [model.serialize() for model in self.models]

    @property
    def environment(self) -> Environment:
        """The environment that it was built of, without the password of its registry."""
        from mljupyter.build.environments.definition import EnvironmentDefinition
        from mljupyter.core.environment import Environment

        return Environment.of(EnvironmentDefinition.parse(self._record.recipe["definition"]))

    @property
    def tags(self) -> dict[str, str]:
        """Tags, a copy."""
        return dict(self._record.tags)

    @property
    def properties(self) -> dict[str, str]:
        """Properties, a copy."""
        return dict(self._record.properties)

    @property
    def description(self) -> str | None:
        """The description."""
        return self._record.description

    @property
    def operation_id(self) -> str:
        """What identifies the build: equal for images of the same content."""
        return self._record.plan_digest

    def serialize(self) -> dict[str, Any]:
        """Return all that is known as JSON types."""
        return {
            "id": self.id,
            "name": self.name,
            "version": self.version,
            "description": self.description,
            "tags": self.tags,
            "properties": self.properties,
            "createdTime": self.created_time.isoformat(),
            "createdBy": self.created_by,
            "creationState": self.creation_state,
            "creationError": self.creation_error,
            "imageType": self.image_type,
            "imageFlavor": self.image_flavor,
            "imageLocation": self.image_location,
            "imageDigest": self.image_digest,
            "imageBuildLogUri": self.image_build_log_uri,
            "generatedDockerfileUri": self.generated_dockerfile_uri,
            "operationId": self.operation_id,
            "modelIds": list(self.model_ids),
            "modelDetails": list(self.model_details),
            "buildStages": self.build_stages,
        }

    def _summary(self) -> Rows:
        return [
            ("Name", self.name),
            ("Version", str(self.version)),
            ("State", self.creation_state),
            ("Tags", pairs(self.tags)),
        ]

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(workspace={self.workspace.name}, name={self.name}, id={self.id}, "
            f"creation_state={self.creation_state})"
        )
