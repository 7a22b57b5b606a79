"""The spec of the router: address, TLS, limits of connections; on a cluster, its self-scaling."""

from __future__ import annotations

import re
from enum import StrEnum
from ipaddress import ip_address
from typing import Annotated, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from mljupyter.spec.document import Document

Percent = Annotated[int, Field(ge=1, le=45)]  # half of the CPU, or of two pods, then has at most 90 % to do
LOOPBACK = "127.0.0.1"
VERSION_HEADERS = ("azureml-model-deployment", "mljupyter-version")
"""The headers of a request that choose a version of an endpoint."""
_HOST = re.compile(r"(?=.{1,253}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?")


def _host_name(host: str) -> str:
    if not _HOST.fullmatch(host.lower()):
        raise ValueError("labels of 1 to 63 letters, digits and '-', for example scoring.example.org")
    return host.lower()


HostName = Annotated[str, AfterValidator(_host_name)]


class PlainHttp(StrEnum):
    """The treatment of requests without TLS when TLS is on."""

    REDIRECT = "redirect"
    CLOSE = "close"


class CertificateFiles(Document):
    """A certificate of the user: two PEM files, which are watched for changes, and the host name that clients use.

    The certificate's file contains the chain: the certificate first, then its issuers.
    """

    host: HostName
    certificate_file: Annotated[str, Field(pattern=r"^/")]
    key_file: Annotated[str, Field(pattern=r"^/")]


class CertificateSecret(Document):
    """A certificate of the user in a Secret of a cluster, which is watched for changes, and the host name of clients.

    The Secret is of the type ``kubernetes.io/tls``, in the namespace of the router.
    """

    host: HostName
    name: HostName  # the rule for names of Secrets is the same


class EndpointTls(Document):
    """The own certificate of an endpoint, and the host name of its clients.

    It is in two PEM files on one machine, in a Secret on a cluster. Both are watched for changes.
    """

    host: HostName
    certificate_file: Annotated[str, Field(pattern=r"^/")] | None = None
    key_file: Annotated[str, Field(pattern=r"^/")] | None = None
    secret: HostName | None = None

    @property
    def own(self) -> CertificateFiles | CertificateSecret:
        """The place of the certificate."""
        if self.secret is not None:
            return CertificateSecret(host=self.host, name=self.secret)
        return CertificateFiles(
            host=self.host, certificate_file=str(self.certificate_file), key_file=str(self.key_file)
        )

    @model_validator(mode="after")
    def _files_or_a_secret(self) -> Self:
        files = (self.certificate_file, self.key_file)
        fits = None not in files if self.secret is None else files == (None, None)
        if not fits:
            raise ValueError("give either certificateFile and keyFile, or on a cluster the name of a secret")
        return self


class RouterTls(Document):
    """TLS for all endpoints: a certificate of the user, or one that the workspace signs for a leaf domain label.

    The user's certificate is in files on one machine, in a Secret on a cluster.
    """

    files: CertificateFiles | None = None
    secret: CertificateSecret | None = None
    leaf_domain_label: str | None = None

    @property
    def own(self) -> CertificateFiles | CertificateSecret | None:
        """The place of the user's certificate; None if the workspace signs one."""
        return self.files if self.files is not None else self.secret

    @field_validator("leaf_domain_label")
    @classmethod
    def _a_label(cls, label: str | None) -> str | None:
        if label is not None and not _LABEL.fullmatch(label):
            raise ValueError("1 to 50 lower-case letters, digits and '-'; a letter or digit first and last")
        return label

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if [self.files, self.secret, self.leaf_domain_label].count(None) != 2:
            raise ValueError("give either a certificate with its key and host, or a leafDomainLabel")
        return self


class ConnectionLimits(Document):
    """Limits of the router for connections and clients.

    Parameters:
        headers_seconds: the timeout for the headers of a request; after it, 408.
        request_seconds: the timeout for the whole request; after it, 408.
        idle_seconds: the timeout of an idle connection between requests; after it, the connection is closed.
        max_connections: the number of concurrent connections; further ones are closed at once.
        max_memory_mb: the memory limit of the router; requests are refused before it is exceeded. None for a quarter
            of the machine's memory, at most 8 GB.

    """

    headers_seconds: Annotated[float, Field(gt=0, le=3600)] = 10
    request_seconds: Annotated[float, Field(gt=0, le=86_400)] = 300
    idle_seconds: Annotated[float, Field(gt=0, le=86_400)] = 600
    max_connections: Annotated[int, Field(ge=1, le=10_000)] = 10_000
    max_memory_mb: Annotated[int, Field(ge=128, le=1 << 20)] | None = None


