"""TLS of an attached cluster: names in certificates, ports of redirects, and rotation with requests under way.

The cluster is real, as are operator and routers. There are two router pods, and both must follow each change.
"""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from mljupyter.client.errors import CertificateError
from mljupyter.core import Webservice
from mljupyter.core.compute import AksUpdateConfiguration, ComputeTarget, SslConfiguration
from mljupyter.core.compute.cluster import ClusterCompute
from mljupyter.exceptions import WebserviceException
from mljupyter.kubernetes.objects import names
from mljupyter.spec import Authentication, EndpointRecord, EndpointTls
from mljupyter.targets.kubernetes.forwarding import Forwarder
from tests.conformance.conftest import CLUSTER, Site, script, until
from tests.fault_table import Fault
from tests.kubernetes.test_cluster_faults import Cluster
from tests.steady_load import REQUESTS_ON, SteadyLoad
from tests.system.certificates import Files, pem_pair
from tests.waiting import COMMAND_SECONDS

pytestmark = pytest.mark.system
ROUTERS = 2
CLIENTS = 4
CONNECTIONS = 12  # with two routers behind one port, both are met
MERGE = "application/merge-patch+json"


@pytest.fixture(scope="module")
def cluster(attached: Site) -> Iterator[Cluster]:
    """The shared cluster with two routers."""
    found = Cluster(attached)
    before = len(found.pods(component=names.COMPONENT_ROUTER))
    found.change(names.COMPONENT_ROUTER, {"replicas": ROUTERS})
    yield found
    found.change(names.COMPONENT_ROUTER, {"replicas": before})


@pytest.fixture(scope="module")
def endpoint(cluster: Cluster) -> Iterator[EndpointRecord]:
    """An endpoint with keys."""
    yield from served_endpoint(cluster, Authentication.KEY)


@pytest.fixture
def plain(cluster: Cluster, endpoint: EndpointRecord) -> Iterator[str]:
    """The scoring URI without TLS, which is off before and after the test."""
    yield str(endpoint.status.scoring_uri)
    target(cluster).disable_ssl()


def served_endpoint(cluster: Cluster, authentication: Authentication) -> Iterator[EndpointRecord]:
    site = cluster.site
    limits = {"maxConcurrentRequests": 16, "maxQueueWaitMs": 20_000}
    version = {**site.runs(script("one")), "limits": limits}
    spec = site.spec(f"e{next(site.numbers)}-endpoint", one=version)
    yield site.healthy(spec.model_copy(update={"authentication": authentication}))
    site.discard(spec.name)


def target(cluster: Cluster) -> ClusterCompute:
    found = ComputeTarget(cluster.site.workspace, CLUSTER)
    assert isinstance(found, ClusterCompute)
    return found


def secure(cluster: Cluster, endpoint: EndpointRecord) -> str:
    """Return the scoring URI as soon as it has TLS."""

    def look() -> str | None:
        uri = str(cluster.site.client.endpoint(endpoint.spec.name).status.scoring_uri)
        return uri if uri.startswith("https:") else None

    return str(until(look, "the scoring URI has TLS"))


def authorized(cluster: Cluster, endpoint: EndpointRecord) -> dict[str, str]:
    return {"authorization": f"Bearer {cluster.site.client.keys(endpoint.spec.name)[0]}"}


def shown(uri: str) -> set[str]:
    """Return the fingerprints of the certificates that routers show to new connections."""
    parts, unverified, found = urlsplit(uri), ssl._create_unverified_context(), set()
    for _ in range(CONNECTIONS):
        with (
            socket.create_connection((str(parts.hostname), int(parts.port or 443))) as connection,
            unverified.wrap_socket(connection, server_hostname=parts.hostname) as over_tls,
        ):
            found.add(hashlib.sha256(over_tls.getpeercert(binary_form=True) or b"").hexdigest())
    return found


def in_use(cluster: Cluster) -> str:
    """Return the fingerprint of the certificate of which the operator tells."""
    return str(target(cluster).router.show().certificates[""].fingerprint)


