"""The documents that all parts exchange: validated, versionless, serialised in camelCase.

The same document is what ``%%deploy`` reads, what the controller stores and what a cluster's custom resource holds.
"""

from mljupyter.spec.document import Document, SpecError
from mljupyter.spec.endpoint import Authentication, EndpointKind, EndpointSpec
from mljupyter.spec.status import (
    EndpointRecord,
    EndpointState,
    EndpointStatus,
    Problem,
    ReplicaPhase,
    ReplicaStatus,
    VersionStatus,
)
from mljupyter.spec.version import (
    AutoscalePolicy,
    CodeReference,
    LivenessProbe,
    ModelReference,
    NoCode,
    RequestLimits,
    Resources,
    Scaling,
    VersionSpec,
)

__all__ = [
    "Authentication",
    "AutoscalePolicy",
    "CodeReference",
    "Document",
    "EndpointKind",
    "EndpointRecord",
    "EndpointSpec",
    "EndpointState",
    "EndpointStatus",
    "LivenessProbe",
    "ModelReference",
    "NoCode",
    "Problem",
    "ReplicaPhase",
    "ReplicaStatus",
    "RequestLimits",
    "Resources",
    "Scaling",
    "SpecError",
    "VersionSpec",
    "VersionStatus",
]
