"""A published route becomes a route with addresses: those of ready pods of its revisions; of unready ones in need."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mljupyter.engine.envoy.listener import Listening, Pair
from mljupyter.engine.envoy.routing import EndpointRoute, VersionRoute
from mljupyter.engine.envoy.tokens import TokenVerification
from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.objects.published import (
    PublishedError,
    PublishedRoute,
    endpoint_route,
    listening_text,
    parse_listening,
    routed_part,
    version_of,
)
from mljupyter.spec import RateLimit, RequestLimits, RouterSpec


def pod(
    name: str = "a-1",
    version: str = "a",
    revision: str = "r1",
    *,
    endpoint: str = "iris",
    ip: str = "10.0.0.1",
    port: int | None = None,
    deleted: bool = False,
    **conditions: str,
) -> dict[str, Any]:
    """A ready pod, but for what is given. `serving` is the condition of the readiness gate."""
    kinds = {"ready": "ContainersReady", "serving": names.SERVING_CONDITION}
    found = {"ready": "True", **conditions}
    ports = [{"name": "scoring", "containerPort": port}] if port else []
    return {
        "metadata": {
            "name": name,
            "labels": names.replica_labels(endpoint, version, revision),
            **({"deletionTimestamp": "2026-01-01T00:00:00Z"} if deleted else {}),
        },
        "spec": {"containers": [{"name": "server", "ports": ports}]},
        "status": {
            "podIP": ip,
            "conditions": [{"type": kinds[kind], "status": status} for kind, status in found.items()],
        },
    }


def version(name: str, weight: int, *, waiting: bool = False) -> VersionRoute:
    return VersionRoute(name, weight, (), RequestLimits(), waiting=waiting)


def published(*versions: VersionRoute, leaving: tuple[VersionRoute, ...] = ()) -> PublishedRoute:
    found = versions or (version("a", 100),)
    known = [one.name for one in (*found, *leaving)]
    return PublishedRoute(
        EndpointRoute("iris", found, found[0].name, ("key",), leaving=leaving),
        revisions=dict.fromkeys(known, ("r1",)),
        keys={name: {"r1": f"key of {name}"} for name in known},
        without=("drained",),
    )


def test_a_ready_pod_is_routed_with_the_key_of_its_revision() -> None:
    found = endpoint_route(published(), [pod()]).versions[0]
    assert found.addresses == ("10.0.0.1:5001",)
    assert found.replica_keys == {"10.0.0.1:5001": "key of a"}


def test_the_port_is_the_container_port_of_that_name() -> None:
    assert endpoint_route(published(), [pod(port=7001)]).versions[0].addresses == ("10.0.0.1:7001",)


@pytest.mark.parametrize("condition", ["True", "Unknown", None])
def test_a_pod_is_routed_before_it_is_known_whether_it_serves(condition: str | None) -> None:
    one = pod() if condition is None else pod(serving=condition)
    assert endpoint_route(published(), [one]).versions[0].addresses


@pytest.mark.parametrize(
    "other",
    [
        pod(serving="False"),
        pod(deleted=True),
        pod(ip=""),
        pod("drained"),
        pod(revision="r2"),
        pod(version="b"),
        pod(endpoint="wine"),
        {"metadata": {"name": "bare"}},
    ],
    ids=["withdrawn", "deleted", "no ip", "drained", "revision", "version", "endpoint", "bare"],
)
@pytest.mark.parametrize("ready", ["True", "False"])
def test_any_other_pod_is_not_routed(other: dict[str, Any], ready: str) -> None:
    conditions = [{"type": "ContainersReady", "status": ready}, *other.get("status", {}).get("conditions", ())[1:]]
    one = {**other, "status": {**other.get("status", {}), "conditions": conditions}}
    assert endpoint_route(published(), [one]).versions[0].addresses == ()


@pytest.mark.parametrize("ready", ["False", "Unknown"])
def test_an_unready_pod_is_not_routed_beside_a_ready_one(ready: str) -> None:
    found = endpoint_route(published(), [pod(ready=ready), pod("a-2", ip="10.0.0.2")]).versions[0]
    assert found.addresses == ("10.0.0.2:5001",)
    assert set(found.replica_keys or ()) == {"10.0.0.2:5001"}


@pytest.mark.parametrize("ready", ["False", "Unknown"])
def test_requests_wait_at_the_pods_of_a_version_when_all_are_unready(ready: str) -> None:
    pods = [pod(ready=ready), pod("a-2", ip="10.0.0.2", ready=ready), pod("a-3", ip="10.0.0.3", serving="False")]
    found = endpoint_route(published(), pods).versions[0]
    assert found.addresses == ("10.0.0.1:5001", "10.0.0.2:5001")
    assert set(found.replica_keys or ()) == set(found.addresses)


def test_a_version_whose_pods_are_all_unready_gives_its_weight_to_one_with_a_ready_pod() -> None:
    route = published(version("a", 60), version("b", 40), leaving=(version("old", 0),))
    pods = [pod(), pod("b-1", "b", ip="10.0.0.2", ready="False"), pod("old-1", "old", ip="10.0.0.3", ready="False")]
    found = endpoint_route(route, pods)
    assert [one.weight for one in found.versions] == [100, 0]
    assert found.versions[1].addresses == ("10.0.0.2:5001",)  # for requests that choose it by a header
    assert found.leaving[0].addresses == ("10.0.0.3:5001",)


def test_a_version_whose_requests_wait_for_its_first_replica_is_not_sent_to_an_unready_pod() -> None:
    found = endpoint_route(published(version("a", 100, waiting=True)), [pod(ready="False")]).versions[0]
    assert found.waiting
    assert found.addresses == ()


def placed(namespace: str, name: str = "a-1") -> dict[str, Any]:
    """A ready pod in a namespace, as an agent keeps it."""
    found = pod(name)
    return routed_part({**found, "metadata": {**found["metadata"], "namespace": namespace}})


def test_a_pod_in_another_namespace_than_its_endpoint_is_not_routed() -> None:
    at_home = published()
    elsewhere = replace(at_home, namespaces={"r1": "team"})
    for route, own, other in ((at_home, "mljupyter", "team"), (elsewhere, "team", "mljupyter")):
        assert PublishedRoute.parse(route.text()).namespaces == route.namespaces
        assert endpoint_route(route, [placed(own)], "mljupyter").versions[0].addresses
        assert not endpoint_route(route, [placed(other)], "mljupyter").versions[0].addresses


def test_a_route_of_an_endpoint_at_home_is_written_as_before_there_were_other_namespaces() -> None:
    assert "namespaces" not in published().text()


@pytest.mark.parametrize(
    "one",
    [
        pod(),
        pod(port=7001),
        pod(ready="False"),
        pod(serving="False"),
        pod(serving="True"),
        pod(deleted=True),
        pod(ip=""),
        pod("drained"),
        pod(revision="r2"),
        {"metadata": {"name": "bare"}},
    ],
)
def test_the_kept_part_of_a_pod_is_routed_as_the_whole_and_leaves_the_rest(one: dict[str, Any]) -> None:
    whole = {**one, "metadata": {**one["metadata"], "managedFields": [{"manager": "kubelet"}], "annotations": {}}}
    kept = routed_part(whole)
    assert endpoint_route(published(), [kept]) == endpoint_route(published(), [whole])
    assert set(kept["metadata"]) <= {"name", "uid", "resourceVersion", "labels", "deletionTimestamp"}


def test_a_version_without_replicas_gives_its_weight_to_the_default_version() -> None:
    found = endpoint_route(published(version("a", 60), version("b", 40)), [pod()])
    assert [one.weight for one in found.versions] == [100, 0]


def test_without_replicas_of_the_default_version_the_first_that_has_replicas_gets_the_weight() -> None:
    route = published(version("a", 60), version("b", 30), version("c", 10))
    found = endpoint_route(route, [pod(version="b"), pod("c-1", version="c", ip="10.0.0.2")])
    assert [one.weight for one in found.versions] == [0, 90, 10]


def test_a_version_that_waits_for_its_first_replica_keeps_its_weight_and_waits_until_it_has_one() -> None:
    route = published(version("a", 60), version("b", 40, waiting=True))
    assert [one.weight for one in endpoint_route(route, [pod()]).versions] == [60, 40]
    assert endpoint_route(route, [pod()]).versions[1].waiting
    assert not endpoint_route(route, [pod(version="b")]).versions[1].waiting


def test_without_any_replica_the_weights_stay() -> None:
    assert [one.weight for one in endpoint_route(published(version("a", 60), version("b", 40)), []).versions] == [
        60,
        40,
    ]


def test_a_version_that_leaves_keeps_its_replicas() -> None:
    found = endpoint_route(published(leaving=(version("old", 0),)), [pod(version="old")])
    assert found.leaving[0].addresses == ("10.0.0.1:5001",)


@given(
    st.lists(st.tuples(st.integers(0, 100), st.booleans(), st.integers(0, 2)), min_size=1, max_size=6),
)
def test_weight_is_never_lost_and_never_at_a_version_that_cannot_answer(shape: list[tuple[int, bool, int]]) -> None:
    versions = [version(f"v{at}", weight, waiting=waiting) for at, (weight, waiting, _) in enumerate(shape)]
    pods = [
        pod(f"{at}-{number}", f"v{at}", ip=f"10.0.{at}.{number}")
        for at, (_, _, count) in enumerate(shape)
        for number in range(count)
    ]
    found = endpoint_route(published(*versions), pods).versions
    assert sum(one.weight for one in found) == sum(weight for weight, _, _ in shape)
    if pods:
        assert all(one.addresses or one.waiting for one in found if one.weight)
    assert all(set(one.replica_keys or ()) == set(one.addresses) for one in found)
    assert not any(one.waiting and one.addresses for one in found)


def test_a_document_is_read_as_it_was_written_without_addresses() -> None:
    route = EndpointRoute(
        "iris",
        (VersionRoute("a", 100, ("10.0.0.1:5001",), RequestLimits(), replica_keys={"10.0.0.1:5001": "secret"}),),
        "a",
        ("key",),
        rate_limit=RateLimit(requests_per_second=3),
    )
    written = PublishedRoute(route, {"a": ("r1",)}, {"a": {"r1": "k"}}, ("z", "y"))
    read = PublishedRoute.parse(written.text())
    assert "10.0.0.1" not in written.text()
    assert read.version == written.version == version_of(written.text())
    assert (read.route.rate_limit, read.revisions, read.without) == (route.rate_limit, {"a": ("r1",)}, ("y", "z"))


def test_another_content_has_another_version() -> None:
    assert published().version != published(version("a", 50)).version


def test_listener_settings_are_read_as_they_were_written() -> None:
    written = Listening(
        RouterSpec(address="0.0.0.0"),
        {"": Pair("certificate", "key", ("example.org",))},
        TokenVerification("issuer", [{"kty": "EC"}]),
        "machine",
    )
    text = listening_text(written)
    assert parse_listening(text) == written
    assert version_of(text)


@pytest.mark.parametrize("text", ["", "{}", "[]", "nothing", '{"route": {"name": "very-secret"}}', "[" * 100_000])
def test_a_document_that_cannot_be_read_is_an_error_without_its_values(text: str) -> None:
    with pytest.raises(PublishedError) as caught:
        PublishedRoute.parse(text)
    assert "very-secret" not in caught.value.message


def test_keys_are_not_in_a_repr() -> None:
    assert "key" not in repr(published()).replace("keys", "")