def test_a_signed_certificate_is_for_every_address_of_the_routers(
    cluster: Cluster, endpoint: EndpointRecord, plain: str
) -> None:
    node = str(urlsplit(plain).hostname)
    service = cluster.api.get(f"{names.services(cluster.namespace)}/{names.ROUTER}")
    target(cluster).enable_ssl(leaf_domain_label="team")
    record = target(cluster).router.show()
    inside = f"{names.ROUTER}.{cluster.namespace}.svc"
    expected = {"team.localhost", "localhost", "127.0.0.1", node, inside, service["spec"]["clusterIP"]}
    assert set(record.certificates[""].names) >= expected
    uri = secure(cluster, endpoint)
    assert uri == plain.replace("http:", "https:")
    assert str(cluster.site.client.endpoint(endpoint.spec.name).status.swagger_uri).startswith("https:")
    authority = ssl.create_default_context(cafile=record.authority_file)
    answer = httpx.post(uri, content=b"x", headers=authorized(cluster, endpoint), verify=authority)
    assert (answer.status_code, answer.json()) == (200, "one")
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.post(uri, content=b"x")
    assert Webservice(cluster.site.workspace, endpoint.spec.name).run("x") == "one"
    assert str(record.authority_file) in target(cluster).router.how_to_trust()
    workspace = cluster.site.workspace.name
    command = [sys.executable, "-m", "mljupyter.cli", "router", "show", "--target", CLUSTER, "--workspace", workspace]
    told = subprocess.run([*command, "--json"], check=True, capture_output=True, timeout=COMMAND_SECONDS).stdout
    assert json.loads(told)["certificates"][""]["names"] == record.certificates[""].names


def test_further_host_names_are_in_a_signed_certificate_and_the_address_stays_that_of_the_service(
    cluster: Cluster, plain: str
) -> None:
    router = target(cluster).router
    target(cluster).enable_ssl(leaf_domain_label="team")
    before = router.show().spec
    with pytest.raises(WebserviceException, match="address of the router is that of its Service"):
        router.listen("127.0.0.1")
    assert "scoring.corp.example" in router.listen(hosts=["scoring.corp.example"]).certificates[""].names
    assert router.listen(hosts=[]).spec == before, "endpoints without authentication stay allowed"


def test_plain_http_is_redirected_to_the_port_that_the_client_has_used(
    cluster: Cluster, endpoint: EndpointRecord, plain: str
) -> None:
    target(cluster).enable_ssl(leaf_domain_label="team")
    headers = authorized(cluster, endpoint)

    def redirected(uri: str, **more: str) -> str:
        answer = httpx.post(uri, content=b"x", headers=headers | more)
        assert answer.status_code == 308
        return str(answer.headers["location"])

    uri = secure(cluster, endpoint)
    assert redirected(plain) == uri
    assert redirected(plain, host="an-alias.example") == uri, "a host that the certificate is not for"
    forwarder = Forwarder(cluster.api, cluster.namespace, names.ROUTER_PORT)
    try:
        near = f"http://localhost:{forwarder.port}{urlsplit(uri).path}"
        assert redirected(near) == near.replace("http:", "https:")
        authority = ssl.create_default_context(cafile=target(cluster).router.show().authority_file)
        assert httpx.post(redirected(near), content=b"x", headers=headers, verify=authority).status_code == 200
    finally:
        forwarder.close()


@pytest.mark.faults(17, "certificate and key swapped, three times, two routers")
def test_a_certificate_of_the_user_is_rotated_under_load_in_all_routers(
    cluster: Cluster, endpoint: EndpointRecord, plain: str, tmp_path: Path, fault: Fault
) -> None:
    files = Files(tmp_path / "pki", str(urlsplit(plain).hostname))

    def renewed() -> str:
        files.renew()
        given = SslConfiguration(cert=str(files.certificate), key=str(files.key), cname=files.hosts[0])
        target(cluster).update(AksUpdateConfiguration(given))
        return in_use(cluster)

    target(cluster).enable_ssl(files.hosts[0], str(files.certificate), str(files.key))
    found = in_use(cluster)
    uri = secure(cluster, endpoint)
    assert shown(uri) == {found}
    assert Webservice(cluster.site.workspace, endpoint.spec.name).run("x") == "one"
    key = cluster.site.client.keys(endpoint.spec.name)[0]
    with SteadyLoad(uri, key=key, clients=CLIENTS, one_shot=2, requests=REQUESTS_ON[CLUSTER]) as load:
        fault.under(load)
        load.runs()
        for _ in range(3):
            before, found = found, renewed()
            assert shown(uri) == {found} != {before}
            load.runs()
    assert load.failed == 0, load.results
    target(cluster).update(AksUpdateConfiguration(SslConfiguration("Disabled")))
    path = f"{names.secrets(cluster.namespace)}/{names.CERTIFICATE_SECRET}"
    assert cluster.api.find(path) is None, "the private key does not stay behind"


