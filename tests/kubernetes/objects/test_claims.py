"""The judgement of a claim for collected data: one line, with its remedy."""

from __future__ import annotations

from typing import Any

import pytest

from mljupyter.kubernetes.objects.claims import judged


def claim(phase: str = "Bound", *modes: str, **metadata: Any) -> dict[str, Any]:
    found = list(modes or ("ReadWriteMany",))
    return {"metadata": {"name": "data", **metadata}, "spec": {"accessModes": found}, "status": {"phase": phase}}


@pytest.mark.parametrize("nodes", [None, 1, 3])
def test_a_bound_claim_that_all_nodes_can_mount_suits(nodes: int | None) -> None:
    found = judged("data", "team", claim(), nodes, None)
    assert (found.state, found.text) == ("ok", "claim 'data' is bound (ReadWriteMany)")


def test_a_claim_that_does_not_exist_is_told_with_the_way_out() -> None:
    found = judged("data", "team", None, 1, None)
    assert (found.state, found.text) == ("failed", "claim 'data' does not exist in namespace 'team'")
    assert "create a PersistentVolumeClaim 'data'" in found.fix


@pytest.mark.parametrize(
    ("phase", "binding", "state", "part"),
    [
        ("Pending", None, "failed", "is not bound to a volume: it is Pending"),
        ("Pending", "Immediate", "failed", "is not bound to a volume: it is Pending"),
        ("Pending", "WaitForFirstConsumer", "ok", "is bound when the first pod uses it"),
        ("Lost", "WaitForFirstConsumer", "failed", "it is Lost"),
    ],
)
def test_a_claim_without_a_volume_suits_only_if_its_first_pod_gets_it_one(
    phase: str, binding: str | None, state: str, part: str
) -> None:
    found = judged("data", "team", claim(phase), 1, binding)
    assert found.state == state
    assert part in found.text
    assert ("kubectl describe pvc data -n team" in found.fix) == (state == "failed")


@pytest.mark.parametrize(
    ("modes", "nodes", "state", "part"),
    [
        (["ReadWriteOnce"], 1, "ok", "is bound (ReadWriteOnce)"),
        (["ReadWriteOnce"], 3, "failed", "(ReadWriteOnce), and replicas may run on 3 nodes"),
        (["ReadWriteOnce"], 0, "failed", "replicas may run on 0 nodes"),
        (["ReadWriteOnce"], None, "note", "the number of nodes is not known"),
        (["ReadWriteOncePod"], 1, "failed", "one pod at a time can use it"),
        (["ReadOnlyMany"], 1, "failed", "nothing can be written to it"),
        (["ReadWriteOnce", "ReadWriteMany"], 3, "ok", "is bound"),
    ],
)
def test_the_access_mode_must_suit_the_nodes_of_replicas(
    modes: list[str], nodes: int | None, state: str, part: str
) -> None:
    found = judged("data", "team", claim("Bound", *modes), nodes, None)
    assert found.state == state
    assert part in found.text
    assert ("ReadWriteMany" in found.fix) == (state != "ok")


def test_a_claim_that_is_being_deleted_is_refused() -> None:
    found = judged("data", "team", claim(deletionTimestamp="2030-01-01T00:00:00Z"), 1, None)
    assert (found.state, found.text) == ("failed", "claim 'data' is being deleted")


@pytest.mark.parametrize("given", [None, claim("Pending"), claim("Bound", "ReadWriteOnce"), claim("Lost")])
def test_every_judgement_is_one_line(given: dict[str, Any] | None) -> None:
    found = judged("data", "team", given, 3, None)
    assert "\n" not in found.text + found.fix
