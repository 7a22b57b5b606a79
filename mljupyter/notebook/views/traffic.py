"""Table of the versions of an endpoint with their traffic shares, for ``%traffic`` and the command line."""

from __future__ import annotations

from typing import Any

from mljupyter.engine.rollout.traffic import weights
from mljupyter.spec import EndpointRecord, VersionStatus

COLUMNS = ("Version", "Role", "Share configured", "Copies", "Replicas", "State")


def rows(record: EndpointRecord) -> list[list[str]]:
    """Return the rows of a table with `COLUMNS`, the default version first.

    A share is that of all requests: the default version also has the part that no version was given. Copies are the
    percentage of the requests that a version gets in addition, without its answers being used.
    """
    spec = record.spec
    configured = weights(
        {name: version.traffic_percentile for name, version in spec.versions.items()}, spec.default_version
    )
    return [
        [
            item["version"],
            ", ".join(item["roles"]),
            share_text(configured.get(item["version"], 0), item["weight"]),
            f"{item['mirrorPercentile']} %" if item["mirrorPercentile"] else "-",
            item["replicas"],
            item["state"],
        ]
        for item in documents(record)
    ]


def share_text(configured: int, weight: int) -> str:
    """Return a share of the requests; with the present one while that differs, for example until replicas are ready.

    Parameters:
        configured: the share as it was set, in percent.
        weight: the percentage that the router sends to the version now.

    Example:
        >>> share_text(30, 30), share_text(30, 0)
        ('30 %', '30 % (now 0 %)')

    """
    return f"{configured} %" if configured == weight else f"{configured} % (now {weight} %)"


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
