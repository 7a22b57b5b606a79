"""The documents that all parts exchange: validated, versionless, serialised in camelCase.

``%%deploy`` reads the same document that the controller stores and that a custom resource in a cluster holds.
"""

from mljupyter.spec.document import Document, SpecError
from mljupyter.spec.endpoint import Authentication, EndpointKind, EndpointSpec, RateLimit
from mljupyter.spec.history import RouterScalingDecision, RouterStep, ScalingDecision
from mljupyter.spec.placement import Placement, ReplicaDefaults, Toleration
from mljupyter.spec.rollout import Rollout, RolloutPhase, RolloutPlan
from mljupyter.spec.router import (
    CertificateFiles,
    CertificateSecret,
    ConnectionLimits,
    EndpointTls,
    PlainHttp,
    RouterScaling,
    RouterSpec,
    RouterTls,
)
from mljupyter.spec.status import (
    CertificateStatus,
    EndpointChanges,
    EndpointRecord,
    EndpointState,
    EndpointStatus,
    Problem,
    ReplicaPhase,
    ReplicaStatus,
    RouterRecord,
    RouterSize,
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
    "CertificateFiles",
    "CertificateSecret",
    "CertificateStatus",
    "CodeReference",
    "ConnectionLimits",
    "Document",
    "EndpointChanges",
    "EndpointKind",
    "EndpointRecord",
    "EndpointSpec",
    "EndpointState",
    "EndpointStatus",
    "EndpointTls",
    "LivenessProbe",
    "ModelReference",
    "NoCode",
    "Placement",
    "PlainHttp",
    "Problem",
    "RateLimit",
    "ReplicaDefaults",
    "ReplicaPhase",
    "ReplicaStatus",
    "RequestLimits",
    "Resources",
    "Rollout",
    "RolloutPhase",
    "RolloutPlan",
    "RouterRecord",
    "RouterScaling",
    "RouterScalingDecision",
    "RouterSize",
    "RouterSpec",
    "RouterStep",
    "RouterTls",
    "Scaling",
    "ScalingDecision",
    "SpecError",
    "Toleration",
    "VersionSpec",
    "VersionStatus",
]