@pytest.mark.faults(17, "half a pair of certificate and key, then none, in a Secret")
def test_a_secret_of_somebody_else_is_watched_and_half_a_pair_changes_nothing(
    cluster: Cluster, endpoint: EndpointRecord, plain: str, fault: Fault
) -> None:
    host, path = str(urlsplit(plain).hostname), f"{names.secrets(cluster.namespace)}/scoring-tls"
    router, first = target(cluster).router, pem_pair(host)
    cluster.api.create(
        names.secrets(cluster.namespace),
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "scoring-tls"},
            "type": "kubernetes.io/tls",
            "data": encoded(*first),
        },
    )
    until(lambda: tries(lambda: router.enable_tls(secret_name="scoring-tls", host=host)), "the Secret is seen")
    uri, before = secure(cluster, endpoint), in_use(cluster)
    key = cluster.site.client.keys(endpoint.spec.name)[0]
    with SteadyLoad(uri, key=key, clients=CLIENTS, one_shot=2, requests=REQUESTS_ON[CLUSTER]) as load:
        fault.under(load)
        load.runs()
        second = pem_pair(host)
        cluster.api.call("PATCH", path, {"data": encoded(second[0], first[1])}, content_type=MERGE)
        until(lambda: "do not match" in str(router.show().problems), "the operator tells of the pair")
        assert shown(uri) == {before}
        cluster.api.call("PATCH", path, {"data": encoded(*second)}, content_type=MERGE)
        until(lambda: shown(uri).isdisjoint({before}), "all routers have the new certificate")
        assert shown(uri) == {in_use(cluster)}
        cluster.api.delete(path)
        until(lambda: "no Secret 'scoring-tls'" in str(router.show().problems), "the operator misses the Secret")
        load.runs()
    assert load.failed == 0, load.results


def test_a_new_operator_keeps_the_certificate(cluster: Cluster, endpoint: EndpointRecord, plain: str) -> None:
    target(cluster).enable_ssl(leaf_domain_label="team")
    uri, before = secure(cluster, endpoint), in_use(cluster)
    operator = cluster.pods(component=names.COMPONENT_OPERATOR)[0]
    cluster.delete(operator, grace=0)

    def answers() -> str | None:
        try:
            return in_use(cluster)
        except WebserviceException:
            return None  # no operator leads yet

    assert until(answers, "another operator leads") == before
    assert shown(uri) == {before}


def test_the_key_that_signs_tokens_is_rotated_under_load(cluster: Cluster) -> None:
    for record in served_endpoint(cluster, Authentication.TOKEN):
        client, uri = cluster.site.client, str(record.status.scoring_uri)
        token = client.token(record.spec.name)["token"]
        with SteadyLoad(uri, key=token, clients=CLIENTS, one_shot=2) as load:
            load.runs()
            for count in (2, 3):
                assert len(target(cluster).router.rotate_token_keys()) == count
                load.runs()
                new = client.token(record.spec.name)["token"]
                answers = [
                    httpx.post(uri, content=b"x", headers={"authorization": f"Bearer {new}"}).status_code
                    for _ in range(CONNECTIONS)
                ]
                assert answers == [200] * CONNECTIONS, "every router knows the new key"
        assert load.failed == 0, load.results


@pytest.mark.faults(15, "keys regenerated while the other one is used, two routers")
def test_a_regenerated_key_replaces_the_old_one_while_clients_use_the_other(
    cluster: Cluster, endpoint: EndpointRecord, fault: Fault
) -> None:
    client, name, uri = cluster.site.client, endpoint.spec.name, str(endpoint.status.scoring_uri)
    old, other = client.keys(name)
    with SteadyLoad(uri, key=other, clients=CLIENTS, one_shot=2, requests=REQUESTS_ON[CLUSTER]) as load:
        fault.under(load)
        load.runs()
        for _ in range(3):
            client.regenerate_key(name, "primary")
            answers = [
                httpx.post(uri, content=b"x", headers={"authorization": f"Bearer {old}"}).status_code
                for _ in range(CONNECTIONS)
            ]
            assert answers == [401] * CONNECTIONS, "no router takes the old key"
            old = client.keys(name)[0]
            load.runs()
    assert load.failed == 0, load.results