class RouterSpec(Document):
    """The desired configuration of a workspace's router.

    Parameters:
        address: the IP address it listens on. Other than loopback is allowed only if every endpoint has authentication.
        allow_without_authentication: lifts that rule.
        hosts: further host names for requests, besides this machine's own and those of certificates; for example the
            name of a proxy in front of the router. Endpoints with keys or tokens accept any host name.
        tls: None for plain HTTP.
        plain_http: the treatment of requests without TLS when TLS is on.
        limits: limits of connections.
        token_seconds: the validity of a token in seconds.

    """

    address: str = LOOPBACK
    allow_without_authentication: bool = False
    hosts: tuple[str, ...] = ()
    tls: RouterTls | None = None
    plain_http: PlainHttp = PlainHttp.REDIRECT
    limits: ConnectionLimits = ConnectionLimits()
    token_seconds: Annotated[int, Field(ge=60, le=30 * 86_400)] = 12 * 3600

    @field_validator("address")
    @classmethod
    def _an_ip_address(cls, address: str) -> str:
        try:
            return str(ip_address(address))
        except ValueError:
            raise ValueError("an IP address, for example 127.0.0.1 for this machine alone, 0.0.0.0 for all") from None

    @field_validator("hosts")
    @classmethod
    def _host_names(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            if not _HOST.fullmatch(host.lower()):
                raise ValueError(
                    f"{host!r} is not a host name: labels of letters, digits and '-', without scheme and port"
                )
        return tuple(dict.fromkeys(host.lower() for host in hosts))

    @property
    def beyond_loopback(self) -> bool:
        """Whether other machines can reach the router."""
        return not ip_address(self.address).is_loopback


class RouterScaling(Document):
    """The settings of the self-scaling of a cluster's router (Azure ML v1: azureml-fe, self-scaler).

    Parameters:
        min_pods, max_pods: the bounds of the number of pods.
        min_cpu, max_cpu: the bounds of the cores that each pod requests.
        routing_ms: the time to route a request in milliseconds above which the router grows.
        up_seconds: how long the time must be above it until each pod gets more cores.
        out_seconds: how long, when pods have the most cores, until there is one more pod.
        down_utilization: the percentage of the requested cores in use below which each pod gets fewer.
        in_utilization: the percentage below which there is one pod fewer, when pods have the fewest cores.
        shrink_seconds: how long the use must be below it. It doubles, up to an hour, when the router had to grow soon
            after it has shrunk.
        room_seconds: the pause after the cluster had no room.

    """

    min_pods: Annotated[int, Field(ge=1, le=1000)] = 3
    max_pods: Annotated[int, Field(ge=1, le=1000)] = 10
    min_cpu: Annotated[float, Field(ge=0.01, le=256)] = 0.5
    max_cpu: Annotated[float, Field(ge=0.01, le=256)] = 1.0
    routing_ms: Annotated[float, Field(gt=0, le=60_000)] = 3.0
    up_seconds: Annotated[float, Field(ge=0, le=86_400)] = 15.0
    out_seconds: Annotated[float, Field(ge=0, le=86_400)] = 30.0
    down_utilization: Percent = 30
    in_utilization: Percent = 20
    shrink_seconds: Annotated[float, Field(ge=0, le=86_400)] = 300.0
    room_seconds: Annotated[float, Field(ge=0, le=86_400)] = 300.0

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min_pods > self.max_pods:
            raise ValueError(f"min_pods is {self.min_pods}, above max_pods {self.max_pods}")
        if self.min_cpu > self.max_cpu:
            raise ValueError(f"min_cpu is {self.min_cpu:g}, above max_cpu {self.max_cpu:g}")
        if self.in_utilization > self.down_utilization:
            raise ValueError(
                f"in_utilization is {self.in_utilization}, above down_utilization {self.down_utilization}: "
                "pods get fewer cores before there are fewer pods"
            )
        return self
