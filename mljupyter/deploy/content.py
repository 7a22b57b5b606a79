"""The content of a version: code and models by digest, and the start parameters of its scoring script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mljupyter.spec import CodeReference, ModelReference, NoCode, Resources
from mljupyter.spec.version import ModelDelivery


@dataclass(frozen=True)
class VersionContent:
    """Everything that a version serves.

    Parameters:
        code: the scoring script with its directory; None if a framework serves the model.
        models: the models.
        image: the reference of an image with code and models in it, for targets that run images.
        image_id: the image's id in the workspace's catalog.
        interpreter: the absolute path of a Python on this machine, for targets that run processes.
        environment_variables: variables of the scoring script.
        source: the absolute path that the code was read from; `LocalWebservice.reload` reads it again.
        description: free text.
        no_code: the framework that serves the model without a scoring script.
        resources: the size that the model was registered with.
        model_delivery: ``mount`` if the models are not in the image; ``bake`` if they are by the wish of the user.
        model_bytes: the space that mounted models take on a node.

    """

    code: CodeReference | None
    models: Sequence[ModelReference] = ()
    image: str | None = None
    image_id: str | None = None
    interpreter: str | None = None
    environment_variables: Mapping[str, str] = field(default_factory=dict)
    source: str | None = None
    description: str | None = None
    no_code: NoCode | None = None
    resources: Resources | None = None
    model_delivery: ModelDelivery | None = None
    model_bytes: int | None = None
