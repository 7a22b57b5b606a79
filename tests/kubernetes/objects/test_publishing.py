"""The Ingress and the HTTPRoute of the routers, the rules for their settings, and the rights to follow them."""

from __future__ import annotations

from typing import Any

import pytest

from mljupyter.kubernetes.objects import installation, names, publishing
from mljupyter.kubernetes.objects.installation import Installation, ServiceType
from mljupyter.kubernetes.objects.publishing import NGINX_ANNOTATIONS, Publishing, rule_broken
from tests.kubernetes.objects import schemas

NGINX = "nginx.ingress.kubernetes.io"


@pytest.mark.parametrize(
    ("given", "service_type", "told"),
    [
        (Publishing(), "ClusterIP", None),
        (Publishing(ingress_class="nginx", scoring_host="ml.example.org", tls_secret="tls"), "Ingress", None),
        (Publishing(gateway="infra/public", gateway_section="https", scoring_path="/ml"), "HTTPRoute", None),
        (Publishing(scoring_host="ml.example.org"), "NodePort", "it is for Ingress and HTTPRoute"),
        (Publishing(ingress_class="nginx"), "HTTPRoute", "it is for Ingress."),
        (Publishing(gateway="public"), "Ingress", "it is for HTTPRoute."),
        (Publishing(), "HTTPRoute", "gateway is missing"),
        (Publishing(gateway="a/b/c"), "HTTPRoute", "must be NAMESPACE/NAME"),
        (Publishing(gateway="/public"), "HTTPRoute", "must be NAMESPACE/NAME"),
        (Publishing(scoring_host="*.example.org"), "Ingress", "must be a host name"),
        (Publishing(scoring_host="https://ml"), "Ingress", "must be a host name"),
        (Publishing(scoring_path="ml"), "Ingress", "must begin with '/'"),
        (Publishing(scoring_path="/ml/"), "Ingress", "must begin with '/'"),
        (Publishing(tls_secret="tls"), "Ingress", "scoring_host is missing"),
        (Publishing(annotations={"a b": "c"}), "Ingress", "annotation 'a b'"),
    ],
)
def test_settings_that_do_not_fit_are_named_with_the_rule(
    given: Publishing, service_type: str, told: str | None
) -> None:
    found = rule_broken(given, service_type)
    assert found is None if told is None else told in str(found)


@pytest.mark.parametrize(
    ("given", "path", "kind"),
    [
        (Publishing(), "/", "Prefix"),
        (Publishing(scoring_path="/api/v1/service"), "/api/v1/service", "Prefix"),
        (Publishing(scoring_path="/api"), "/api", "Prefix"),
        (Publishing(ingress_class="nginx", scoring_path="/ml"), "/ml(/|$)(.*)", "ImplementationSpecific"),
        (Publishing(ingress_class="traefik", scoring_path="/ml"), "/ml", "Prefix"),
        (Publishing(ingress_class="x", controller="k8s.io/ingress-nginx", scoring_path="/m"), "/m(/|$)(.*)", "Impl"),
    ],
)
def test_a_path_that_the_routers_do_not_know_is_taken_away_by_ingress_nginx(
    given: Publishing, path: str, kind: str
) -> None:
    found = publishing.ingress(given, "team")
    (rule,) = found["spec"]["rules"]
    (item,) = rule["http"]["paths"]
    assert item["path"] == path
    assert item["pathType"].startswith(kind)
    assert item["backend"] == {"service": {"name": names.ROUTER, "port": {"number": 80}}}
    rewrites = (found["metadata"].get("annotations") or {}).get(f"{NGINX}/rewrite-target")
    assert rewrites == ("/$2" if "(" in path else None)


def test_ingress_nginx_leaves_sizes_and_times_to_the_routers_and_the_users_annotations_come_first() -> None:
    assert "annotations" not in publishing.ingress(Publishing(ingress_class="traefik"), "team")["metadata"]
    mine = {f"{NGINX}/proxy-body-size": "8m", "example.org/owner": "ml"}
    for name in ("nginx", "nginx-internal", "public.nginx"):
        found = publishing.ingress(Publishing(ingress_class=name, annotations=mine), "team")["metadata"]["annotations"]
        assert found == NGINX_ANNOTATIONS | mine


def test_an_ingress_has_the_host_and_its_certificate() -> None:
    given = Publishing(ingress_class="nginx", scoring_host="ml.example.org", tls_secret="ml-tls")
    spec = publishing.ingress(given, "team")["spec"]
    assert spec["ingressClassName"] == "nginx"
    assert spec["rules"][0]["host"] == "ml.example.org"
    assert spec["tls"] == [{"hosts": ["ml.example.org"], "secretName": "ml-tls"}]


