"""The client of a cluster's control plane: the operator, reached through the API server."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from mljupyter.client.errors import ControllerError, ControllerStartError, EndpointNotFoundError
from mljupyter.client.http import HttpEndpointClient
from mljupyter.client.reach import Reach
from mljupyter.controller.tls.certificate_manager import read_pair
from mljupyter.engine.envoy.listener import SERVICE_PREFIX
from mljupyter.files import write_whole
from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.objects.publishing import KINDS
from mljupyter.kubernetes.operator.router_address import RouterAddress, external_address
from mljupyter.runtimes.base import RuntimeUnavailableError, Usage
from mljupyter.spec import (
    CertificateFiles,
    CertificateSecret,
    EndpointChanges,
    EndpointRecord,
    EndpointSpec,
    EndpointTls,
    RouterRecord,
    RouterSpec,
    RouterTls,
)
from mljupyter.spec.document import SpecError
from mljupyter.spec.status import EndpointStatus
from mljupyter.targets.kubernetes.attached import AttachedCluster
from mljupyter.targets.kubernetes.cluster import Cluster, ClusterError, ClusterUnreachableError
from mljupyter.targets.kubernetes.forwarding import LOOPBACK, Forwarder
from mljupyter.targets.kubernetes.installation_state import installation_state
from mljupyter.targets.kubernetes.publishing import publication
from mljupyter.targets.kubernetes.transport import ClusterTransport

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_PROBE_SECONDS = 1.0
_LOOK_AGAIN_SECONDS = 1.0
_PROBE_AGAIN_SECONDS = 30.0
_STORED = "stored"
"""The token of endpoints that were read from custom resources. It is unknown to an operator, which then sends all."""
_DIRECT = "answers at the address of the routers: {}"
_FORWARDED = "goes through a port-forward of this process: other processes use `kubectl port-forward`"


class ClusterClient(HttpEndpointClient):
    """A client of the operator of one attached cluster. It connects when it is first used.

    Parameters:
        attached: the cluster.
        authority_file: where to put the certificate of the authority that signs certificates there.

    """

    def __init__(self, attached: AttachedCluster, authority_file: Path) -> None:
        self.attached = attached
        self._authority_file = authority_file
        self.cluster = Cluster(attached.access)
        transport = ClusterTransport(
            self.cluster,
            attached.namespace,
            attached.name,
            lambda: installation_state(self.cluster, attached.namespace).text,
        )
        super().__init__(transport)
        self._lock = threading.Lock()
        self._forwarders: dict[int, Forwarder] = {}
        self._answers: dict[tuple[str, int], tuple[bool, float]] = {}  # whether, and when it was tried

    def __repr__(self) -> str:
        return f"ClusterClient({self.attached.name!r})"

    def close(self) -> None:
        """Close the connections to the cluster."""
        with self._lock:
            for forwarder in self._forwarders.values():
                forwarder.close()
            self._forwarders.clear()
        self.cluster.close()

    def endpoints(self) -> list[EndpointRecord]:
        """Return all endpoints; read from the custom resources if the operator does not answer."""
        try:
            return super().endpoints()
        except ControllerStartError as error:
            return [self._stored(item) for item in self._resources(error)]

    def endpoint(self, name: str) -> EndpointRecord:
        """Return an endpoint; read from its custom resource if the operator does not answer."""
        try:
            return super().endpoint(name)
        except ControllerStartError as error:
            return self._stored_one(name, error)

    def watch(self, name: str, after: int, timeout: float) -> EndpointRecord:
        """Return an endpoint as soon as its resource version is above `after`, or after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        try:
            return super().watch(name, after, timeout)
        except ControllerStartError as error:
            record = self._stored_one(name, error)
            while record.resource_version <= after and (left := deadline - time.monotonic()) > 0:
                time.sleep(min(_LOOK_AGAIN_SECONDS, left))
                record = self._stored_one(name, error)
            return record

    def changes(self, after: str, timeout: float) -> EndpointChanges:
        """Return what has changed in any endpoint since the state of a token.

        If the operator does not answer, all endpoints are read from the custom resources, once a second at most.
        """
        try:
            return super().changes(after, timeout)
        except ControllerStartError as error:
            if after == _STORED:
                time.sleep(min(_LOOK_AGAIN_SECONDS, timeout))
            records = [self._stored(item) for item in self._resources(error)]
            return EndpointChanges(token=_STORED, whole=True, records=records)

    def router(self) -> RouterRecord:
        """Return the settings of the routers, their certificates, and their problems."""
        return self._router_record(self._transport.ask("GET", "/v1/router").body)

    def put_router(self, spec: RouterSpec, *, overwrite_domain: bool = False) -> RouterRecord:
        """Change the TLS and the limits of the routers; return when the change is in force.

        A certificate in files of this machine is sent to the operator, which stores it in a Secret.

        Raises:
            CertificateError: the certificate cannot be used.
            DomainExistsError: another leaf domain label exists, and `overwrite_domain` is not set.

        """
        body: dict[str, Any] = {"overwriteDomain": overwrite_domain}
        if spec.tls is not None and spec.tls.files is not None:
            pair = read_pair(spec.tls.files, datetime.now(UTC))
            body["certificate"] = {"chain": pair.certificate, "key": pair.key}
            secret = CertificateSecret(host=spec.tls.files.host, name=names.CERTIFICATE_SECRET)
            spec = spec.model_copy(update={"tls": RouterTls(secret=secret)})
        body["spec"] = spec.document()
        return self._router_record(self._transport.ask("PUT", "/v1/router", body=body).body)

    def _sent(self, spec: EndpointSpec) -> dict[str, Any]:
        """Return the members of a request: also the certificate of the endpoint, if that is in files of this machine.

        Raises:
            CertificateError: it cannot be used.

        """
        own = spec.tls.own if spec.tls is not None else None
        if not isinstance(own, CertificateFiles):
            return super()._sent(spec)
        pair = read_pair(own, datetime.now(UTC))
        secret = names.certificate_secret(spec.name, pair.certificate)
        spec = spec.model_copy(update={"tls": EndpointTls(host=own.host, secret=secret)})
        return {**super()._sent(spec), "certificate": {"chain": pair.certificate, "key": pair.key}}

    def _router_record(self, body: bytes) -> RouterRecord:
        """Return a record with the authority's certificate in a file of this machine instead of one of the operator."""
        record = RouterRecord.parse(body)
        if record.authority_file is None or (found := _CERTIFICATE.search(record.trust)) is None:
            return record.model_copy(update={"authority_file": None})
        write_whole(self._authority_file, f"{found.group()}\n")
        return record.model_copy(update={"authority_file": str(self._authority_file)})

    def rotate_token_keys(self, *, revoke: bool = False) -> list[str]:
        """Sign tokens with a new key from now on; return the names of the keys.

        Parameters:
            revoke: refuse the existing tokens from now on.

        """
        answer = self._transport.ask("POST", "/v1/router/token-keys", body={"revoke": revoke})
        found: list[str] = answer.json()["tokenKeys"]
        return found

    def usage(self, replica_id: str) -> Usage:
        """Return CPU time and memory of a replica, as its container measures them now.

        Parameters:
            replica_id: the id of the replica.

        Raises:
            RuntimeUnavailableError: the replica has ended, or the cluster does not answer.

        """
        try:
            found = self._transport.ask("GET", f"/v1/replicas/{quote(replica_id, safe='')}/usage").json()
        except ControllerError as error:
            raise RuntimeUnavailableError(f"the replica {replica_id} cannot be measured: {error.message}") from None
        return Usage(found["cpuSeconds"], found["memoryBytes"])

    def status(self) -> dict[str, Any]:
        """Return the operator's status document."""
        document: dict[str, Any] = self._transport.ask("GET", "/v1/status", start=False).json()
        return document

    def reach(self) -> Reach:
        """Return how this process connects to scoring URIs with TLS, and the certificates that are trusted for them."""
        trust = self.router().trust
        with self._lock:
            forwarder = self._forwarders.get(names.ROUTER_PORT)
        system = self.attached.service_type in KINDS  # the certificate is that of an Ingress or a Gateway
        return (
            Reach(trust=trust, system=system) if forwarder is None else Reach(LOOPBACK, trust, forwarder.port, system)
        )

    def router_address(self) -> RouterAddress:
        """Return the address of the routers for clients outside the cluster: that of their Ingress or HTTPRoute first.

        Raises:
            ControllerError: the cluster cannot be reached, or refuses.

        """
        found = None
        with contextlib.suppress(ClusterError):  # the right to read it may be missing
            found = publication(self.cluster, self.attached.service_type, self.attached.namespace)
        if found is not None and found.address is not None:
            return found.address
        service = self.cluster.find(f"{names.services(self.attached.namespace)}/{names.ROUTER}")
        try:
            nodes = self.cluster.items(names.nodes())
        except ClusterError:  # the right to list nodes is missing
            nodes = []
        return external_address(service, nodes, self.attached.namespace)

    def way_of(self, uri: str | None) -> str:
        """Return how a scoring URI of `endpoint` is reached, for people."""
        port = urlsplit(uri).port if uri else None
        if any(forwarder.port == port for forwarder in self._forwarders.values()):
            return _FORWARDED
        return _DIRECT.format(self.attached.service_type)

    def _read(self, document: Mapping[str, Any] | bytes) -> EndpointRecord:
        return self._reachable(EndpointRecord.parse(document))

    def _reachable(self, record: EndpointRecord) -> EndpointRecord:
        """Return a record with URIs that answer from this process."""
        uri, swagger = record.status.scoring_uri, record.status.swagger_uri
        if uri is None:
            return record
        # A certificate of the routers or of the endpoint means that TLS ends at the routers, and not before them.
        before = self.attached.service_type in KINDS and record.spec.tls is None and record.status.certificate is None
        changed = {
            "scoring_uri": self._uri(uri, ends_before=before),
            "swagger_uri": self._uri(swagger, ends_before=before) if swagger else None,
        }
        return record.model_copy(update={"status": record.status.model_copy(update=changed)})

    def _uri(self, uri: str, *, ends_before: bool = False) -> str:
        """Return a URI that answers from this process: the given one, or that of a port-forward to the routers.

        If TLS ends before the routers (`ends_before`), a port-forward has none, nor the path of the Ingress.

        With TLS a host name stays, because the certificate may be for it alone; `reach` leads to the port-forward. A
        certificate for addresses, or for names inside the cluster, is also for ``localhost``.
        """
        parts = urlsplit(uri)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        if self._answers_at(host, port):
            return uri
        near = self._forwarded_port()
        if ends_before:
            path = SERVICE_PREFIX + parts.path.partition(SERVICE_PREFIX)[2]
            return parts._replace(scheme="http", netloc=f"localhost:{near}", path=path).geturl()
        shown = host if parts.scheme == "https" and not (is_inside(host) or _is_address(host)) else "localhost"
        return parts._replace(netloc=f"{shown}:{near}").geturl()

    def _answers_at(self, host: str, port: int) -> bool:
        now = time.monotonic()
        with self._lock:
            answers, tried = self._answers.get((host, port), (False, float("-inf")))
        # The name of an Ingress may resolve some time after the Ingress is made.
        if not answers and now - tried > _PROBE_AGAIN_SECONDS:
            answers = not is_inside(host) and _accepts(host, port)
            with self._lock:
                self._answers[host, port] = answers, now
        return answers

    def _forwarded_port(self) -> int:
        port = names.ROUTER_PORT
        with self._lock:
            if port not in self._forwarders:
                self._forwarders[port] = Forwarder(self.cluster, self.attached.namespace, port)
            return self._forwarders[port].port

    def _resources(self, error: ControllerStartError) -> list[dict[str, Any]]:
        """Return the custom resources; raise the operator's error if they cannot be read either."""
        if isinstance(error, ClusterUnreachableError):
            raise error
        try:
            return self.cluster.items(names.mlendpoints(self.attached.namespace))
        except ControllerError:
            raise error from None

    def _stored_one(self, name: str, error: ControllerStartError) -> EndpointRecord:
        resources = {item["metadata"]["name"]: item for item in self._resources(error)}
        if name not in resources:
            raise EndpointNotFoundError.named(name, resources, f"on compute target {self.attached.name!r}")
        return self._stored(resources[name])

    def _stored(self, resource: Mapping[str, Any]) -> EndpointRecord:
        return self._reachable(record_of(resource, self.attached.name))


