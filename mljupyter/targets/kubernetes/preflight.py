"""Checks of a cluster before anything is changed in it: access, rights, capacity, pod security, autoscalers.

Each check is one line with its remedy. `check_attached` checks an attached cluster.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mljupyter.client.errors import ControllerError
from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.objects.claims import judged
from mljupyter.kubernetes.objects.installation import Purpose
from mljupyter.kubernetes.objects.security import USER, container_security, pod_security
from mljupyter.spec import ReplicaDefaults
from mljupyter.targets.base import Finding
from mljupyter.targets.kubernetes.attached import AttachedCluster
from mljupyter.targets.kubernetes.cluster import FORBIDDEN, Cluster, ClusterError
from mljupyter.targets.kubernetes.endpoint_namespaces import endpoints_elsewhere
from mljupyter.targets.kubernetes.installation_state import installation_state
from mljupyter.targets.kubernetes.publishing import publication_findings

OLDEST = (1, 20)
FAST_PROD_CPUS = 12
DEV_TEST_CPUS = 2
_GIB = 1 << 30
_ENDPOINT_NAMESPACES = "endpoint namespaces"
_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


@dataclass(frozen=True, order=True)
class Right:
    """A right: a verb on a kind of object, in a namespace or in the whole cluster (an empty namespace)."""

    group: str
    resource: str
    verb: str
    namespace: str = ""


def rights_for(
    manifests: Iterable[Mapping[str, Any]], namespace: str, others: Sequence[str] = (), *, claim: bool = False
) -> list[Right]:
    """Return the rights that attaching, using and detaching a cluster needs.

    Parameters:
        manifests: the objects of the installation.
        namespace: their namespace.
        others: the other namespaces that endpoints may run in.
        claim: whether there is a claim for collected data to look at.

    """
    needed = set()
    for manifest in manifests:
        group = manifest["apiVersion"].rpartition("/")[0]
        path = names.collection_path(manifest)
        place = manifest["metadata"].get("namespace", "") if "/namespaces/" in path else ""
        resource = path.rpartition("/")[2]
        needed |= {Right(group, resource, verb, place) for verb in ("get", "create", "patch", "delete")}
    using = {
        "pods": ("get", "list", "create", "delete"),
        "pods/log": ("get",),
        "pods/portforward": ("create",),
        "services/proxy": ("get", "create", "update", "delete"),
        "secrets": ("get", "create", "patch", "delete"),  # no manifest has one, and attaching makes some
    }
    needed |= {Right("", resource, verb, namespace) for resource, verbs in using.items() for verb in verbs}
    needed |= {Right("batch", "jobs", verb, namespace) for verb in ("create", "delete")}  # checks from the nodes
    needed |= {Right(names.GROUP, names.PLURAL, verb, namespace) for verb in ("get", "list", "patch", "delete")}
    for other in others:
        needed |= {Right("", "pods", verb, other) for verb in ("get", "list", "create", "delete")}
        needed |= {Right("", "secrets", verb, other) for verb in using["secrets"]}
        needed |= {Right("apps", "deployments", verb, other) for verb in ("list", "delete")}
    if claim:
        needed.add(Right("", "persistentvolumeclaims", "get", namespace))
    return sorted(needed)


def access_review(right: Right) -> dict[str, Any]:
    """Return the question to the API server whether the user has a right."""
    resource, _, part = right.resource.partition("/")
    attributes = {
        "group": right.group,
        "resource": resource,
        "verb": right.verb,
        **({"subresource": part} if part else {}),
        **({"namespace": right.namespace} if right.namespace else {}),
    }
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }


def missing_rights(cluster: Cluster, needed: Iterable[Right]) -> list[Right]:
    """Return the rights that the user does not have."""
    answers = ((right, cluster.call("POST", _REVIEWS, access_review(right))) for right in needed)
    return [right for right, answer in answers if not answer["status"].get("allowed")]


def granting_role(missing: Sequence[Right]) -> list[dict[str, Any]]:
    """Return the Roles that grant rights: one for each namespace, and a ClusterRole for those of the whole cluster."""
    roles = []
    for namespace in sorted({right.namespace for right in missing}):
        verbs: dict[tuple[str, str], set[str]] = {}
        for right in missing:
            if right.namespace == namespace:
                verbs.setdefault((right.group, right.resource), set()).add(right.verb)
        rules = [
            {"apiGroups": [group], "resources": [resource], "verbs": sorted(found)}
            for (group, resource), found in sorted(verbs.items())
        ]
        roles.append(
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "Role" if namespace else "ClusterRole",
                "metadata": {"name": "mljupyter-attach", **({"namespace": namespace} if namespace else {})},
                "rules": rules,
            }
        )
    return roles


def check(
    cluster: Cluster,
    namespace: str,
    purpose: str,
    manifests: Sequence[Mapping[str, Any]],
    replicas: ReplicaDefaults,
    endpoint_namespaces: Sequence[str] = (),
) -> Iterator[Finding]:
    """Yield the findings of all checks, in the order in which a failure hides the next ones.

    Parameters:
        cluster: the API server.
        namespace: the namespace of the installation.
        purpose: a `Purpose`.
        manifests: the objects of the installation.
        replicas: the settings of all replicas.
        endpoint_namespaces: the other namespaces that endpoints may run in.

    """
    try:
        yield _release(cluster)
    except ControllerError as error:
        first, _, rest = error.message.partition("\n")
        yield Finding("API server", "failed", first, rest)
        return
    has_claim = replicas.collected_data_claim is not None
    yield _rights(cluster, rights_for(manifests, namespace, endpoint_namespaces, claim=has_claim))
    yield _capacity(cluster, purpose)
    yield from _namespace(cluster, namespace)
    yield from _claim(cluster, namespace, replicas)
    yield from _autoscalers(cluster, namespace)
    yield from _endpoint_namespaces(cluster, namespace, endpoint_namespaces)


def check_attached(cluster: Cluster, attached: AttachedCluster) -> list[Finding]:
    """Return the findings for an attached cluster: the API server, capacity, and the state of the installation."""
    try:
        found = [_release(cluster)]
    except ControllerError as error:
        first, _, rest = error.message.partition("\n")
        return [Finding("API server", "failed", first, rest)]
    found.append(_capacity(cluster, attached.purpose))
    try:
        reader = "collectedDataClaim" in attached.replicas
        state = installation_state(cluster, attached.namespace, reader=reader)
    except ControllerError as error:
        first, _, rest = error.message.partition("\n")
        found.append(Finding("installation", "failed", first, rest))
    else:
        fix = "" if state.ready else f"mljupyter computetarget attach {attached.name}"
        found.append(Finding("installation", "ok" if state.ready else "failed", state.text, fix))
    found += publication_findings(cluster, attached.service_type, attached.namespace)
    found += _claim(cluster, attached.namespace, ReplicaDefaults.parse(attached.replicas))
    found += _autoscalers(cluster, attached.namespace)
    found += _endpoint_namespaces(cluster, attached.namespace, attached.endpoint_namespaces)
    return found


def _release(cluster: Cluster) -> Finding:
    found = cluster.get("/version")
    text = f"Kubernetes {found.get('gitVersion', '?')} at {cluster.server}"
    numbers = [re.match(r"\d+", str(found.get(part, ""))) for part in ("major", "minor")]
    release = tuple(int(number.group()) for number in numbers if number)
    if len(release) == len(OLDEST) and release < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        return Finding("API server", "failed", f"{text}: older than {oldest}", f"upgrade the cluster to {oldest}")
    return Finding("API server", "ok", text)


def _rights(cluster: Cluster, needed: Sequence[Right]) -> Finding:
    try:
        missing = missing_rights(cluster, needed)
    except ControllerError as error:
        return Finding("rights", "failed", error.message)
    if not missing:
        return Finding("rights", "ok", f"all {len(needed)} that are needed")
    listed = ", ".join(
        f"{right.verb} {right.resource}{f' in {right.namespace}' if right.namespace else ''}" for right in missing
    )
    roles = "\n---\n".join(json.dumps(role) for role in granting_role(missing))
    return Finding(
        "rights", "failed", f"missing: {listed}", f"an administrator applies this and binds it to you:\n{roles}"
    )


def _capacity(cluster: Cluster, purpose: str) -> Finding:
    try:
        nodes = cluster.items(names.nodes())
    except ClusterError as error:
        if error.status == FORBIDDEN:
            return Finding("capacity", "note", "unknown: the right to list nodes is missing")
        return Finding("capacity", "failed", error.message)
    usable = [node for node in nodes if takes_pods(node)]
    # A node keeps a part of one of its vCPU for itself: one with 4 may offer 3.86, and counts as 4.
    cpus = sum(math.ceil(_quantity(node, "cpu")) for node in usable)
    memory = sum(_quantity(node, "memory") for node in usable) / _GIB
    text = f"{len(usable)} of {len(nodes)} nodes take pods, with {cpus:g} vCPU and {memory:.1f} GiB"
    if not usable:
        return Finding("capacity", "failed", text, "make a node ready: kubectl get nodes")
    if purpose == Purpose.FAST_PROD and cpus < FAST_PROD_CPUS:
        return Finding(
            "capacity",
            "failed",
            f"{text}: purpose FAST_PROD needs at least {FAST_PROD_CPUS} vCPU",
            "add nodes, or attach for tests: cluster_purpose=AksCompute.ClusterPurpose.DEV_TEST (--purpose DevTest)",
        )
    if cpus < DEV_TEST_CPUS:
        return Finding("capacity", "note", f"{text}: fewer than {DEV_TEST_CPUS} vCPU are slow")
    return Finding("capacity", "ok", text)


def takes_pods(node: Mapping[str, Any]) -> bool:
    """Return whether a node is ready, and pods without tolerations can be placed on it."""
    ready = any(
        one["type"] == "Ready" and one["status"] == "True" for one in (node.get("status") or {}).get("conditions") or ()
    )
    spec = node.get("spec") or {}
    tainted = any(taint.get("effect") in ("NoSchedule", "NoExecute") for taint in spec.get("taints") or ())
    return ready and not spec.get("unschedulable") and not tainted


def _quantity(node: Mapping[str, Any], resource: str) -> float:
    from kubernetes.utils.quantity import parse_quantity  # with its package

    return float(parse_quantity(node["status"]["allocatable"].get(resource, "0")))


def _namespace(cluster: Cluster, namespace: str) -> Iterator[Finding]:
    """Yield whether pods of an installation are admitted in the namespace, by one that is not really created."""
    try:
        found = cluster.find(f"/api/v1/namespaces/{namespace}")
        if found is None:
            yield Finding("namespace", "ok", f"{namespace!r} is created")
            return
        if found["metadata"].get("deletionTimestamp"):
            yield Finding("namespace", "failed", f"{namespace!r} is being deleted", "wait, or choose another namespace")
            return
        if (other := _user_of(cluster, namespace)) is not None:
            text = f"{namespace!r} is a namespace for endpoints of the installation in {other!r}"
            yield Finding("namespace", "failed", text, "choose another namespace")
            return
        yield _admission(cluster, "namespace", found)
    except ClusterError as error:
        yield Finding(
            "namespace", "failed", error.message, "ask the administrator of the cluster, or choose another namespace"
        )


def _admission(cluster: Cluster, check: str, namespace: Mapping[str, Any]) -> Finding:
    """Return that a namespace admits restricted pods, or raise `ClusterError`."""
    name = namespace["metadata"]["name"]
    level = (namespace["metadata"].get("labels") or {}).get("pod-security.kubernetes.io/enforce", "none")
    cluster.call("POST", names.pods(name), probe_pod("mljupyter-preflight", "mljupyter"), dryRun="All")
    return Finding(check, "ok", f"{name!r} admits restricted pods (Pod Security level: {level})")


def _user_of(cluster: Cluster, namespace: str) -> str | None:
    """Return the namespace of an installation that has its endpoints in a namespace; None if there is none."""
    try:
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        found = cluster.items(path, labels=names.INSTALLATION_LABEL)
    except ClusterError:
        return None  # the right is missing
    return next((str(one["metadata"]["labels"][names.INSTALLATION_LABEL]) for one in found), None)


def _endpoint_namespaces(cluster: Cluster, home: str, others: Sequence[str]) -> Iterator[Finding]:
    """Yield whether endpoints can run in other namespaces, and those that run in one that is not named any more."""
    try:
        yield from endpoints_elsewhere(cluster, home, others)
    except ClusterError as error:
        if error.status != FORBIDDEN:
            yield Finding(_ENDPOINT_NAMESPACES, "failed", error.message)
    for namespace in others:
        try:
            yield _endpoint_namespace(cluster, namespace)
        except ClusterError as error:
            way = f"ask the administrator of the cluster, or leave {namespace!r} out of endpoint_namespaces"
            yield Finding(_ENDPOINT_NAMESPACES, "failed", error.message, way)
            continue
        yield from _autoscalers(cluster, namespace)


def _endpoint_namespace(cluster: Cluster, namespace: str) -> Finding:
    found = cluster.find(f"/api/v1/namespaces/{namespace}")
    if found is None:
        way = f"an administrator creates it: kubectl create namespace {namespace}; or leave it out"
        return Finding(_ENDPOINT_NAMESPACES, "failed", f"namespace {namespace!r} does not exist", way)
    if found["metadata"].get("deletionTimestamp"):
        return Finding(_ENDPOINT_NAMESPACES, "failed", f"{namespace!r} is being deleted", "wait, or leave it out")
    if cluster.find(f"{names.secrets(namespace)}/{names.ACCESS_SECRET}") is not None:
        text = f"namespace {namespace!r} has an installation of its own"
        return Finding(_ENDPOINT_NAMESPACES, "failed", text, "leave it out, and deploy to that compute target")
    return _admission(cluster, _ENDPOINT_NAMESPACES, found)


def _claim(cluster: Cluster, namespace: str, replicas: ReplicaDefaults) -> Iterator[Finding]:
    """Yield whether the claim for collected data can be used, if there is one."""
    name = replicas.collected_data_claim
    if name is None:
        return
    try:
        claim = cluster.find(f"{names.persistent_volume_claims(namespace)}/{name}")
        state = judged(name, namespace, claim, _nodes_of(cluster, replicas), _binding(cluster, claim))
    except ClusterError as error:
        yield Finding("collected data", "failed", error.message)
        return
    yield Finding("collected data", state.state, state.text, state.fix)


def _nodes_of(cluster: Cluster, replicas: ReplicaDefaults) -> int | None:
    """Return the number of nodes that replicas may run on; None if the right to list nodes is missing."""
    try:
        nodes = cluster.items(names.nodes())
    except ClusterError:
        return None
    wanted = replicas.node_selector.items()
    labels = [node["metadata"].get("labels") or {} for node in nodes if takes_pods(node) or replicas.tolerations]
    return sum(wanted <= found.items() for found in labels)


def _binding(cluster: Cluster, claim: Mapping[str, Any] | None) -> str | None:
    """Return when the storage class of a claim binds it; None if that is not known."""
    name = ((claim or {}).get("spec") or {}).get("storageClassName")
    if not name:
        return None
    try:
        found = cluster.find(f"/apis/storage.k8s.io/v1/storageclasses/{name}")
    except ClusterError:  # the right is missing
        return None
    return None if found is None else str(found.get("volumeBindingMode") or "Immediate")


def _autoscalers(cluster: Cluster, namespace: str) -> Iterator[Finding]:
    """Yield a finding for each autoscaler that would fight the operator's autoscaling."""
    for kind in _AUTOSCALERS:
        try:
            found = cluster.items(kind.path.format(namespace=namespace))
        except ClusterError:
            continue  # the right is missing
        for one in found:
            yield from kind.findings(one, namespace)


