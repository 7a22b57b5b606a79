"""The documents that all parts exchange: validated, versionless, serialised in camelCase.

``%%deploy`` reads the same document that the controller stores and that a custom resource in a cluster holds.
"""

from mljupyter.spec.document import Document, SpecError
from mljupyter.spec.endpoint import Authentication, EndpointKind, EndpointSpec, RateLimit
from mljupyter.spec.history import RouterScalingDecision, RouterStep, ScalingDecision
from mljupyter.spec.rollout import Rollout, RolloutPhase, RolloutPlan
from mljupyter.spec.router import CertificateFiles, ConnectionLimits, PlainHttp, RouterScaling, RouterSpec, RouterTls
from mljupyter.spec.status import (
    CertificateStatus,
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
    "CertificateStatus",
    "CodeReference",
    "ConnectionLimits",
    "Document",
    "EndpointKind",
    "EndpointRecord",
    "EndpointSpec",
    "EndpointState",
    "EndpointStatus",
    "LivenessProbe",
    "ModelReference",
    "NoCode",
    "PlainHttp",
    "Problem",
    "RateLimit",
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
    "VersionSpec",
    "VersionStatus",
]