@pytest.mark.parametrize("release", [schemas.OLDEST, schemas.NEWEST])
@pytest.mark.parametrize(
    "given",
    [
        Publishing(),
        Publishing(ingress_class="nginx", scoring_path="/ml", annotations={"example.org/a": "b"}),
        Publishing(ingress_class="traefik", scoring_host="ml.example.org", tls_secret="ml-tls"),
    ],
)
def test_an_ingress_obeys_the_schemas_of_old_and_new_releases(given: Publishing, release: str) -> None:
    schemas.check(publishing.ingress(given, "team"), release)


def test_a_route_names_its_gateway_host_and_path() -> None:
    given = Publishing(
        gateway="infra/public", gateway_section="https", scoring_host="ml.example.org", scoring_path="/ml"
    )
    route = publishing.http_route(given, "team")
    assert (route["apiVersion"], route["metadata"]["namespace"]) == ("gateway.networking.k8s.io/v1", "team")
    (parent,) = route["spec"]["parentRefs"]
    assert (parent["namespace"], parent["name"], parent["sectionName"]) == ("infra", "public", "https")
    assert route["spec"]["hostnames"] == ["ml.example.org"]
    (rule,) = route["spec"]["rules"]
    assert rule["matches"] == [{"path": {"type": "PathPrefix", "value": "/ml"}}]
    (rewrite,) = rule["filters"]
    assert rewrite["urlRewrite"]["path"] == {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}
    assert (rule["backendRefs"][0]["name"], rule["backendRefs"][0]["port"]) == (names.ROUTER, 80)
    plain = publishing.http_route(Publishing(gateway="public"), "team")["spec"]
    assert plain["parentRefs"][0]["namespace"] == "team"
    assert "hostnames" not in plain and "filters" not in plain["rules"][0]


def test_settings_survive_being_stored() -> None:
    given = Publishing(gateway="infra/public", scoring_path="/ml", annotations={"a": "b"})
    assert Publishing.of({**given.document(), "ofAnotherRelease": 1}) == given
    assert Publishing().document() == {}


def installed(service: ServiceType, given: Publishing) -> list[dict[str, Any]]:
    wanted = Installation("image", "team", "churn", namespace="ml", service=service, publishing=given)
    return installation.installation(wanted)


@pytest.mark.parametrize(
    ("service", "given", "expected"),
    [
        (ServiceType.NODE_PORT, Publishing(), set()),
        (ServiceType.INGRESS, Publishing(), {("ml", "networking.k8s.io", "ingresses", names.ROUTER)}),
        (
            ServiceType.HTTP_ROUTE,
            Publishing(gateway="infra/public"),
            {
                ("ml", names.GATEWAY_GROUP, "httproutes", names.ROUTER),
                ("infra", names.GATEWAY_GROUP, "gateways", "public"),
            },
        ),
    ],
)
def test_the_operator_may_read_only_what_publishes_its_routers(
    service: ServiceType, given: Publishing, expected: set[tuple[str, str, str, str]]
) -> None:
    roles = {
        (one["kind"], one["metadata"]["name"]): one
        for one in installed(service, given)
        if one["kind"] in ("Role", "RoleBinding") and "mljupyter-ml-" in one["metadata"]["name"]
    }
    granted = set()
    for (kind, name), role in roles.items():
        if kind == "RoleBinding":
            assert role["subjects"] == [{"kind": "ServiceAccount", "name": names.OPERATOR, "namespace": "ml"}]
            assert role["metadata"]["namespace"] == roles["Role", name]["metadata"]["namespace"]
            continue
        (rule,) = role["rules"]
        assert rule["verbs"] == ["get", "list", "watch"]
        granted.add((role["metadata"]["namespace"], rule["apiGroups"][0], rule["resources"][0], *rule["resourceNames"]))
    assert granted == expected


def test_the_routers_service_stays_inside_the_cluster_and_the_operator_knows_what_to_follow() -> None:
    found = installed(ServiceType.HTTP_ROUTE, Publishing(gateway="infra/public"))
    by_name = {(one["kind"], one["metadata"]["name"]): one for one in found}
    assert by_name["Service", names.ROUTER]["spec"]["type"] == "ClusterIP"
    container = by_name["Deployment", names.OPERATOR]["spec"]["template"]["spec"]["containers"][0]
    told = {one["name"]: one.get("value") for one in container["env"]}
    assert told[names.SERVICE_TYPE_VARIABLE] == "HTTPRoute"
    assert (told[names.GATEWAY_NAMESPACE_VARIABLE], told[names.GATEWAY_VARIABLE]) == ("infra", "public")
