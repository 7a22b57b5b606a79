"""The room on the nodes of a cluster: which of them a pod may run on, and what is free there."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from mljupyter.kubernetes.objects.replicas import memory_quantity

Object = Mapping[str, Any]
_SUFFIXES: Mapping[str, Decimal] = {
    "": Decimal(1),
    **{letter: Decimal(1000) ** power for power, letter in enumerate("num", -3)},
    **{letter: Decimal(1000) ** power for power, letter in enumerate("kMGTPE", 1)},
    **{f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", 1)},
}
_QUANTITY = re.compile(r"([+-]?[0-9.]+)([eE][+-]?[0-9]+|[a-zA-Z]*)")
_MIB = 1 << 20
_GIB = 1 << 30
_KEEPS_AWAY = frozenset({"NoSchedule", "NoExecute"})
_OVER = frozenset({"Succeeded", "Failed"})
_MOST_SHOWN = 5
_LONGEST_SHOWN = 80


@dataclass(frozen=True)
class Room:
    """The nodes of a cluster and the pods on them.

    Parameters:
        nodes: all nodes.
        pods: the pods that are known.
        complete: whether these are the pods of all namespaces. Otherwise less may be free than it seems.

    """

    nodes: Sequence[Object]
    pods: Sequence[Object]
    complete: bool = False


def quantity(text: str | float) -> Decimal:
    """Return a quantity of Kubernetes as a number: cores, bytes, pieces.

    Raises:
        ValueError: the text is not a quantity.

    Example:
        >>> quantity("250m"), quantity("2Ki"), quantity("1e3"), quantity(4)
        (Decimal('0.250'), Decimal('2048'), Decimal('1000'), Decimal('4'))

    """
    found = _QUANTITY.fullmatch(str(text))
    try:
        if found is None:
            raise ValueError
        number, suffix = found.groups()
        if suffix[:1] in ("e", "E") and len(suffix) > 1:
            return Decimal(number + suffix)
        return Decimal(number) * _SUFFIXES[suffix]
    except (ValueError, KeyError, ArithmeticError):
        raise ValueError(f"{str(text)!r:.80} is not a quantity of Kubernetes") from None


def requests(pod: Object) -> dict[str, Decimal]:
    """Return the resources that a pod asks for: those of its containers, or of the largest init container."""
    spec = pod.get("spec") or {}
    total: dict[str, Decimal] = {}
    for container in spec.get("containers") or ():
        _add(total, _asked(container))
    for container in spec.get("initContainers") or ():
        for name, amount in _asked(container).items():
            total[name] = max(total.get(name, amount), amount)
    _add(total, {name: quantity(amount) for name, amount in (spec.get("overhead") or {}).items()})
    return total


def what_fits(pod: Object, room: Room, short: Collection[str] = ()) -> str:
    """Return sentences about the nodes that a pod may run on, and the most that is free on one of them.

    The empty text without nodes that can be read.

    Parameters:
        pod: a pod without a node.
        room: the cluster.
        short: the resources that the scheduler misses.

    """
    if not room.nodes:
        return ""
    spec = pod.get("spec") or {}
    selector: Mapping[str, str] = spec.get("nodeSelector") or {}
    matching = [node for node in room.nodes if selector.items() <= _labels(node).items()]
    if not matching:
        return _no_match(selector, room.nodes)
    tolerations = spec.get("tolerations") or ()
    taints = {node["metadata"]["name"]: _taints(node, tolerations) for node in matching}
    usable = [node for node in matching if not taints[node["metadata"]["name"]]]
    if not usable:
        listed = _listed(sorted({taint for found in taints.values() for taint in found}))
        which = "the nodes that match have" if selector else "all nodes have"
        return f"Taints that are not tolerated: {which} {listed}."
    return _most_free(pod, usable, room, short)


def _no_match(selector: Mapping[str, str], nodes: Sequence[Object]) -> str:
    """Return which part of a node selector no node has, and the values that there are."""
    for key, value in selector.items():
        present = sorted({_labels(node)[key] for node in nodes if key in _labels(node)})
        if value not in present:
            others = f"nodes have {_listed(f'{key}={one}' for one in present)}" if present else f"none has {key!r}"
            return f"No node has the label {key}={value}: {others}."
    wanted = ", ".join(f"{key}={value}" for key, value in selector.items())
    return f"No node has all of the labels {wanted}."


def _most_free(pod: Object, usable: Sequence[Object], room: Room, short: Collection[str]) -> str:
    asked = {name: amount for name, amount in requests(pod).items() if amount}
    used: dict[str, dict[str, Decimal]] = {node["metadata"]["name"]: {} for node in usable}
    for other in room.pods:
        name = (other.get("spec") or {}).get("nodeName")
        if name in used and (other.get("status") or {}).get("phase") not in _OVER:
            _add(used[name], {**requests(other), "pods": Decimal(1)})

    def free(node: Object, name: str) -> Decimal:
        return max(_total(node, name) - used[node["metadata"]["name"]].get(name, Decimal(0)), Decimal(0))

    if all(free(node, "pods") < 1 for node in usable):
        return "Each node that matches has as many pods as it takes."
    lacking = [name for name in asked if all(free(node, name) < asked[name] for node in usable)]
    sentences = []
    for name in sorted(lacking):
        if not any(_total(node, name) for node in room.nodes):
            lacking.remove(name)
            short = [one for one in short if one != name]
            sentences.append(
                f"No node has any {name}: correct gpu_resource, or have the device plug-in installed that counts it."
            )
    for name in [name for name in asked if name in short] or lacking or ([] if sentences else list(asked)):
        best = max(usable, key=lambda node: free(node, name))
        amount = free(best, name)
        others = "" if room.complete or not amount else ", less what pods of other namespaces use"
        sentences.append(
            f"The node with most {name}, {best['metadata']['name']}, has {_shown(name, amount)} of "
            f"{_shown(name, _total(best, name))} free{others}."
        )
    return " ".join(sentences)


def _shown(name: str, amount: Decimal) -> str:
    """Return an amount in the unit of requests, rounded down: a request of this size must fit."""
    if name == "cpu":
        return f"{int(amount * 1000) / 1000:g}"
    if name in ("memory", "ephemeral-storage"):
        return memory_quantity(int(amount / _MIB) * _MIB / _GIB)
    return f"{int(amount)}"


def _add(total: dict[str, Decimal], more: Mapping[str, Decimal]) -> None:
    for name, amount in more.items():
        total[name] = total.get(name, Decimal(0)) + amount


def _asked(container: Object) -> dict[str, Decimal]:
    resources = container.get("resources") or {}
    asked = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return {name: quantity(amount) for name, amount in asked.items()}


def _total(node: Object, name: str) -> Decimal:
    return quantity(((node.get("status") or {}).get("allocatable") or {}).get(name, 0))


def _labels(node: Object) -> Mapping[str, str]:
    return node["metadata"].get("labels") or {}


def _taints(node: Object, tolerations: Iterable[Object]) -> list[str]:
    """Return the taints of a node that keep a pod away, as ``kubectl taint`` writes them."""
    spec = node.get("spec") or {}
    keeping = [taint for taint in spec.get("taints") or () if taint.get("effect") in _KEEPS_AWAY]
    tolerations = list(tolerations)
    return [
        f"{taint['key']}{'=' + taint['value'] if taint.get('value') else ''}:{taint['effect']}"
        for taint in keeping
        if not any(_tolerates(toleration, taint) for toleration in tolerations)
    ]


def _tolerates(toleration: Object, taint: Object) -> bool:
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if toleration.get("key") not in (None, "", taint["key"]):
        return False
    if toleration.get("operator") == "Exists":
        return True
    return bool(toleration.get("key")) and (toleration.get("value") or "") == (taint.get("value") or "")


def _listed(texts: Iterable[str]) -> str:
    found = [text[:_LONGEST_SHOWN] for text in texts]
    rest = f" and {len(found) - _MOST_SHOWN} more" if len(found) > _MOST_SHOWN else ""
    return ", ".join(found[:_MOST_SHOWN]) + rest
