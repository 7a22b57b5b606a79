"""The address at which an Ingress or an HTTPRoute publishes the routers, or the reason why there is none."""

from __future__ import annotations

from typing import Any

import pytest

from mljupyter.kubernetes.objects import publishing
from mljupyter.kubernetes.objects.publishing import Publishing
from mljupyter.kubernetes.operator.publication import base_uri, ingress_publication, route_publication
from mljupyter.kubernetes.operator.router_address import RouterAddress

HOST = "ml.example.org"
TRUE = {"status": "True", "reason": "Ok", "message": ""}


def made(given: Publishing, *entries: dict[str, Any]) -> dict[str, Any]:
    return {**publishing.ingress(given, "team"), "status": {"loadBalancer": {"ingress": list(entries)}}}


@pytest.mark.parametrize(
    ("given", "entry", "uri"),
    [
        (Publishing(), {"ip": "192.0.2.7"}, "http://192.0.2.7"),
        (Publishing(), {"hostname": "lb.example"}, "http://lb.example"),
        (Publishing(), {"ip": "2001:db8::7"}, "http://[2001:db8::7]"),
        (Publishing(scoring_host=HOST), {"ip": "192.0.2.7"}, f"http://{HOST}"),
        (Publishing(scoring_host=HOST, tls_secret="tls"), {"ip": "192.0.2.7"}, f"https://{HOST}"),
        (Publishing(ingress_class="nginx", scoring_path="/ml"), {"ip": "192.0.2.7"}, "http://192.0.2.7/ml"),
        (Publishing(scoring_path="/api/v1"), {"ip": "192.0.2.7"}, "http://192.0.2.7"),
        (Publishing(), {"ip": "192.0.2.7", "ports": [{"port": 30080, "protocol": "TCP"}]}, "http://192.0.2.7:30080"),
        (
            Publishing(scoring_host=HOST, tls_secret="tls"),
            {"ip": "192.0.2.7", "ports": [{"port": 80}, {"port": 443}]},
            f"https://{HOST}",
        ),
    ],
)
def test_scheme_host_port_and_path_come_from_the_ingress_and_its_status(
    given: Publishing, entry: dict[str, Any], uri: str
) -> None:
    found = ingress_publication(made(given, entry), "team")
    assert found.problem == ""
    assert found.address is not None
    assert found.address.kind == "Ingress"
    assert base_uri(found.address) == uri


def test_an_ingress_that_no_controller_has_taken_says_so_with_the_way_out() -> None:
    for ingress in (
        made(Publishing(ingress_class="nginx")),
        publishing.ingress(Publishing(ingress_class="nginx"), "n"),
    ):
        found = ingress_publication(ingress, "team")
        assert found.address is None
        assert "no controller of class 'nginx' has taken it" in found.problem
        assert "kubectl --namespace team describe ingress mljupyter-router" in found.problem
        assert "port-forward" in found.problem
    assert "of the default class" in ingress_publication(made(Publishing()), "team").problem
    assert "has no Ingress" in ingress_publication(None, "team").problem


def route(given: Publishing, **conditions: dict[str, str]) -> dict[str, Any]:
    found = publishing.http_route(given, "team")
    told = [{"type": kind, **condition} for kind, condition in conditions.items()]
    parents = [{"parentRef": found["spec"]["parentRefs"][0], "controllerName": "x", "conditions": told}]
    return {**found, "status": {"parents": parents if conditions else []}}


def gateway(*listeners: dict[str, Any], programmed: dict[str, str] | None = TRUE, **status: Any) -> dict[str, Any]:
    found = [{"type": "Programmed", **programmed}] if programmed is not None else []
    addresses = {"addresses": [{"type": "IPAddress", "value": "192.0.2.7"}]}
    return {"spec": {"listeners": list(listeners)}, "status": {"conditions": found, **addresses, **status}}


HTTP = {"name": "http", "protocol": "HTTP", "port": 80}
HTTPS = {"name": "https", "protocol": "HTTPS", "port": 443, "hostname": "*.example.org"}
ODD = {"name": "odd", "protocol": "HTTPS", "port": 8443}
OF = Publishing(gateway="infra/public")
WITH_HOST = Publishing(gateway="infra/public", scoring_host=HOST)


@pytest.mark.parametrize(
    ("given", "listeners", "uri"),
    [
        (OF, [HTTP], "http://192.0.2.7"),
        (WITH_HOST, [HTTP], f"http://{HOST}"),
        (WITH_HOST, [HTTP, HTTPS], f"https://{HOST}"),
        (WITH_HOST, [{**HTTPS, "hostname": "other.example.org"}, HTTP], f"http://{HOST}"),
        (
            Publishing(gateway="infra/public", gateway_section="odd", scoring_host=HOST),
            [HTTPS, ODD],
            f"https://{HOST}:8443",
        ),
        (OF, [{**HTTPS, "hostname": "gw.example.org"}], "https://gw.example.org"),
        (Publishing(gateway="infra/public", scoring_path="/ml"), [HTTP], "http://192.0.2.7/ml"),
    ],
)
def test_scheme_host_and_port_come_from_the_route_and_the_listener_of_its_gateway(
    given: Publishing, listeners: list[dict[str, Any]], uri: str
) -> None:
    found = route_publication(route(given, Accepted=TRUE, ResolvedRefs=TRUE), gateway(*listeners), "team")
    assert found.problem == ""
    assert found.address is not None
    assert found.address.kind == "HTTPRoute"
    assert base_uri(found.address) == uri


REFUSED = {"status": "False", "reason": "NotAllowedByListeners", "message": "no listener allows it."}
ACCEPTED = {"Accepted": TRUE, "ResolvedRefs": TRUE}


@pytest.mark.parametrize(
    ("of_route", "found", "told"),
    [
        (None, gateway(HTTP), "has no HTTPRoute"),
        (route(OF), gateway(HTTP), "no controller of Gateway 'infra/public' has taken HTTPRoute"),
        (route(OF, Accepted=REFUSED), gateway(HTTP), "NotAllowedByListeners: no listener allows it."),
        (route(OF, Accepted=TRUE), gateway(HTTP), "has not said yet that it is ResolvedRefs"),
        (route(OF, **ACCEPTED), None, "does not exist, or the operator may not read it"),
        (route(OF, **ACCEPTED), gateway(HTTP, programmed=None), "is not programmed"),
        (route(OF, **ACCEPTED), gateway(HTTP, programmed={**REFUSED, "reason": "Invalid"}), "Invalid: no listener"),
        (route(OF, **ACCEPTED), gateway(HTTP, addresses=[]), "has no address"),
        (route(OF, **ACCEPTED), gateway({**HTTP, "protocol": "TCP"}), "has no listener for HTTP that fits"),
    ],
)
def test_a_route_that_is_not_served_says_why_with_the_way_out(
    of_route: dict[str, Any] | None, found: dict[str, Any] | None, told: str
) -> None:
    publication = route_publication(of_route, found, "team")
    assert publication.address is None
    assert told in publication.problem
    assert "port-forward" in publication.problem
    assert len(publication.problem.splitlines()) == 2


def test_the_status_of_another_parent_does_not_count() -> None:
    found = route(OF, **ACCEPTED)
    found["status"]["parents"][0]["parentRef"] = {"name": "other"}
    assert route_publication(found, gateway(HTTP), "team").address is None
    found["status"]["parents"][0]["parentRef"] = {"name": "public", "namespace": "infra"}
    assert route_publication(found, gateway(HTTP), "team").address == RouterAddress("192.0.2.7", 80, "HTTPRoute")
