"""The rights that installing mljupyter takes, and the role that grants those that are missing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.objects.installation import Manifest

_RBAC = "rbac.authorization.k8s.io"
_INSTALL = ("get", "create", "patch", "delete")
_ROLES = ("Role", "ClusterRole")


class Right(NamedTuple):
    """One verb on one kind of resource; `namespace` is None for the whole cluster."""

    verb: str
    group: str
    resource: str
    namespace: str | None

    def text(self) -> str:
        """Return the right as people write it."""
        resource = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{self.verb} {resource}" + (f" in {self.namespace}" if self.namespace is not None else "")


def needed_rights(manifests: Iterable[Manifest], namespace: str) -> list[Right]:
    """Return the rights that applying and removing manifests takes, and those that a client of the operator needs.

    A role can be created and bound only by who has all its rights, or the rights to escalate and to bind.
    """
    rights: dict[Right, None] = {}
    for manifest in manifests:
        group = manifest["apiVersion"].rpartition("/")[0]
        resource = names.collection_path(manifest).rpartition("/")[2]
        place = manifest["metadata"].get("namespace")
        for verb in _INSTALL + (("escalate", "bind") if manifest["kind"] in _ROLES else ()):
            rights[Right(verb, group, resource, place)] = None
    for verb in _INSTALL:
        rights[Right(verb, "", "secrets", namespace)] = None
    for verb in ("get", "create", "update", "patch", "delete"):
        rights[Right(verb, "", "services/proxy", namespace)] = None
    for verb in ("get", "list", "watch"):
        rights[Right(verb, names.GROUP, names.PLURAL, namespace)] = None
    return list(rights)


def access_review(right: Right) -> Manifest:
    """Return the question to the API server whether its user has a right."""
    resource, _, sub = right.resource.partition("/")
    attributes = {"verb": right.verb, "group": right.group, "resource": resource}
    attributes |= {"subresource": sub} if sub else {}
    attributes |= {"namespace": right.namespace} if right.namespace is not None else {}
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }


def granting_roles(missing: Sequence[Right]) -> list[Manifest]:
    """Return the roles that grant missing rights: one for each namespace, and one for the whole cluster."""
    places = dict.fromkeys(right.namespace for right in missing)
    return [_role(place, [right for right in missing if right.namespace == place]) for place in places]


def _role(namespace: str | None, rights: Sequence[Right]) -> Manifest:
    verbs: dict[tuple[str, str], list[str]] = {}
    for right in rights:
        verbs.setdefault((right.group, right.resource), []).append(right.verb)
    rules: list[dict[str, Any]] = [
        {"apiGroups": [group], "resources": [resource], "verbs": found} for (group, resource), found in verbs.items()
    ]
    place = {"namespace": namespace} if namespace is not None else {}
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "Role" if namespace is not None else "ClusterRole",
        "metadata": {"name": "mljupyter-installer", **place},
        "rules": rules,
    }
