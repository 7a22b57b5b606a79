"""The room on the nodes of a cluster, for the sentence about a pod that fits nowhere."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from mljupyter.kubernetes.objects.room import Room, quantity, requests, what_fits

FPGA = "example.com/fpga"


def node(
    name: str, *, taints: tuple[str, ...] = (), labels: dict[str, str] | None = None, fpga: str = "", **more: str
) -> Any:
    """Return a node with 4 cores and 8 GiB; `taints` are written KEY=VALUE:EFFECT."""
    parts = [(*taint.partition(":")[0].partition("=")[::2], taint.partition(":")[2]) for taint in taints]
    allocatable = {"cpu": "4", "memory": "8Gi", "pods": "110", **more, **({FPGA: fpga} if fpga else {})}
    return {
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {"taints": [{"key": key, "value": value, "effect": effect} for key, value, effect in parts]},
        "status": {"allocatable": allocatable},
    }


def pod(on: str | None = None, *, phase: str = "Running", **fields: Any) -> Any:
    """Return a pod; `asks` are its requests, and all other fields those of its spec."""
    asks = fields.pop("asks", {"cpu": "1", "memory": "1Gi"})
    container = {"name": "server", "resources": {"requests": asks}}
    return {"spec": {"nodeName": on, "containers": [container], **fields}, "status": {"phase": phase}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("250m", Decimal("0.25")),
        ("1.5", Decimal("1.5")),
        ("100k", 100_000),
        ("1e3", 1000),
        ("2E", 2 * 10**18),
        ("16Ki", 16_384),
        ("1.5Gi", 3 << 29),
        ("5n", Decimal("5e-9")),
        (3, 3),
    ],
)
def test_quantities_are_read_as_kubernetes_writes_them(text: str | int, expected: Any) -> None:
    assert quantity(text) == expected


@pytest.mark.parametrize("text", ["", "x", "1x", "1 Gi", "--1", "1.2.3"])
def test_other_text_is_no_quantity(text: str) -> None:
    with pytest.raises(ValueError, match="not a quantity"):
        quantity(text)


def test_a_pod_asks_for_its_containers_or_its_largest_init_container() -> None:
    asking = {
        "containers": [
            {"resources": {"requests": {"cpu": "500m"}, "limits": {"cpu": "2", FPGA: "1"}}},
            {"resources": {"requests": {"cpu": "1"}}},
        ],
        "initContainers": [{"resources": {"requests": {"cpu": "1", "memory": "4Gi"}}}],
        "overhead": {"memory": "1Gi"},
    }
    assert requests({"spec": asking}) == {"cpu": Decimal("1.5"), FPGA: 1, "memory": 5 << 30}


@pytest.mark.parametrize(
    ("asking", "nodes", "expected"),
    [
        (
            pod(asks={"cpu": "5"}),
            [node("one"), node("two", cpu="4500m")],
            "The node with most cpu, two, has 4.5 of 4.5 free.",
        ),
        (
            pod(asks={"memory": "9Gi"}),
            [node("one", memory="8389632Ki")],
            "The node with most memory, one, has 8193Mi of 8193Mi free.",
        ),
        (
            pod(asks={"cpu": "1", FPGA: "1"}),
            [node("one")],
            f"No node has any {FPGA}: correct gpu_resource, or have the device plug-in installed that counts it.",
        ),
        (
            pod(asks={FPGA: "3"}),
            [node("one", fpga="2"), node("two")],
            f"The node with most {FPGA}, one, has 2 of 2 free.",
        ),
        (
            pod(nodeSelector={"disk": "fast"}),
            [node("one", labels={"disk": "slow"}), node("two", labels={"disk": "hdd"})],
            "No node has the label disk=fast: nodes have disk=hdd, disk=slow.",
        ),
        (pod(nodeSelector={"disk": "fast"}), [node("one")], "No node has the label disk=fast: none has 'disk'."),
        (
            pod(nodeSelector={"disk": "fast", "zone": "a"}),
            [node("one", labels={"disk": "fast"}), node("two", labels={"zone": "a"})],
            "No node has all of the labels disk=fast, zone=a.",
        ),
        (
            pod(),
            [node("one", taints=("gpu=yes:NoSchedule",)), node("two", taints=("cordoned:NoExecute",))],
            "Taints that are not tolerated: all nodes have cordoned:NoExecute, gpu=yes:NoSchedule.",
        ),
        (
            pod(nodeSelector={"disk": "fast"}),
            [node("one", labels={"disk": "fast"}, taints=("gpu=yes:NoSchedule",)), node("two")],
            "Taints that are not tolerated: the nodes that match have gpu=yes:NoSchedule.",
        ),
        (pod(), [node("one", pods="0")], "Each node that matches has as many pods as it takes."),
        (pod(), [], ""),
    ],
)
def test_a_pod_that_fits_nowhere_is_told_what_would_fit(asking: Any, nodes: list[Any], expected: str) -> None:
    assert what_fits(asking, Room(nodes, [], complete=True)) == expected


@pytest.mark.parametrize(
    ("toleration", "tolerated"),
    [
        ({"key": "gpu", "operator": "Exists"}, True),
        ({"key": "gpu", "operator": "Equal", "value": "yes"}, True),
        ({"key": "gpu", "value": "yes"}, True),
        ({"key": "gpu", "operator": "Equal", "value": "no"}, False),
        ({"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}, True),
        ({"key": "gpu", "operator": "Exists", "effect": "NoExecute"}, False),
        ({"operator": "Exists"}, True),
        ({"key": "other", "operator": "Exists"}, False),
    ],
)
def test_a_taint_counts_unless_it_is_tolerated(toleration: dict[str, str], tolerated: bool) -> None:
    nodes = [node("one", taints=("gpu=yes:NoSchedule", "spare:PreferNoSchedule"))]
    found = what_fits(pod(asks={"cpu": "5"}, tolerations=[toleration]), Room(nodes, [], complete=True))
    assert ("Taints" in found) is not tolerated


def test_pods_on_a_node_leave_less_of_it_and_ended_ones_do_not() -> None:
    pods = [pod("one", asks={"cpu": "1500m"}), pod("one", phase="Succeeded", asks={"cpu": "2"}), pod("two")]
    nodes = [node("one"), node("two", cpu="1")]
    found = what_fits(pod(asks={"cpu": "3"}), Room(nodes, pods, complete=True))
    assert found == "The node with most cpu, one, has 2.5 of 4 free."


def test_pods_of_other_namespaces_that_cannot_be_read_are_mentioned() -> None:
    found = what_fits(pod(asks={"cpu": "3"}), Room([node("one")], []), ["cpu"])
    assert found == "The node with most cpu, one, has 4 of 4 free, less what pods of other namespaces use."


def test_what_the_scheduler_misses_is_what_is_shown() -> None:
    nodes = [node("one"), node("two", cpu="1", memory="16Gi")]
    found = what_fits(pod(asks={"cpu": "2", "memory": "12Gi"}), Room(nodes, [], complete=True), ["cpu", "memory"])
    assert (
        found == "The node with most cpu, one, has 4 of 4 free. The node with most memory, two, has 16Gi of 16Gi free."
    )
