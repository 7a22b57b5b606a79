"""The spec of an endpoint: name, authentication, compute target, and one to six versions."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from mljupyter.spec.document import Document
from mljupyter.spec.names import ENDPOINT, VERSION
from mljupyter.spec.router import EndpointTls
from mljupyter.spec.texts import Texts
from mljupyter.spec.version import VersionSpec

MOST_VERSIONS = 6


class Authentication(StrEnum):
    """How a client authenticates."""

    NONE = "none"
    KEY = "key"
    TOKEN = "token"  # noqa: S105 - a word, no password


class EndpointKind(StrEnum):
    """The kind of deployment configuration of the endpoint. The values are those of `Webservice.compute_type`."""

    LOCAL = "LOCAL"
    ACI = "ACI"
    AKS = "AKS"
    AKS_ENDPOINT = "AKSENDPOINT"


class RateLimit(Document):
    """The rate limit of an endpoint: requests per second, and a burst above it. Further requests get 429."""

    requests_per_second: Annotated[int, Field(ge=1, le=1_000_000)]
    burst: Annotated[int, Field(ge=1, le=1_000_000)] | None = None


class EndpointSpec(Document):
    """The desired state of an endpoint: one scoring URI, its authentication and its versions.

    `default_version` gets the requests that no version's percentile claims. Requests with the same value of
    `sticky_header` go to the same version while the percentiles stay the same. With `tls` it has its own certificate
    and is not served without TLS.

    Example:
        >>> from mljupyter.spec import CodeReference, EndpointSpec, VersionSpec
        >>> code = CodeReference(digest="sha256:" + "0" * 64, entry_script="score.py")
        >>> spec = EndpointSpec(
        ...     name="diabetes", versions={"diabetes": VersionSpec(code=code)}, default_version="diabetes"
        ... )
        >>> spec.document()["authentication"]
        'none'

    """

    name: str
    kind: EndpointKind = EndpointKind.AKS
    compute_target: str = "local"
    authentication: Authentication = Authentication.NONE
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    default_version: str
    control_version: str | None = None
    sticky_header: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_\-]{0,99}$")] | None = None
    rate_limit: RateLimit | None = None
    tls: EndpointTls | None = None
    versions: Annotated[dict[str, VersionSpec], Field(min_length=1, max_length=MOST_VERSIONS)]
    description: str | None = None
    tags: Texts = {}
    properties: Texts = {}
    created_by: str | None = None

    @property
    def control(self) -> str:
        """The version that others are compared with: the control version, else the default version."""
        return self.control_version or self.default_version

    @property
    def namespace(self) -> str | None:
        """The namespace that its replicas run in on a cluster; None for that of the compute target."""
        placement = self.versions[self.default_version].placement
        return placement.namespace if placement is not None else None

    @property
    def model_ids(self) -> list[str]:
        """The ids of all models that any version serves."""
        return sorted({model.id for version in self.versions.values() for model in version.models})

    @model_validator(mode="after")
    def _rules_between_fields(self) -> Self:
        # SpecError is not a ValueError, so pydantic does not catch it and its text stays.
        ENDPOINT.check(self.name)
        for name in self.versions:
            VERSION.check(name)
        if self.default_version not in self.versions:
            raise ValueError(
                f"defaultVersion is {self.default_version!r}, which is not a version of {self.name!r}: "
                f"it has {', '.join(sorted(self.versions))}"
            )
        if self.control not in self.versions:
            raise ValueError(f"controlVersion is {self.control!r}: it has {', '.join(sorted(self.versions))}")
        if self.versions[self.default_version].mirror_percentile:
            raise ValueError(
                f"version {self.default_version!r} is the default and has a mirrorPercentile: the default version "
                "answers requests. Set its mirrorPercentile to 0, or make another version the default"
            )
        total = sum(version.traffic_percentile for version in self.versions.values())
        if total > 100:
            shares = ", ".join(f"{name} {version.traffic_percentile}" for name, version in self.versions.items())
            raise ValueError(f"the traffic percentiles add up to {total} ({shares}): at most 100")
        places = {name: one.placement.namespace if one.placement else None for name, one in self.versions.items()}
        if len(set(places.values())) > 1:
            listed = ", ".join(f"{name} in {place or 'that of the target'}" for name, place in places.items())
            raise ValueError(
                f"the versions name different namespaces ({listed}): an endpoint runs in one. Give all versions the "
                "same placement.namespace"
            )
        if self.kind is EndpointKind.LOCAL and self.authentication is not Authentication.NONE:
            raise ValueError("a local web service has no authentication: it listens only on this machine")
        if self.port is not None and self.tls is not None:
            raise ValueError("an endpoint with its own port has no TLS: it listens only on this machine")
        return self
