"""Show and change how the requests of an endpoint are divided, for commands that name versions as ``NAME=PERCENT``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mljupyter.exceptions import WebserviceException, as_webservice_exception
from mljupyter.outside import whole
from mljupyter.spec import EndpointRecord, VersionStatus

if TYPE_CHECKING:
    from mljupyter.core import Workspace

COLUMNS = ("Version", "Role", "Percentile", "Mirrored", "Weight", "Replicas", "State")
NO_HEADER = "none"
_IN_FORCE_WITHIN = 30.0


def divide(
    workspace: Workspace,
    name: str,
    shares: Sequence[str] = (),
    mirror: Sequence[str] = (),
    sticky_header: str | None = None,
) -> EndpointRecord:
    """Divide requests anew and return the endpoint when the router does so; with nothing given, just return it.

    Parameters:
        workspace: the workspace.
        name: the endpoint's name.
        shares: ``VERSION=PERCENT``, see `AksEndpoint.set_traffic`.
        mirror: in the same way, the share of the requests that is copied to a version.
        sticky_header: a header's name, or ``none``.

    Raises:
        WebserviceException: when there is no such endpoint or version, it has one version only, or a rule is broken.

    """
    from mljupyter.core.releases import versioned_endpoint
    from mljupyter.deploy.wait import follow, in_force

    percentiles, mirrored = shares_of(shares), shares_of(mirror)
    if not (percentiles or mirrored or sticky_header):
        with as_webservice_exception():
            return workspace.endpoints.endpoint(name)
    endpoint = versioned_endpoint(workspace, name)
    header = "" if sticky_header == NO_HEADER else sticky_header
    endpoint.set_traffic(percentiles or None, mirror=mirrored or None, sticky_header=header)
    return follow(workspace.endpoints, name, timeout=_IN_FORCE_WITHIN, tick=lambda: None, reached=in_force)


def shares_of(words: Sequence[str]) -> dict[str, int]:
    """Return the shares that words such as ``version-b=10`` stand for.

    Raises:
        WebserviceException: when a word is of another form, or names a version again.

    Example:
        >>> shares_of(["version-a=90", "version-b=10"])
        {'version-a': 90, 'version-b': 10}

    """
    found: dict[str, int] = {}
    for word in words:
        name, _, text = word.partition("=")
        share = whole(text.removesuffix("%"))
        if not name or share is None:
            raise WebserviceException(f"{word!r} is no share: write VERSION=PERCENT, for example version-b=10.")
        if name in found:
            raise WebserviceException(f"{name!r} is given twice: each version once.")
        found[name] = share
    return found


def rows(record: EndpointRecord) -> list[list[str]]:
    """Return what a table shows of the versions of an endpoint, the default one first."""
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
    """Return the same as JSON types. `weight` is the percentage of the requests that a version is sent now."""
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
