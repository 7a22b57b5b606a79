"""Judgement of the PersistentVolumeClaim for collected data before replicas use it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

_SHARED, _ONE_NODE, _ONE_POD = "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"
_AT_FIRST_USE = "WaitForFirstConsumer"


@dataclass(frozen=True)
class ClaimState:
    """A judgement, as a finding of a check: its state, a sentence, and the remedy."""

    state: Literal["ok", "note", "failed"]
    text: str
    fix: str = ""


def judged(
    name: str, namespace: str, claim: Mapping[str, Any] | None, nodes: int | None, binding: str | None
) -> ClaimState:
    """Return whether replicas can write to a claim.

    Parameters:
        name, namespace: of the claim.
        claim: the claim; None if it does not exist.
        nodes: the number of nodes that replicas may run on; None if it is not known.
        binding: the ``volumeBindingMode`` of its storage class; None if it has none, or that is not known.

    Example:
        >>> judged("data", "team", None, 1, None).text
        "claim 'data' does not exist in namespace 'team'"

    """
    about = f"claim {name!r}"
    if claim is None:
        return ClaimState(
            "failed",
            f"{about} does not exist in namespace {namespace!r}",
            f"create a PersistentVolumeClaim {name!r} there with access mode {_SHARED}, or attach without a claim: "
            "collected data then ends with its pod",
        )
    if claim["metadata"].get("deletionTimestamp"):
        return ClaimState("failed", f"{about} is being deleted", "create it again, or name another one")
    status = claim.get("status") or {}
    modes = status.get("accessModes") or (claim.get("spec") or {}).get("accessModes") or []
    if (wrong := _wrong_mode(about, modes, nodes)) is not None:
        return wrong
    phase = str(status.get("phase") or "Pending")
    if phase == "Bound":
        return ClaimState("ok", f"{about} is bound ({', '.join(modes)})")
    if phase == "Pending" and binding == _AT_FIRST_USE:
        return ClaimState("ok", f"{about} is bound when the first pod uses it ({', '.join(modes)})")
    return ClaimState(
        "failed",
        f"{about} is not bound to a volume: it is {phase}",
        f"kubectl describe pvc {name} -n {namespace} says why; it needs a storage class that makes volumes, or a "
        "PersistentVolume that fits",
    )


def _wrong_mode(about: str, modes: list[str], nodes: int | None) -> ClaimState | None:
    if _SHARED in modes:
        return None
    if _ONE_NODE in modes:
        if nodes == 1:
            return None
        if nodes is None:
            return ClaimState(
                "note",
                f"{about} can be mounted on one node at a time ({_ONE_NODE}), and the number of nodes is not known",
                f"for replicas on several nodes: a claim with access mode {_SHARED}",
            )
        return ClaimState(
            "failed",
            f"{about} can be mounted on one node at a time ({_ONE_NODE}), and replicas may run on {nodes} nodes",
            f"use a claim with access mode {_SHARED}, or keep all replicas on one node: node_selector "
            "(--node-selector kubernetes.io/hostname=NODE)",
        )
    why = "one pod at a time can use it" if _ONE_POD in modes else "nothing can be written to it"
    return ClaimState(
        "failed",
        f"{about} has access mode {', '.join(modes) or 'none'}: {why}",
        f"use a claim with access mode {_SHARED}",
    )
