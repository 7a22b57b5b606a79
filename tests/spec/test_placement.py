"""Placement of replicas in documents: what is accepted, and the sentence for what is not."""

from __future__ import annotations

from typing import Any

import pytest

from mljupyter.engine.replicas.revision import revision
from mljupyter.spec import Placement, ReplicaDefaults, Resources, SpecError, Toleration, VersionSpec
from mljupyter.spec.placement import MOST_LABELS, MOST_TOLERATIONS, labels_of

BEFORE: dict[str, Any] = {"image": "registry.example/iris:1", "resources": {"cpu": 1, "gpu": 1}}
"""A version as releases without placement have written it."""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gpu", {"key": "gpu", "operator": "Exists"}),
        ("gpu:NoSchedule", {"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}),
        ("gpu=yes", {"key": "gpu", "operator": "Equal", "value": "yes"}),
        ("gpu=:NoExecute", {"key": "gpu", "operator": "Equal", "value": "", "effect": "NoExecute"}),
        (
            "example.com/gpu=a.b:PreferNoSchedule",
            {"key": "example.com/gpu", "operator": "Equal", "value": "a.b", "effect": "PreferNoSchedule"},
        ),
    ],
)
def test_a_taint_as_kubectl_writes_it_is_a_toleration(text: str, expected: dict[str, str]) -> None:
    assert Toleration.of(text).document() == expected


@pytest.mark.parametrize("text", ["", "=yes", ":NoSchedule", "gpu=a=b", "gpu:Never", "gpu:NoSchedule:x", "a b", "gpu/"])
def test_other_text_is_no_taint(text: str) -> None:
    with pytest.raises(SpecError):
        Toleration.of(text)


@pytest.mark.parametrize(
    ("document", "rule"),
    [
        ({"operator": "Exists", "key": "gpu", "value": "x"}, "with a value, operator is 'Equal'"),
        ({"operator": "Equal"}, "key is missing"),
        ({"key": "gpu", "tolerationSeconds": 5}, "only for effect 'NoExecute'"),
        ({"key": "gpu", "effect": "Never"}, "NoSchedule"),
        ({"key": "gpu", "value": "a b"}, "value is 'a b'"),
        ({"key": "gpu", "operator": "In"}, "Equal"),
        ({"key": "-gpu"}, "not a key of Kubernetes"),
        ({"key": "x" * 64}, "not a key of Kubernetes"),
        ({"key": "gpu", "colour": "red"}, "colour is not a known field"),
    ],
)
def test_a_toleration_that_kubernetes_would_refuse_is_refused_with_the_rule(document: Any, rule: str) -> None:
    with pytest.raises(SpecError, match=rule):
        Toleration.parse(document)


@pytest.mark.parametrize(
    ("document", "rule"),
    [
        ({"nodeSelector": {"disk": "a b"}}, "nodeSelector.disk is 'a b'"),
        ({"nodeSelector": {"disk/": "fast"}}, "not a key of Kubernetes"),
        ({"nodeSelector": {"Example.com/disk": "fast"}}, "not a key of Kubernetes"),
        ({"nodeSelector": {f"{'a.' * 127}b/disk": "fast"}}, "not a key of Kubernetes"),
        ({"nodeSelector": {"disk": "x" * 64}}, "nodeSelector.disk"),
        ({"nodeSelector": {f"disk{number}": "x" for number in range(MOST_LABELS + 1)}}, "nodeSelector"),
        ({"tolerations": [{"key": "gpu"}] * (MOST_TOLERATIONS + 1)}, "tolerations"),
        ({"runtimeClass": "G Visor"}, "runtimeClass is 'G Visor'"),
        ({"runtimeClass": ""}, "runtimeClass"),
    ],
)
def test_a_placement_that_kubernetes_would_refuse_is_refused_with_the_rule(document: Any, rule: str) -> None:
    with pytest.raises(SpecError, match=rule):
        Placement.parse(document)


@pytest.mark.parametrize("name", ["nvidia.com/gpu", "amd.com/gpu", "nvidia.com/mig-1g.5gb", "example.com/fpga_a"])
def test_the_resource_of_a_device_plug_in_counts_accelerators(name: str) -> None:
    assert Resources.parse({"gpu": 1, "gpuResource": name}).gpu_resource == name


@pytest.mark.parametrize(
    "name",
    ["gpu", "cpu", "kubernetes.io/gpu", "x.kubernetes.io/gpu", "requests.example.com/gpu", "nvidia.com/", "a b/c"],
)
def test_another_name_counts_no_accelerators(name: str) -> None:
    with pytest.raises(SpecError, match="is not the resource of an accelerator"):
        Resources.parse({"gpu": 1, "gpuResource": name})


def test_a_version_that_was_stored_before_placement_is_read_and_keeps_its_replicas() -> None:
    spec = VersionSpec.parse(BEFORE)
    assert spec.placement is None
    assert "placement" not in spec.document()
    assert "gpuResource" not in spec.document()["resources"]
    assert revision(spec, "team") == "98b3bce15cf3"  # as of the release before


def test_another_placement_is_another_revision() -> None:
    spec = VersionSpec.parse(BEFORE)
    placed = VersionSpec.parse({**BEFORE, "placement": {"nodeSelector": {"disk": "fast"}}})
    other = VersionSpec.parse({**BEFORE, "resources": {"cpu": 1, "gpu": 1, "gpuResource": "amd.com/gpu"}})
    assert len({revision(one) for one in (spec, placed, other)}) == 3
    assert VersionSpec.parse(placed.document()) == placed


def test_the_defaults_of_a_cluster_count_gpus_of_nvidia() -> None:
    assert ReplicaDefaults.parse("{}").gpu_resource == "nvidia.com/gpu"


def test_labels_are_written_with_an_equals_sign() -> None:
    assert labels_of(["disk=fast", "zone="]) == {"disk": "fast", "zone": ""}
    with pytest.raises(SpecError, match="LABEL=VALUE"):
        labels_of(["disk"])
