"""Routers that an Ingress or an HTTPRoute publishes, on a real cluster with real operator and routers.

The test is the controller: it writes the status of the objects, and a small reverse proxy obeys their rules.
"""

from __future__ import annotations

import secrets
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from mljupyter.core import Webservice, Workspace
from mljupyter.core.compute import AksUpdateConfiguration, ComputeTarget
from mljupyter.core.compute.cluster import ClusterCompute
from mljupyter.exceptions import ComputeTargetException
from mljupyter.kubernetes.objects import names
from mljupyter.spec import Authentication, EndpointRecord
from mljupyter.targets.kubernetes.client import ClusterClient
from mljupyter.targets.kubernetes.cluster import Cluster as Api
from mljupyter.targets.kubernetes.preflight import check_attached
from mljupyter.targets.kubernetes.publishing import published_objects
from tests.conformance.conftest import CLUSTER, Site, attach, script, until
from tests.system.certificates import Files
from tests.testbed import needed

pytestmark = pytest.mark.system
HOST = "localhost"
MERGE = "application/merge-patch+json"
CLASSES = names.ingress_classes()
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
TRUE = {"status": "True", "reason": "Ok", "message": "", "lastTransitionTime": "2024-01-01T00:00:00Z"}


class Proxy(ThreadingHTTPServer):
    """A reverse proxy for one host and one path, as the controller of an Ingress or a Gateway runs it."""

    daemon_threads = True

    def __init__(self, backend: str = "", files: Files | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        if files is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(files.certificate, files.key)
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.backend = backend
        self.prefix = ""
        self.passed = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class Handler(BaseHTTPRequestHandler):
    """Passes a request on, without the prefix of its path."""

    server: Proxy

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"] or 0))
        host = str(self.headers["host"]).partition(":")[0]
        if host != HOST or not self.path.startswith(f"{self.server.prefix}/"):
            self.send_error(404)
            return
        uri = self.server.backend + self.path.removeprefix(self.server.prefix)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "content-length"}
        answer = httpx.post(uri, content=body, headers=headers)
        self.server.passed += 1
        self.send_response(answer.status_code)
        self.send_header("content-length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


class Published:
    """An attached cluster with an endpoint, and the proxy in front of its routers."""

    def __init__(self, site: Site, proxy: Proxy, ingress_class: str) -> None:
        self.site = site
        self.proxy = proxy
        self.ingress_class = ingress_class
        self.api = Api(self.client.attached.access)
        self.namespace = self.client.attached.namespace
        version = site.runs(script("one"))
        spec = site.spec("served", one=version).model_copy(update={"authentication": Authentication.KEY})
        self.name = site.healthy(spec).spec.name

    @property
    def client(self) -> ClusterClient:
        found = self.site.client
        assert isinstance(found, ClusterClient)
        return found

    @property
    def target(self) -> ClusterCompute:
        found = ComputeTarget(self.site.workspace, CLUSTER)
        assert isinstance(found, ClusterCompute)
        return found

    @property
    def record(self) -> EndpointRecord:
        return self.client.endpoint(self.name)

    def runs(self) -> bool:
        """Return whether a request of the SDK is answered and has passed the proxy."""
        before = self.proxy.passed
        assert Webservice(self.site.workspace, self.name).run("x") == "one"
        return self.proxy.passed > before

    def answers_at(self, uri: str) -> None:
        """Check that the endpoint becomes published at a URI, and that requests pass there."""
        until(lambda: self.record.status.scoring_uri == f"{uri}/api/v1/service/{self.name}/score", "it is published")
        until(lambda: self.record.status.problem is None, "the status has no problem any more")
        assert self.runs()
        kind = self.target.serialize()["serviceType"]
        assert self.target.scoring_address == (f"{HOST}:{urlsplit(uri).port}", kind)
        assert self.client.way_of(self.record.status.scoring_uri) == f"answers at the address of the routers: {kind}"
        assert kind in repr(Webservice(self.site.workspace, self.name)._repr_html_())
        assert [one.code for one in self.target.router.show().problems] == []

    def waits(self, told: str) -> None:
        """Check that the status tells why it is not published, and that requests pass a port-forward."""
        until(lambda: told in str(self.record.status.problem), "the status says why it is not published")
        uri = str(self.record.status.scoring_uri)
        assert (urlsplit(uri).scheme, urlsplit(uri).hostname) == ("http", "localhost")
        assert "port-forward" in self.client.way_of(uri)
        assert not self.runs()
        assert told in str(self.target.router.show().problems)
        findings = check_attached(self.api, self.client.attached)
        assert any(told in one.text for one in findings if one.state == "note")

    def status(self, path: str, status: dict[str, Any]) -> None:
        """Write the status of an object, as its controller does."""
        self.api.call("PATCH", f"{path}/status", {"status": status}, content_type=MERGE)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    needed("TESTBED_KUBECONFIG")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLJUPYTER_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("MLJUPYTER_BASE_IMAGE", needed("TESTBED_BASE_IMAGE"))
        site, proxy = Site(CLUSTER, Workspace.create("published")), Proxy()
        ingress_class = f"tests-{secrets.token_hex(4)}"
        attach(site.workspace)
        found = Published(site, proxy, ingress_class)
        proxy.backend = "http://{}:{}".format(*entry(found))
        body = {"metadata": {"name": ingress_class}, "spec": {"controller": "tests.mljupyter.io/proxy"}}
        found.api.create(CLASSES, {"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", **body})
        yield found
        found.api.delete(f"{CLASSES}/{ingress_class}")
        if CLUSTER in site.workspace.compute_targets:
            found.target.detach()
        proxy.shutdown()


@pytest.fixture(scope="module")
def gateway(published: Published) -> Iterator[str]:
    """A Gateway in a namespace of its own, of the smallest definitions that the API server takes."""
    api, place = published.api, f"tests-{secrets.token_hex(4)}"
    for kind in ("HTTPRoute", "Gateway"):
        api.create(DEFINITIONS, definition(kind))
    until(lambda: served(api), "the API server serves the new kinds")
    api.create("/api/v1/namespaces", {"metadata": {"name": place}})
    allowed = {"namespaces": {"from": "All"}}
    listener = {"name": "http", "protocol": "HTTP", "port": published.proxy.port, "allowedRoutes": allowed}
    manifest = {
        "apiVersion": f"{names.GATEWAY_GROUP}/v1",
        "kind": "Gateway",
        "metadata": {"name": "public", "namespace": place},
        "spec": {"gatewayClassName": "tests", "listeners": [listener]},
    }
    api.create(names.gateways(place), manifest)
    yield place
    api.delete(f"/api/v1/namespaces/{place}")
    for kind in ("HTTPRoute", "Gateway"):
        api.delete(f"{DEFINITIONS}/{kind.lower()}s.{names.GATEWAY_GROUP}")


def entry(found: Published) -> tuple[str, int]:
    """Return an address of the routers that stays while the type of their Service changes."""
    service = found.api.get(f"{names.services(found.namespace)}/{names.ROUTER}")
    own = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "tests-entry", "namespace": found.namespace, "labels": service["metadata"]["labels"]},
        "spec": {
            "type": "NodePort",
            "selector": service["spec"]["selector"],
            "ports": [{"port": 80, "targetPort": names.ROUTER_PORT}],
        },
    }
    made = found.api.create(names.services(found.namespace), own)
    return found.target.scoring_address[0].partition(":")[0], int(made["spec"]["ports"][0]["nodePort"])


