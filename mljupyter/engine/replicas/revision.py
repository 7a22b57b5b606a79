"""Revision: the fingerprint of everything that a version's replicas are started from."""

from __future__ import annotations

import hashlib
import json

from mljupyter.spec import VersionSpec

_KEEPS_REPLICAS = {"imageId", "scaling", "trafficPercentile", "mirrorPercentile", "description", "tags", "properties"}


def revision(spec: VersionSpec, target: str = "local") -> str:
    """Return a short fingerprint of everything a replica is started from, and of its compute target.

    Two specs with the same revision can share their replicas: they differ in scaling, traffic and descriptions only.

    Example:
        >>> from mljupyter.spec import CodeReference, VersionSpec
        >>> one = VersionSpec(code=CodeReference(digest="sha256:" + "0" * 64, entry_script="score.py"))
        >>> revision(one) == revision(one.model_copy(update={"traffic_percentile": 20}))
        True
        >>> revision(one) == revision(one.model_copy(update={"reload": 1}))
        False

    """
    parts = {key: value for key, value in spec.document().items() if key not in _KEEPS_REPLICAS}
    if not parts.get("appInsightsEnabled"):
        parts.pop("appInsightsEnabled", None)  # as in releases without this field, so that existing replicas stay
    canonical = json.dumps([target, parts], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]