def record_of(resource: Mapping[str, Any], target: str) -> EndpointRecord:
    """Return the record of a custom resource: its spec, and its status as far as it is known.

    Parameters:
        resource: the MLEndpoint.
        target: the name of the compute target.

    """
    metadata, status = resource["metadata"], resource.get("status") or {}
    known = {field.alias or name for name, field in EndpointStatus.model_fields.items()}
    try:
        observed = EndpointStatus.parse({key: value for key, value in status.items() if key in known})
    except SpecError:  # of a newer release
        observed = EndpointStatus()
    created = _time(metadata.get("creationTimestamp"))
    version = str(metadata.get("resourceVersion", ""))
    return EndpointRecord(
        spec=EndpointSpec.parse({**resource["spec"], "name": metadata["name"], "computeTarget": target}),
        status=observed,
        generation=int(metadata.get("generation", 1)),
        resource_version=int(version) if version.isdigit() else 0,
        created_time=created,
        updated_time=created,
        deleting="deletionTimestamp" in metadata,
    )


def is_inside(host: str) -> bool:
    """Return whether a host name is one that only the cluster's own DNS knows."""
    return host.endswith(".svc") or ".svc." in host


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _accepts(host: str, port: int) -> bool:
    with contextlib.suppress(ValueError):
        if ip_address(host).is_unspecified:
            return False
    try:
        socket.create_connection((host, port), timeout=_PROBE_SECONDS).close()
    except OSError:
        return False
    return True


def _time(text: str | None) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00")) if text else datetime.now(UTC)
