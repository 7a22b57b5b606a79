"""Recommended maximum size of the models of a container instance (Azure ML v1)."""

from __future__ import annotations

from mljupyter.registry.artifacts.store import ArtifactStore
from mljupyter.spec import EndpointKind, EndpointSpec

MOST_BYTES = 1 << 30


def size_warning(spec: EndpointSpec, artifacts: ArtifactStore, most_bytes: int = MOST_BYTES) -> str | None:
    """Return a warning for an ACI web service with large models, else None.

    The service is deployed nevertheless, because the memory of the machine is the real limit.

    Parameters:
        spec: the web service.
        artifacts: has the models.
        most_bytes: the recommended maximum for the models of a version together.

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
