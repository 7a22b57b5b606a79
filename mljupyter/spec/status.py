"""The status of an endpoint: states, replicas and problems, as observed."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator

from mljupyter.spec.document import Document
from mljupyter.spec.endpoint import EndpointSpec
from mljupyter.spec.rollout import Rollout
from mljupyter.spec.router import RouterSpec
from mljupyter.visible import visible

Shown = Annotated[str, AfterValidator(visible)]
"""Text that is shown in terminals and notebooks, and may quote what a script has written."""


class EndpointState(StrEnum):
    """State of an endpoint or version (Azure ML v1: Webservice states)."""

    TRANSITIONING = "Transitioning"
    HEALTHY = "Healthy"
    UNHEALTHY = "Unhealthy"
    UNSCHEDULABLE = "Unschedulable"
    FAILED = "Failed"
    DELETING = "Deleting"


class ReplicaPhase(StrEnum):
    """Where a replica is in its life."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    EXITED = "exited"


class Problem(Document):
    """What went wrong: a code to search for, a sentence, and the last lines of the log."""

    code: str
    message: Shown
    last_lines: list[Shown] = []

    def text(self) -> str:
        """Return the problem as text: the sentence, then the last lines of the log."""
        if not self.last_lines:
            return f"{self.code}: {self.message}"
        return "\n".join([f"{self.code}: {self.message} Last lines:", *(f"  {line}" for line in self.last_lines)])


class CertificateStatus(Document):
    """A certificate in use. `problem` says why a newer one is not used, or that this one ends soon."""

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
    """One version as observed.

    `weight` is the percentage of requests it is sent now, which differs from its percentile where that is 0 for want
    of replicas, or more for what others leave to it. `ready_revision` is the newest revision whose replicas were all
    ready; `failed_revision` one whose start failed.
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
    """An endpoint as observed. `default_version` is the one that is sent what no other version claims.

    `certificate` is the one that it is served with, where TLS is on.
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
        """Replicas ready and wanted, of all versions: ``2/3``."""
        ready = sum(version.replicas_ready for version in self.versions.values())
        return f"{ready}/{sum(version.replicas_wanted for version in self.versions.values())}"


class EndpointRecord(Document):
    """An endpoint as the controller keeps it: what is wanted and what is observed.

    `generation` counts changes of the spec, `resource_version` changes of the whole record. `rollout` is the one under
    way, or the last one.
    """

    spec: EndpointSpec
    status: EndpointStatus
    generation: int
    resource_version: int
    created_time: datetime
    updated_time: datetime
    deleting: bool = False
    rollout: Rollout | None = None


class RouterRecord(Document):
    """The router as wanted and observed.

    `certificates` are those in use: that of the router by the empty name, those of endpoints by their names. `trust`
    is what a client on this machine trusts: certificates in PEM. `authority_file` is the workspace's own authority.
    """

    spec: RouterSpec
    port: int
    certificates: dict[str, CertificateStatus] = {}
    problems: list[Problem] = []
    trust: str = ""
    authority_file: str | None = None
    token_keys: list[str] = []