def has(secret: dict[str, Any], text: str) -> bool:
    """Return whether a Secret has a text in its values."""
    return any(text in base64.b64decode(value).decode() for value in (secret.get("data") or {}).values())


def certificates_of(cluster: Cluster, name: str) -> list[str]:
    """Return the names of the Secrets with certificates that the operator keeps for an endpoint."""
    found = cluster.api.items(names.secrets(cluster.namespace), labels=names.selector(endpoint=name))
    return [str(one["metadata"]["name"]) for one in found if one["type"] == "kubernetes.io/tls"]


def test_an_endpoint_has_a_certificate_of_its_own_that_is_rotated_under_load_and_deleted_with_it(
    cluster: Cluster, endpoint: EndpointRecord, plain: str, tmp_path: Path
) -> None:
    client, files = cluster.site.client, Files(tmp_path / "pki", "localhost")
    paths = {"certificateFile": str(files.certificate), "keyFile": str(files.key)}
    tls = EndpointTls.parse({"host": "localhost", **paths})
    for record in served_endpoint(cluster, Authentication.KEY):
        name = record.spec.name
        record = cluster.site.settle(client.replace(record.spec.model_copy(update={"tls": tls})))
        uri = secure(cluster, record)
        assert urlsplit(uri).hostname == "localhost"
        assert Webservice(cluster.site.workspace, name).run("x") == "one", "the SDK trusts it"
        redirected = httpx.post(uri.replace("https:", "http:"), content=b"x", headers=authorized(cluster, record))
        assert redirected.status_code == 308, "it is never served in plain text"
        answer = httpx.post(plain, content=b"x", headers=authorized(cluster, endpoint))
        assert answer.status_code == 200, "other endpoints stay without TLS"
        (found,) = shown(uri)
        with SteadyLoad(uri, key=client.keys(name)[0], clients=CLIENTS, one_shot=2) as load:
            load.runs()
            for _ in range(3):
                files.renew()
                before = found
                record = cluster.site.settle(client.replace(record.spec.model_copy(update={"tls": tls})))
                until(lambda before=before, uri=uri: before not in shown(uri), "all routers have the new certificate")
                (found,) = shown(uri)
                assert str(target(cluster).router.show().certificates[name].fingerprint) == found
                load.runs()
            until(
                lambda name=name: len(certificates_of(cluster, name)) == 1,
                "the earlier private keys do not stay behind",
            )
        assert load.failed == 0, load.results
        broken = tmp_path / "broken.pem"
        broken.write_text(pem_pair("localhost")[1])
        wrong = EndpointTls.parse({"host": "localhost", **paths, "keyFile": str(broken)})
        with pytest.raises(CertificateError, match="do not match"):
            client.replace(record.spec.model_copy(update={"tls": wrong}))
        assert shown(uri) == {found}
        key = files.key.read_text().splitlines()[1]
        for component in (names.COMPONENT_OPERATOR, names.COMPONENT_ROUTER):
            for pod in cluster.pods(component=component):
                path = f"{names.pods(cluster.namespace)}/{pod['metadata']['name']}/log"
                assert key not in cluster.api.request("GET", path).body.decode()
        assert key not in json.dumps(client.endpoint(name).document())
    until(lambda: not certificates_of(cluster, name), "the private key is deleted with the endpoint")
    for kept in (names.LISTENING_SECRET, names.KEYS_SECRET):
        path = f"{names.secrets(cluster.namespace)}/{kept}"
        until(lambda path=path: not has(cluster.api.get(path), key), "nor is it anywhere else")


def encoded(certificate: str, key: str) -> dict[str, str]:
    return {
        entry: base64.b64encode(text.encode()).decode() for entry, text in (("tls.crt", certificate), ("tls.key", key))
    }


def tries(action: Any) -> bool:
    """Return whether an action succeeds: the operator hears of a new Secret a moment later."""
    try:
        action()
    except Exception as error:
        assert "has no Secret" in str(error)
        return False
    return True
