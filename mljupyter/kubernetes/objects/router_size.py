"""The size of the router on a cluster: read from its Deployment, kept in an annotation of it, and the room for more.

The annotation has the size that the self-scaler wants, and its last decisions. Objects that are applied again do not
have it, so that an upgrade changes neither.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mljupyter.engine.scaling.router_scaler import Node, Size
from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.objects.replicas import cpu_quantity
from mljupyter.spec import RouterScalingDecision, SpecError

ANNOTATION = f"{names.GROUP}/router-scaling"
MOST_DECISIONS = 50
_DECIMAL = {"n": 1e-9, "u": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
_FACTORS = _DECIMAL | {f"{letter}i": 2.0 ** (10 * power) for power, letter in enumerate("KMGTPE", start=1)}
_NO_PODS = ("NoSchedule", "NoExecute")
_ENDED = ("Succeeded", "Failed")


@dataclass(frozen=True)
class Kept:
    """The content of the annotation: the desired size, and the last decisions, oldest first."""

    size: Size
    decisions: tuple[RouterScalingDecision, ...] = ()

    def text(self) -> str:
        """Return the value of the annotation."""
        listed = [decision.document() for decision in self.decisions[-MOST_DECISIONS:]]
        return json.dumps({"cpu": self.size.cpu, "pods": self.size.pods, "decisions": listed}, separators=(",", ":"))

    def annotated(self) -> dict[str, Any]:
        """Return the patch of the Deployment that keeps it."""
        return {"metadata": {"annotations": {ANNOTATION: self.text()}}}


def kept_in(deployment: Mapping[str, Any]) -> Kept | None:
    """Return the content of a Deployment's annotation; None without one, or with one that cannot be read."""
    text = (deployment["metadata"].get("annotations") or {}).get(ANNOTATION)
    if text is None:
        return None
    try:
        found = json.loads(text)
        size = Size(float(found["cpu"]), int(found["pods"]))
        decisions = tuple(RouterScalingDecision.parse(item) for item in found.get("decisions", ()))
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError, SpecError):
        return None
    return Kept(size, decisions) if size.cpu > 0 and size.pods > 0 else None


def size_of(deployment: Mapping[str, Any]) -> Size:
    """Return the size that the spec of the router's Deployment has."""
    return Size(_requests(_router(deployment))[0], int(deployment["spec"].get("replicas", 1)))


def memory_of(deployment: Mapping[str, Any]) -> float:
    """Return the memory that each pod of the router requests, in bytes."""
    return _requests(_router(deployment))[1]


def cpu_patch(cpu: float) -> dict[str, Any]:
    """Return the strategic merge patch of the Deployment for other requests of CPU."""
    container = {"name": names.COMPONENT_ROUTER, "resources": {"requests": {"cpu": cpu_quantity(cpu)}}}
    return {"spec": {"template": {"spec": {"containers": [container]}}}}


def with_kept_size(manifest: dict[str, Any], present: Mapping[str, Any] | None) -> None:
    """Give the manifest of the router's Deployment the size that the self-scaler wants, if there is one.

    Parameters:
        manifest: the Deployment that is about to be applied.
        present: the Deployment in the cluster, None without one.

    """
    kept = kept_in(present) if present is not None else None
    if kept is not None:
        manifest["spec"]["replicas"] = kept.size.pods
        _router(manifest)["resources"]["requests"]["cpu"] = cpu_quantity(kept.size.cpu)


def is_settled(deployment: Mapping[str, Any]) -> bool:
    """Return whether all pods of a Deployment are ready and of its present template, and no others are there."""
    status, wanted = deployment.get("status") or {}, int(deployment["spec"].get("replicas", 1))
    counts = [int(status.get(name, 0)) for name in ("replicas", "updatedReplicas", "readyReplicas")]
    return status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0) and counts == [wanted] * 3


def refusal_of(deployment: Mapping[str, Any]) -> str:
    """Return why no further pod can be created, such as a quota; empty if there is no reason."""
    for condition in (deployment.get("status") or {}).get("conditions") or ():
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            return str(condition.get("message") or condition.get("reason") or "")
    return ""


