"""The checks before routers are published by an Ingress or an HTTPRoute: one line each, with the remedy."""

from __future__ import annotations

from typing import Any

import pytest

from mljupyter.kubernetes.objects.publishing import Publishing
from mljupyter.targets.kubernetes.publishing import gateway_finding, ingress_class_of, ingress_finding

NGINX = {"metadata": {"name": "public"}, "spec": {"controller": "k8s.io/ingress-nginx"}}
TRAEFIK: dict[str, Any] = {
    "metadata": {"name": "traefik", "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}},
    "spec": {"controller": "traefik.io/ingress-controller"},
}


@pytest.mark.parametrize(
    ("classes", "given", "state", "told", "fix"),
    [
        ([NGINX, TRAEFIK], Publishing(), "ok", "'traefik' of traefik.io/ingress-controller", ""),
        ([NGINX], Publishing(ingress_class="public"), "ok", "'public' of k8s.io/ingress-nginx", ""),
        ([NGINX], Publishing(), "failed", "no default IngressClass", "(--ingress-class): public"),
        ([NGINX, TRAEFIK], Publishing(ingress_class="x"), "failed", "no IngressClass 'x'", "public, traefik"),
        ([], Publishing(), "failed", "no default IngressClass", "install an Ingress controller"),
        ([TRAEFIK], Publishing(scoring_path="/ml"), "failed", "scoring_path is '/ml'", "--scoring-host"),
        ([TRAEFIK], Publishing(scoring_path="/api"), "ok", "'traefik'", ""),
    ],
)
def test_an_ingress_needs_a_class_whose_controller_can_serve_it(
    classes: list[dict[str, Any]], given: Publishing, state: str, told: str, fix: str
) -> None:
    found = ingress_finding(classes, given)
    assert found.state == state
    assert told in found.text
    assert fix in found.fix
    assert "\n" not in found.text + found.fix


def test_the_class_is_the_named_one_or_the_default_one() -> None:
    assert ingress_class_of([NGINX, TRAEFIK], "public") == NGINX
    assert ingress_class_of([NGINX, TRAEFIK], None) == TRAEFIK
    assert ingress_class_of([NGINX], None) is None


def gateway(*listeners: dict[str, Any], programmed: bool = True) -> dict[str, Any]:
    conditions = [{"type": "Programmed", "status": str(programmed)}]
    return {"spec": {"listeners": list(listeners)}, "status": {"conditions": conditions}}


CLOSED = {"name": "https"}
OPEN = {"name": "http", "allowedRoutes": {"namespaces": {"from": "All"}}}


@pytest.mark.parametrize(
    ("found", "given", "state", "told", "fix"),
    [
        (gateway(OPEN), Publishing(gateway="infra/public"), "ok", "'infra/public' is programmed", ""),
        (gateway(CLOSED), Publishing(gateway="public"), "ok", "'team/public' is programmed", ""),
        (None, Publishing(gateway="infra/public"), "failed", "does not exist", "kubectl get gateways"),
        (gateway(CLOSED), Publishing(gateway="infra/public"), "failed", "its own namespace only", "allowedRoutes"),
        (
            gateway(OPEN, CLOSED),
            Publishing(gateway="infra/public", gateway_section="https"),
            "failed",
            "its own namespace only",
            "for 'team'",
        ),
        (
            gateway(OPEN),
            Publishing(gateway="infra/public", gateway_section="x"),
            "failed",
            "no listener 'x'",
            "choose one: http",
        ),
        (gateway(OPEN, programmed=False), Publishing(gateway="infra/public"), "note", "not programmed", "port-forward"),
    ],
)
def test_a_route_needs_a_gateway_that_takes_it(
    found: dict[str, Any] | None, given: Publishing, state: str, told: str, fix: str
) -> None:
    finding = gateway_finding(found, given, "team")
    assert finding.state == state
    assert told in finding.text
    assert fix in finding.fix
    assert "\n" not in finding.text + finding.fix
