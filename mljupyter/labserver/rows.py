"""The endpoints as the page lists them: small documents, so that a thousand of them are a few hundred kilobytes."""

from __future__ import annotations

from typing import Any

from mljupyter.engine.rollout.traffic import weights
from mljupyter.spec import CertificateStatus, EndpointRecord, Problem


def row_of(record: EndpointRecord) -> dict[str, Any]:
    """Return an endpoint as the page lists it.

    Example of a part: ``{"name": "iris", "state": "Healthy", "ready": 2, "wanted": 2, "versions": [...]}``.
    """
    spec, status = record.spec, record.status
    shares = weights({name: item.traffic_percentile for name, item in spec.versions.items()}, spec.default_version)
    return {
        "name": spec.name,
        "kind": str(spec.kind),
        "target": spec.compute_target,
        "state": str(status.state),
        "problem": _problem(status.problem),
        "uri": status.scoring_uri or "",
        "authentication": str(spec.authentication),
        "rollout": record.rolls_out,
        "ready": sum(item.replicas_ready for item in status.versions.values()),
        "wanted": sum(item.replicas_wanted for item in status.versions.values()),
        "generation": record.generation,
        "updated": record.updated_time.timestamp(),
        "certificate": _certificate(status.certificate),
        "versions": [_version(record, name, shares.get(name, 0)) for name in spec.versions],
    }


def _version(record: EndpointRecord, name: str, share: int) -> dict[str, Any]:
    version, status = record.spec.versions[name], record.status.versions.get(name)
    return {
        "name": name,
        "isDefault": name == (record.status.default_version or record.spec.default_version),
        "share": share,
        "weight": status.weight if status else 0,
        "state": str(status.state) if status else "",
        "problem": _problem(status.problem) if status else None,
        "ready": status.replicas_ready if status else 0,
        "wanted": status.replicas_wanted if status else 0,
        "models": [f"{model.name}:{model.version}" for model in version.models],
        "replicas": [{"id": item.id, "phase": str(item.phase)} for item in status.replicas] if status else [],
    }


def _certificate(certificate: CertificateStatus | None) -> dict[str, Any] | None:
    """Return the end of a certificate, and its problem: within thirty days of the end it has one."""
    if certificate is None:
        return None
    return {"ends": certificate.not_after.timestamp(), "problem": _problem(certificate.problem)}


def _problem(problem: Problem | None) -> dict[str, Any] | None:
    return None if problem is None else {"code": problem.code, "message": problem.message}
