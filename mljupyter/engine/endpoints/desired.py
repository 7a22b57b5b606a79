"""The desired state of one version, from the endpoint's document and the number of replicas that are admitted."""

from __future__ import annotations

from mljupyter.engine.replicas.crash_backoff import NO_CRASH, CrashBackoff
from mljupyter.engine.replicas.replica_plan import DesiredVersion
from mljupyter.engine.replicas.revision import revision
from mljupyter.engine.scaling.capacity import Admission
from mljupyter.spec import EndpointRecord, VersionStatus


def proven(record: EndpointRecord, version: str) -> bool:
    """Return whether a version's revision is known to start, or known to fail.

    Until then one replica runs, also where the autoscaling policy allows zero.
    """
    spec = record.spec.versions[version]
    status = record.status.versions.get(version, VersionStatus())
    return revision(spec, record.spec.compute_target) in (status.ready_revision, status.failed_revision)


def desired_version(
    record: EndpointRecord, version: str, admission: Admission, crashes: CrashBackoff = NO_CRASH
) -> DesiredVersion:
    """Return the desired state of a version. A version that the endpoint no longer has gets no replica.

    Parameters:
        record: the endpoint.
        version: name of the version.
        admission: the number of replicas that the autoscaler wants and the machine has room for. It has no meaning
            for a version that the endpoint no longer has.
        crashes: the crashes of its replicas so far.

    """
    spec = record.spec.versions.get(version)
    status = record.status.versions.get(version, VersionStatus())
    if spec is None:
        return DesiredVersion("", 0, failed_revision=status.failed_revision, crashes=crashes)
    policy = spec.scaling.autoscale
    may_sleep = policy is not None and policy.min_replicas == 0 and not spec.mirror_percentile
    return DesiredVersion(
        revision=revision(spec, record.spec.compute_target),
        replicas=admission.replicas,
        ready_revision=status.ready_revision,
        failed_revision=status.failed_revision,
        crashes=crashes,
        most=policy.max_replicas if policy is not None and not admission.shortage else None,
        may_sleep=may_sleep,
        shortage=admission.shortage,
        wake_wait_ms=policy.max_wake_wait_ms if policy is not None and may_sleep else 0,
    )
