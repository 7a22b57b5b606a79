"""The status of an endpoint: states, replicas and problems, as observed."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator

from mljupyter.spec.document import Document
from mljupyter.spec.endpoint import EndpointSpec
from mljupyter.spec.history import RouterScalingDecision
from mljupyter.spec.rollout import Rollout
from mljupyter.spec.router import RouterScaling, RouterSpec
from mljupyter.visible import visible

Shown = Annotated[str, AfterValidator(visible)]
"""Text for terminals and notebooks. It may quote the output of a script."""


class EndpointState(StrEnum):
    """State of an endpoint or version (Azure ML v1: Webservice states)."""

    TRANSITIONING = "Transitioning"
    HEALTHY = "Healthy"
    UNHEALTHY = "Unhealthy"
    UNSCHEDULABLE = "Unschedulable"
    FAILED = "Failed"
    DELETING = "Deleting"


class ReplicaPhase(StrEnum):
    """The phase in the life of a replica."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    EXITED = "exited"


class Problem(Document):
    """A problem: a code to search for, a sentence, and the last lines of the log."""

    code: str
    message: Shown
    last_lines: list[Shown] = []

    def text(self) -> str:
        """Return the problem as text: the sentence, then the last lines of the log."""
        if not self.last_lines:
            return f"{self.code}: {self.message}"
        return "\n".join([f"{self.code}: {self.message} Last lines:", *(f"  {line}" for line in self.last_lines)])


class CertificateStatus(Document):
    """A certificate in use. `problem` says why a newer one is not used, or that this one expires soon."""

    names: list[str]
    issuer: str
    not_before: datetime
    not_after: datetime
    fingerprint: str
    problem: Problem | None = None


class ReplicaStatus(Document):
    """One running copy of a version."""

    id: str
    phase: ReplicaPhase
    revision: str
    pid: int | None = None
    started_time: datetime | None = None


class VersionStatus(Document):
    """The observed state of one version.

    `weight` is its current percentage of requests. It differs from its percentile when it has no replicas (0), or when
    it gets the share of other versions. `ready_revision` is the newest revision whose replicas were all ready;
    `failed_revision` is a revision that failed to start.
    """

    state: EndpointState = EndpointState.TRANSITIONING
    revision: str = ""
    replicas_wanted: int = 0
    replicas_ready: int = 0
    weight: int = 0
    replicas: list[ReplicaStatus] = []
    restarts: int = 0
    ready_revision: str | None = None
    failed_revision: str | None = None
    problem: Problem | None = None


class EndpointStatus(Document):
    """The observed state of an endpoint. `default_version` gets the requests that no other version claims.

    `certificate` is the one in use, when TLS is on.
    """

    state: EndpointState = EndpointState.TRANSITIONING
    observed_generation: int = 0
    scoring_uri: str | None = None
    swagger_uri: str | None = None
    default_version: str | None = None
    versions: dict[str, VersionStatus] = {}
    certificate: CertificateStatus | None = None
    problem: Problem | None = None

    @property
    def replicas(self) -> str:
        """The ready and desired replicas of all versions: ``2/3``."""
        ready = sum(version.replicas_ready for version in self.versions.values())
        return f"{ready}/{sum(version.replicas_wanted for version in self.versions.values())}"


class EndpointRecord(Document):
    """The controller's record of an endpoint: spec (desired state) and status (observed state).

    `generation` counts changes of the spec, `resource_version` changes of the whole record. `rollout` is the current
    rollout, or the last one.
    """

    spec: EndpointSpec
    status: EndpointStatus
    generation: int
    resource_version: int
    created_time: datetime
    updated_time: datetime
    deleting: bool = False
    rollout: Rollout | None = None

    @property
    def rolls_out(self) -> bool:
        """Whether a rollout controls versions and shares now."""
        return self.rollout is not None and self.rollout.active


class EndpointChanges(Document):
    """The endpoints of a control plane that have changed since a reader has asked last.

    `token` is for the next question. `whole` says that `records` has all endpoints, because the reader's token was
    unknown.
    """

    token: str
    whole: bool
    records: list[EndpointRecord] = []
    removed: list[str] = []


class RouterSize(Document):
    """The size of a cluster's router: what the self-scaler wants, what it has measured, and its last decisions.

    `settings` is None without self-scaling. `routing_ms` is the time to route a request, `utilization` the percentage
    of the requested cores in use; both None before the first measurement. `reason` is why the size stays or changes.
    """

    pods: int
    ready: int
    cpu: float
    settings: RouterScaling | None = None
    routing_ms: float | None = None
    utilization: float | None = None
    reason: str = ""
    decisions: list[RouterScalingDecision] = []


class RouterRecord(Document):
    """The desired and observed state of the router.

    `certificates` are those in use: the router's by the empty name, those of endpoints by their names. `trust` has the
    certificates in PEM that a client on this machine trusts. `authority_file` is the workspace's own authority. `size`
    is that of a cluster's router; the one of a machine is a single process.
    """

    spec: RouterSpec
    port: int
    certificates: dict[str, CertificateStatus] = {}
    problems: list[Problem] = []
    trust: str = ""
    authority_file: str | None = None
    token_keys: list[str] = []
    size: RouterSize | None = None