def unplaced(pod: Mapping[str, Any]) -> str:
    """Return the scheduler's message when a pod finds no node; empty if it has one."""
    for condition in (pod.get("status") or {}).get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return str(condition.get("message") or condition.get("reason") or "it has no node")
    return ""


def room(
    deployment: Mapping[str, Any], nodes: Iterable[Mapping[str, Any]], pods: Sequence[Mapping[str, Any]]
) -> list[Node]:
    """Return the room on the nodes that the router may use: what they can give minus the requests of their pods.

    Parameters:
        deployment: the router's.
        nodes: all nodes.
        pods: the pods that are known, the router's own among them.

    """
    template = deployment["spec"]["template"]["spec"]
    usable = {node["metadata"]["name"]: node for node in nodes if _takes(node, template)}
    free = {name: _pair(node["status"].get("allocatable") or {}) for name, node in usable.items()}
    routers = dict.fromkeys(usable, 0)
    selected = deployment["spec"]["selector"]["matchLabels"].items()
    for pod in pods:
        name = pod["spec"].get("nodeName")
        if name not in usable or (pod.get("status") or {}).get("phase") in _ENDED:
            continue
        cpu, memory = _requested(pod)
        free[name] = (free[name][0] - cpu, free[name][1] - memory)
        if pod["metadata"].get("namespace") == deployment["metadata"]["namespace"]:
            routers[name] += selected <= (pod["metadata"].get("labels") or {}).items()
    return [Node(*free[name], routers[name]) for name in usable]


def quantity(text: object) -> float:
    """Return a quantity of Kubernetes as a number.

    Raises:
        ValueError: when it is none.

    Example:
        >>> quantity("500m"), quantity("1Gi"), quantity(2), quantity("1e3")
        (0.5, 1073741824.0, 2.0, 1000.0)

    """
    found = str(text)
    number = found.rstrip("".join(_FACTORS))
    suffix = found[len(number) :]
    if suffix not in _FACTORS:
        raise ValueError(f"{found[:100]!r} is not a quantity of Kubernetes")
    return float(number) * _FACTORS[suffix]


def _router(deployment: Mapping[str, Any]) -> dict[str, Any]:
    containers = deployment["spec"]["template"]["spec"]["containers"]
    return next(item for item in containers if item["name"] == names.COMPONENT_ROUTER)


def _requested(pod: Mapping[str, Any]) -> tuple[float, float]:
    """Return the cores and the memory in bytes that a pod requests, as the scheduler counts them."""
    spec = pod["spec"]
    together = [_requests(container) for container in spec.get("containers") or ()]
    first = [_requests(container) for container in spec.get("initContainers") or ()]
    overhead = _pair(spec.get("overhead") or {})
    cpu = max([sum(one[0] for one in together), *(one[0] for one in first)])
    memory = max([sum(one[1] for one in together), *(one[1] for one in first)])
    return cpu + overhead[0], memory + overhead[1]


def _requests(container: Mapping[str, Any]) -> tuple[float, float]:
    return _pair((container.get("resources") or {}).get("requests") or {})


def _pair(quantities: Mapping[str, Any]) -> tuple[float, float]:
    return quantity(quantities.get("cpu", 0)), quantity(quantities.get("memory", 0))


def _takes(node: Mapping[str, Any], template: Mapping[str, Any]) -> bool:
    """Return whether a node takes pods of a template."""
    spec, labels = node.get("spec") or {}, node["metadata"].get("labels") or {}
    conditions = (node.get("status") or {}).get("conditions") or ()
    ready = any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
    taints = [taint for taint in spec.get("taints") or () if taint.get("effect") in _NO_PODS]
    tolerated = all(any(_tolerates(one, taint) for one in template.get("tolerations") or ()) for taint in taints)
    chosen = (template.get("nodeSelector") or {}).items() <= labels.items()
    return ready and not spec.get("unschedulable") and tolerated and chosen


def _tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    """Return whether a toleration matches a taint, by the rules of Kubernetes."""
    if toleration.get("effect") not in (None, "", taint.get("effect")):
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key") in (None, "", taint.get("key"))
    return toleration.get("key") == taint.get("key") and (toleration.get("value") or "") == (taint.get("value") or "")
