"""Table of the versions of an endpoint with their traffic shares, for ``%traffic`` and the command line."""

from __future__ import annotations

from typing import Any

from mljupyter.spec import EndpointRecord, VersionStatus

COLUMNS = ("Version", "Role", "Percentile", "Mirrored", "Weight", "Replicas", "State")


def rows(record: EndpointRecord) -> list[list[str]]:
    """Return the rows of a table with `COLUMNS`, the default version first."""
    return [
        [
            item["version"],
            ", ".join(item["roles"]),
            str(item["trafficPercentile"]),
            str(item["mirrorPercentile"]),
            str(item["weight"]),
            item["replicas"],
            item["state"],
        ]
        for item in documents(record)
    ]


def documents(record: EndpointRecord) -> list[dict[str, Any]]:
    """Return the versions as JSON types, the default version first.

    `trafficPercentile` is the share as it was set; `weight` is the percentage of the requests that the router sends to
    the version now.
    """
    spec = record.spec
    found = []
    for name in sorted(spec.versions, key=lambda name: (name != spec.default_version, name)):
        version, status = spec.versions[name], record.status.versions.get(name, VersionStatus())
        found.append(
            {
                "version": name,
                "roles": [
                    *(["default"] if name == spec.default_version else []),
                    "control" if name == spec.control else "treatment",
                ],
                "trafficPercentile": version.traffic_percentile,
                "mirrorPercentile": version.mirror_percentile,
                "weight": status.weight,
                "replicas": f"{status.replicas_ready}/{status.replicas_wanted}",
                "state": status.state.value,
            }
        )
    return found