def definition(kind: str) -> dict[str, Any]:
    plural = f"{kind.lower()}s"
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{plural}.{names.GATEWAY_GROUP}",
            "annotations": {"api-approved.kubernetes.io": "unapproved, for tests"},
        },
        "spec": {
            "group": names.GATEWAY_GROUP,
            "scope": "Namespaced",
            "names": {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
                }
            ],
        },
    }


def served(api: Api) -> bool:
    found = api.find(f"/apis/{names.GATEWAY_GROUP}/v1") or {}
    return {"HTTPRoute", "Gateway"} <= {one["kind"] for one in found.get("resources") or ()}


def test_an_ingress_publishes_the_routers_when_a_controller_has_taken_it(published: Published) -> None:
    target, api = published.target, published.api
    with pytest.raises(ComputeTargetException, match="the cluster has no IngressClass 'nowhere'"):
        target.update(AksUpdateConfiguration(service_type="Ingress", ingress_class="nowhere"))
    given = AksUpdateConfiguration(service_type="Ingress", ingress_class=published.ingress_class, scoring_host=HOST)
    target.update(given)
    target.wait_for_completion()
    path = f"{names.ingresses(published.namespace)}/{names.ROUTER}"
    published.waits(f"no controller of class {published.ingress_class!r} has taken it")
    ports = [{"port": published.proxy.port, "protocol": "TCP"}]
    published.status(path, {"loadBalancer": {"ingress": [{"ip": "127.0.0.1", "ports": ports}]}})
    published.answers_at(f"http://{HOST}:{published.proxy.port}")
    stored = api.get(f"{names.mlendpoints(published.namespace)}/{published.name}")["status"]
    assert stored["scoringUri"] == published.record.status.scoring_uri, "kubectl shows it"
    published.status(path, {"loadBalancer": {"ingress": None}})
    published.waits("no controller of class")


