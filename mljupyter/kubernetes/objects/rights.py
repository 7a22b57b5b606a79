"""Rights on a cluster: the rules of the roles of operator, router and users.

All roles but two apply to a single namespace. ``docs/kubernetes-administration.md`` explains each rule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mljupyter.kubernetes.objects import names

Rule = Mapping[str, Any]
_READ = ("get", "list", "watch")
_WRITE = ("create", "update", "patch", "delete")


def _rule(group: str, resources: Sequence[str], verbs: Sequence[str], only: Sequence[str] = ()) -> Rule:
    named = {"resourceNames": list(only)} if only else {}
    return {"apiGroups": [group], "resources": list(resources), **named, "verbs": list(verbs)}


def replica_rules() -> list[Rule]:
    """Return the rules of the operator in each namespace that replicas run in, besides reading events."""
    return [
        _rule("apps", ["deployments"], [*_READ, *_WRITE]),
        _rule("apps", ["deployments/scale"], ["get", "update", "patch"]),
        _rule("", ["secrets"], [*_READ, *_WRITE]),
        _rule("", ["pods"], [*_READ, "patch", "delete"]),
        _rule("", ["pods/status"], ["patch"]),  # the readiness gate
        _rule("", ["pods/log"], ["get"]),
    ]


def endpoint_namespace_rules() -> list[Rule]:
    """Return the rules of the operator in another namespace that endpoints may run in."""
    return [*replica_rules(), _rule("", ["events"], ["get", "list"])]


def pods_rules() -> list[Rule]:
    """Return the rules of the router in another namespace that endpoints may run in: it reads no Secrets there."""
    return [_rule("", ["pods"], list(_READ))]


def operator_rules() -> list[Rule]:
    """Return the rules of the operator in its namespace."""
    return [
        _rule(names.GROUP, [names.PLURAL], [*_READ, *_WRITE]),
        # The finalizers: a cluster may ask for it before it accepts an owner that blocks its own deletion.
        _rule(names.GROUP, [f"{names.PLURAL}/status", f"{names.PLURAL}/finalizers"], ["get", "update", "patch"]),
        *replica_rules(),
        _rule("", ["events"], [*_READ, "create", "patch"]),
        _rule("", ["services", "resourcequotas", "limitranges"], list(_READ)),
        _rule("policy", ["poddisruptionbudgets"], [*_READ, *_WRITE]),
        _rule("coordination.k8s.io", ["leases"], [*_READ, "create", "update", "patch"]),
        _rule("autoscaling", ["horizontalpodautoscalers"], ["get", "list"]),
    ]


def ingress_rules() -> list[Rule]:
    """Return the rules of the operator to follow the Ingress of the routers."""
    return [_rule("networking.k8s.io", ["ingresses"], list(_READ), only=[names.ROUTER])]


def route_rules() -> list[Rule]:
    """Return the rules of the operator to follow the HTTPRoute of the routers."""
    return [_rule(names.GATEWAY_GROUP, ["httproutes"], list(_READ), only=[names.ROUTER])]


def gateway_rules(gateway: str) -> list[Rule]:
    """Return the rules of the operator in the namespace of a Gateway, to follow that one."""
    return [_rule(names.GATEWAY_GROUP, ["gateways"], list(_READ), only=[gateway])]


def router_rules() -> list[Rule]:
    """Return the rules of the router in its namespace."""
    return [_rule("", ["secrets", "pods"], list(_READ))]


def node_rules() -> list[Rule]:
    """Return the rules of the operator on the whole cluster: it reads the size of nodes."""
    return [_rule("", ["nodes"], list(_READ))]


def admission_rules(namespace: str) -> list[Rule]:
    """Return the rules of the operator on the whole cluster: it writes its authority into one named object."""
    resources = ["validatingwebhookconfigurations"]
    only = [names.admission_name(namespace)]
    return [_rule("admissionregistration.k8s.io", resources, ["get", "patch"], only=only)]


def user_rules() -> list[Rule]:
    """Return the rules of a person who uses the endpoints of the namespace."""
    proxied = f"http:{names.OPERATOR}:{names.OPERATOR_PORT}"
    return [
        _rule("", ["services/proxy"], ["get", *_WRITE], only=[proxied]),
        _rule("", ["secrets"], ["get"], only=[names.ACCESS_SECRET]),
        _rule(names.GROUP, [names.PLURAL], list(_READ)),
        _rule("", ["services"], ["get"], only=[names.ROUTER]),
        _rule("", ["pods"], ["get", "list"]),
        _rule("", ["events"], list(_READ)),  # kubectl describe shows them
        _rule("", ["pods/portforward"], ["create"]),  # where nothing else leads to the router
    ]
