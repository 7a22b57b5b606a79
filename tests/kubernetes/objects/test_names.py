"""Names of objects on a cluster, and paths of the API server."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mljupyter.kubernetes.objects import names

NAME = st.from_regex(r"[a-z][-a-z0-9]{1,30}[a-z0-9]", fullmatch=True)
REVISION = st.from_regex(r"[0-9a-f]{12}", fullmatch=True)
DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


@given(NAME, NAME, REVISION)
def test_the_name_of_a_deployment_is_a_label_of_52_characters_at_most(endpoint: str, version: str, rev: str) -> None:
    name = names.deployment_name(endpoint, version, rev)
    assert DNS_LABEL.fullmatch(name)
    assert len(name) <= 52


def test_a_deployment_has_the_names_that_people_look_for() -> None:
    assert names.deployment_name("iris", "iris", "0" * 12).startswith("mlj-iris-")
    assert names.deployment_name("iris", "version-a", "0" * 12).startswith("mlj-iris-version-a-")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("iris-prod", "abc"), ("iris", "prod-abc")),
        (("iris-abc", "iris-abc"), ("iris", "abc")),
        (("e-route-x", "e-route-x"), ("route-x", "route-x")),
        (("a" * 32, "b" * 31 + "c"), ("a" * 32, "b" * 31 + "d")),
    ],
)
def test_different_versions_never_share_a_deployment(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert names.deployment_name(*one, "0" * 12) != names.deployment_name(*other, "0" * 12)


def test_the_secret_of_a_deployment_is_never_that_of_a_route_or_state() -> None:
    for start, other in (("route", names.route_secret), ("state", names.state_secret)):
        name = names.deployment_name(f"{start}-iris", f"{start}-iris", "0" * 12)
        assert not name.startswith(other(""))


@pytest.mark.parametrize(
    ("version", "kind", "path"),
    [
        ("v1", "Secret", "/api/v1/namespaces/ns/secrets/x"),
        ("v1", "Namespace", "/api/v1/namespaces/x"),
        ("policy/v1", "PodDisruptionBudget", "/apis/policy/v1/namespaces/ns/poddisruptionbudgets/x"),
        ("networking.k8s.io/v1", "NetworkPolicy", "/apis/networking.k8s.io/v1/namespaces/ns/networkpolicies/x"),
        ("mljupyter.io/v1alpha1", "MLEndpoint", "/apis/mljupyter.io/v1alpha1/namespaces/ns/mlendpoints/x"),
        ("rbac.authorization.k8s.io/v1", "ClusterRole", "/apis/rbac.authorization.k8s.io/v1/clusterroles/x"),
    ],
)
def test_the_path_of_an_object_follows_from_its_manifest(version: str, kind: str, path: str) -> None:
    manifest = {"apiVersion": version, "kind": kind, "metadata": {"name": "x", "namespace": "ns"}}
    assert names.object_path(manifest) == path


def test_a_selector_names_all_given_labels() -> None:
    text = names.selector(component="replica", endpoint="iris", version="a")
    assert dict(item.split("=") for item in text.split(",")).items() <= names.replica_labels("iris", "a", "1").items()