@dataclass(frozen=True)
class _AutoscalerKind:
    """A kind of autoscaler that changes the number of pods: its name, the short name for kubectl, and its path."""

    name: str
    short: str
    path: str

    def findings(self, one: Mapping[str, Any], namespace: str) -> Iterator[Finding]:
        """Yield the finding for an autoscaler if it scales something of ours."""
        name = str(one["metadata"]["name"])
        owners = one["metadata"].get("ownerReferences") or ()
        if any(owner.get("kind") == "ScaledObject" for owner in owners):
            return  # KEDA makes it again: its ScaledObject is the one to delete
        target = one["spec"].get("scaleTargetRef") or {}
        kind, scaled = str(target.get("kind") or "Deployment"), str(target.get("name", ""))
        of_endpoint = kind == names.KIND and str(target.get("apiVersion", "")).startswith(f"{names.GROUP}/")
        if not of_endpoint and not (kind == "Deployment" and scaled.startswith(("mlj-", "mljupyter-"))):
            return
        yield Finding(
            "autoscaler",
            "failed",
            f"{self.name} {name!r} scales {kind} {scaled!r} as well: it and the operator would undo each other's "
            "changes",
            f"kubectl delete {self.short} {name} -n {namespace}; set the bounds with autoscale_min_replicas and "
            "autoscale_max_replicas (--autoscale MIN:MAX)",
        )


_AUTOSCALERS = (
    _AutoscalerKind(
        "HorizontalPodAutoscaler", "hpa", "/apis/autoscaling/v1/namespaces/{namespace}/horizontalpodautoscalers"
    ),
    _AutoscalerKind("KEDA ScaledObject", "scaledobject", "/apis/keda.sh/v1alpha1/namespaces/{namespace}/scaledobjects"),
)


def probe_pod(name: str, image: str) -> dict[str, Any]:
    """Return a small pod that every Pod Security level admits and that ends at once.

    Parameters:
        name: its name.
        image: its image.

    """
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": names.labels("probe")},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 0,
            "securityContext": pod_security(),
            "containers": [
                {
                    "name": "probe",
                    "image": image,
                    "command": ["true"],
                    "resources": {
                        "requests": {"cpu": "10m", "memory": "16Mi"},
                        "limits": {"cpu": "100m", "memory": "64Mi"},
                    },
                    "securityContext": container_security(USER),
                }
            ],
        },
    }
