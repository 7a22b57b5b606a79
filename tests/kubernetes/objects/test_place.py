"""The place of replicas: names and labels that are different in each namespace and for each installation."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.objects.place import Place, namespaces_of, places

REVISION = ("iris", "one", "0123456789ab")


def test_in_the_namespace_of_the_installation_names_and_labels_are_as_ever() -> None:
    home = Place("mljupyter", "mljupyter")
    assert home.deployment_name(*REVISION) == names.deployment_name(*REVISION)
    assert (home.labels, home.service_account) == ({}, names.REPLICA)


def test_two_installations_in_one_namespace_have_nothing_in_common() -> None:
    one, other = Place("team", "a"), Place("team", "b")
    assert one.deployment_name(*REVISION) != other.deployment_name(*REVISION)
    assert one.name_of("replica") != other.name_of("replica")
    assert one.selector != other.selector
    assert one.selector.endswith(f"{names.INSTALLATION_LABEL}=a")


@given(st.lists(st.from_regex(r"[a-z]([a-z-]{0,8}[a-z])?", fullmatch=True), min_size=2, unique=True))
def test_a_pod_that_is_named_like_a_replica_elsewhere_is_no_replica_here(homes: list[str]) -> None:
    for one, other in combinations((Place("team", home) for home in homes), 2):
        here, there = (place.deployment_name(*REVISION) for place in (one, other))
        assert one.has_pod(f"{here}-6d4cf56db6-x2x7k", here)
        assert not one.has_pod(f"{there}-6d4cf56db6-x2x7k", here)


def test_the_namespace_of_the_installation_is_the_first_place_and_none_comes_twice() -> None:
    assert [place.namespace for place in places("a", ["b", "a", "b"])] == ["a", "b"]
    assert namespaces_of("") == ()
    assert namespaces_of("b,c") == ("b", "c")