def test_tls_of_an_ingress_is_not_that_of_the_routers(
    published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = Files(tmp_path, HOST)
    texts = {"tls.crt": files.certificate.read_text(), "tls.key": files.key.read_text()}
    secret = {"metadata": {"name": "ml-tls"}, "type": "kubernetes.io/tls", "stringData": texts}
    published.api.create(names.secrets(published.namespace), {"apiVersion": "v1", "kind": "Secret", **secret})
    monkeypatch.setattr(published, "proxy", Proxy(published.proxy.backend, files))
    given = {"service_type": "Ingress", "ingress_class": published.ingress_class, "scoring_host": HOST}
    published.target.update(AksUpdateConfiguration(**given, tls_secret="ml-tls"))
    published.target.wait_for_completion()
    path = f"{names.ingresses(published.namespace)}/{names.ROUTER}"
    ports = [{"port": published.proxy.port, "protocol": "TCP"}]
    published.status(path, {"loadBalancer": {"ingress": [{"ip": "127.0.0.1", "ports": ports}]}})
    published.answers_at(f"https://{HOST}:{published.proxy.port}")
    with pytest.raises(Exception, match="TLS ends at the Ingress"):
        published.target.enable_ssl(leaf_domain_label="team")


def test_a_route_publishes_the_routers_when_its_gateway_serves_it(
    published: Published, request: pytest.FixtureRequest
) -> None:
    target, api = published.target, published.api
    with pytest.raises(ComputeTargetException, match="does not know Gateway and HTTPRoute of"):
        target.update(AksUpdateConfiguration(service_type="HTTPRoute", gateway="infra/public"))
    place = request.getfixturevalue("gateway")
    with pytest.raises(ComputeTargetException, match="Gateway .*missing' does not exist"):
        target.update(AksUpdateConfiguration(service_type="HTTPRoute", gateway=f"{place}/missing"))
    at = {"gateway": f"{place}/public", "scoring_host": HOST, "scoring_path": "/ml"}
    target.update(AksUpdateConfiguration(service_type="HTTPRoute", **at))
    target.wait_for_completion()
    assert api.find(f"{names.ingresses(published.namespace)}/{names.ROUTER}") is None, "the Ingress is gone"
    published.waits("has taken HTTPRoute")
    path = f"{names.http_routes(published.namespace)}/{names.ROUTER}"
    parent = api.get(path)["spec"]["parentRefs"][0]
    conditions = [{"type": kind, **TRUE} for kind in ("Accepted", "ResolvedRefs")]
    published.status(path, {"parents": [{"parentRef": parent, "controllerName": "tests/x", "conditions": conditions}]})
    published.waits("is not programmed")
    programmed = {"conditions": [{"type": "Programmed", **TRUE}], "addresses": [{"value": "127.0.0.1"}]}
    published.status(f"{names.gateways(place)}/public", programmed)
    published.proxy.prefix = "/ml"
    published.answers_at(f"http://{HOST}:{published.proxy.port}/ml")


def test_detaching_removes_what_has_published_the_routers(published: Published, gateway: str) -> None:
    api, namespace = published.api, published.namespace
    assert {one["metadata"]["namespace"] for one in published_objects(api, namespace)} == {namespace, gateway}
    published.target.detach()
    assert published_objects(api, namespace, gateway) == []
    assert api.find(f"{names.gateways(gateway)}/public") is not None, "the Gateway is not ours"
