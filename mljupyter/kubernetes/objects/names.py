"""The names of mljupyter on a cluster: objects, labels, ports, environment variables, paths of the API server."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

GROUP = "mljupyter.io"
API_VERSION = "v1alpha1"
KIND = "MLEndpoint"
PLURAL = "mlendpoints"
SHORT = "mle"
DEFAULT_NAMESPACE = "mljupyter"

OPERATOR = "mljupyter-operator"
ROUTER = "mljupyter-router"
REPLICA = "mljupyter-replica"
READER = "mljupyter-collected"
"""The Deployment that reads collected data, and its NetworkPolicy."""
USER = "mljupyter-user"
"""The Role of people who use the endpoints of a namespace. An administrator binds it."""

WEBHOOK = "mljupyter-webhook"
"""The Service that leads the API server to all operators, and the Secret with their certificate."""

WEBHOOK_PATH = "/review"
NAMESPACE_LABEL = "kubernetes.io/metadata.name"
"""The label with a namespace's name. Kubernetes sets it since 1.21; before, whoever installs mljupyter does."""

LISTENING_SECRET = "mljupyter-listening"  # noqa: S105 - a name
KEYS_SECRET = "mljupyter-keys"  # noqa: S105 - a name
CERTIFICATE_SECRET = "mljupyter-certificate"  # noqa: S105 - a name
"""The Secret with a user's certificate for the router, of the type ``kubernetes.io/tls``."""
ACCESS_SECRET = "mljupyter-access"  # noqa: S105 - a name
API_KEY = "api"
INTERNAL_KEY = "internal"
"""The keys of the access Secret: for clients of the operator, and between operator and router agents."""

GATEWAY_GROUP = "gateway.networking.k8s.io"

SECRET_HEADER = "x-mljupyter-secret"  # noqa: S105 - a name
"""The header that carries the secret of the operator's or an agent's API."""

NOT_READY = "OperatorNotReady"
"""The code with which an operator that does not lead refuses requests: it has not carried them out."""

PART_OF_LABEL = "app.kubernetes.io/part-of"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
COMPONENT_LABEL = "app.kubernetes.io/component"
ENDPOINT_LABEL = f"{GROUP}/endpoint"
VERSION_LABEL = f"{GROUP}/version"
REVISION_LABEL = f"{GROUP}/revision"
INSTALLATION_LABEL = f"{GROUP}/installation"
"""The label of objects in a namespace for endpoints: the namespace of the installation that they belong to."""
LEADER_LABEL = f"{GROUP}/leader"
"""The label of the operator pod that works, to which the operator's Service leads."""
PUBLISHED_LABEL = f"{GROUP}/published"
PUBLISHED_SELECTOR = f"{PUBLISHED_LABEL}=router"
"""Selects the Secrets that router agents read."""

COMPONENT_OPERATOR = "operator"
COMPONENT_ROUTER = "router"
COMPONENT_REPLICA = "replica"
COMPONENT_READER = "collected"

FINALIZER = f"{GROUP}/drain"
SERVING_CONDITION = f"{GROUP}/serving"
"""The readiness gate of replica pods."""

SPEC_ANNOTATION = f"{GROUP}/spec"

OPERATOR_PORT = 8080
ROUTER_PORT = 8081
AGENT_PORT = 8082
REPLICA_PORT = 5001
READER_PORT = 8083
REGISTRY_SECRET = "mljupyter-registry"  # noqa: S105 - a name
"""The Secret with the login of the container registry, for nodes that pull images and pods that fetch models."""

WEBHOOK_PORT = 8443

NAMESPACE_VARIABLE = "MLJUPYTER_NAMESPACE"
POD_NAME_VARIABLE = "MLJUPYTER_POD_NAME"
POD_IP_VARIABLE = "MLJUPYTER_POD_IP"
TARGET_VARIABLE = "MLJUPYTER_TARGET"
WORKSPACE_VARIABLE = "MLJUPYTER_WORKSPACE"
PURPOSE_VARIABLE = "MLJUPYTER_PURPOSE"
REPLICAS_VARIABLE = "MLJUPYTER_REPLICAS"
ENDPOINT_NAMESPACES_VARIABLE = "MLJUPYTER_ENDPOINT_NAMESPACES"
SERVICE_TYPE_VARIABLE = "MLJUPYTER_SERVICE_TYPE"
GATEWAY_VARIABLE = "MLJUPYTER_GATEWAY"
GATEWAY_NAMESPACE_VARIABLE = "MLJUPYTER_GATEWAY_NAMESPACE"
"""The variables with the Gateway of the routers' HTTPRoute; empty without one."""
ROUTER_SETTING = "MLJUPYTER_ROUTER_"
"""The beginning of the variables with settings of the router's self-scaling, such as ``MLJUPYTER_ROUTER_MAX_PODS``."""
MEMORY_LIMIT_VARIABLE = "MLJUPYTER_MEMORY_LIMIT"
"""The memory that a router's container may use, in bytes."""

ACCESS_DIRECTORY = "/etc/mljupyter/access"
STATE_DIRECTORY = "/var/lib/mljupyter"

_PROJECT = "mljupyter"
_LONGEST_DEPLOYMENT = 52  # a pod's name adds 17 characters, and its host name shows the first 63
_DIGITS = 8
_OTHER_PREFIXES = ("route-", "state-", "tls-")


def labels(component: str) -> dict[str, str]:
    """Return the labels of every object of a component."""
    return {PART_OF_LABEL: _PROJECT, MANAGED_BY_LABEL: _PROJECT, COMPONENT_LABEL: component}


def selector(*, component: str | None = None, endpoint: str | None = None, version: str | None = None) -> str:
    """Return a label selector as text, as the API server's lists and watches take it.

    Example:
        >>> selector(component="replica", endpoint="iris")
        'app.kubernetes.io/part-of=mljupyter,app.kubernetes.io/component=replica,mljupyter.io/endpoint=iris'

    """
    wanted = {PART_OF_LABEL: _PROJECT, COMPONENT_LABEL: component, ENDPOINT_LABEL: endpoint, VERSION_LABEL: version}
    return ",".join(f"{label}={value}" for label, value in wanted.items() if value is not None)


def replica_labels(endpoint: str, version: str, revision: str) -> dict[str, str]:
    """Return the labels of the pods of a revision, and of their Deployment and Secret."""
    return labels(COMPONENT_REPLICA) | {ENDPOINT_LABEL: endpoint, VERSION_LABEL: version, REVISION_LABEL: revision}


def deployment_name(endpoint: str, version: str, revision: str, *home: str) -> str:
    """Return the name of the Deployment of a revision, and of its Secret.

    Its last digits are a fingerprint of all three names, since ``a-b`` and ``c`` would otherwise give the same name as
    ``a`` and ``b-c``. `home` is part of it: the namespace of the installation, for a Deployment in another one.

    Example:
        >>> deployment_name("iris", "iris", "0123456789ab")
        'mlj-iris-891c8fb6'

    """
    digits = hashlib.sha256(json.dumps([endpoint, version, revision, *home]).encode()).hexdigest()[:_DIGITS]
    # Otherwise it could be the name of a route's Secret.
    head = f"mlj-e-{endpoint}" if endpoint.startswith(_OTHER_PREFIXES) else f"mlj-{endpoint}"
    if version != endpoint:
        head = f"{head}-{version}"
    return f"{head[: _LONGEST_DEPLOYMENT - _DIGITS - 1].rstrip('-')}-{digits}"


def route_secret(endpoint: str) -> str:
    """Return the name of the Secret with an endpoint's published route."""
    return f"mlj-route-{endpoint}"


def state_secret(endpoint: str) -> str:
    """Return the name of the Secret with the operator's state of an endpoint."""
    return f"mlj-state-{endpoint}"


def certificate_secret(endpoint: str, certificate: str) -> str:
    """Return the name of the Secret with an endpoint's own certificate.

    Its last digits are a fingerprint of the certificate, so that a new one does not replace one in use.

    Parameters:
        endpoint: the name of the endpoint.
        certificate: the certificate in PEM.

    Example:
        >>> certificate_secret("iris", "-----BEGIN CERTIFICATE-----")
        'mlj-tls-iris-ddddb6cb'

    """
    return f"mlj-tls-{endpoint}-{hashlib.sha256(certificate.encode()).hexdigest()[:_DIGITS]}"


def pods(namespace: str) -> str:
    """Return the path of the pods of a namespace."""
    return f"/api/v1/namespaces/{namespace}/pods"


def all_pods() -> str:
    """Return the path of the pods of all namespaces."""
    return "/api/v1/pods"


def secrets(namespace: str) -> str:
    """Return the path of the Secrets of a namespace."""
    return f"/api/v1/namespaces/{namespace}/secrets"


def services(namespace: str) -> str:
    """Return the path of the Services of a namespace."""
    return f"/api/v1/namespaces/{namespace}/services"


def events(namespace: str) -> str:
    """Return the path of the Events of a namespace."""
    return f"/api/v1/namespaces/{namespace}/events"


def deployments(namespace: str) -> str:
    """Return the path of the Deployments of a namespace."""
    return f"/apis/apps/v1/namespaces/{namespace}/deployments"


def horizontal_pod_autoscalers(namespace: str) -> str:
    """Return the path of the HorizontalPodAutoscalers of a namespace."""
    return f"/apis/autoscaling/v1/namespaces/{namespace}/horizontalpodautoscalers"


def leases(namespace: str) -> str:
    """Return the path of the Leases of a namespace."""
    return f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"


def ingresses(namespace: str) -> str:
    """Return the path of the Ingresses of a namespace."""
    return f"/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses"


def ingress_classes() -> str:
    """Return the path of the IngressClasses."""
    return "/apis/networking.k8s.io/v1/ingressclasses"


def http_routes(namespace: str) -> str:
    """Return the path of the HTTPRoutes of a namespace."""
    return f"/apis/{GATEWAY_GROUP}/v1/namespaces/{namespace}/httproutes"


def gateways(namespace: str) -> str:
    """Return the path of the Gateways of a namespace."""
    return f"/apis/{GATEWAY_GROUP}/v1/namespaces/{namespace}/gateways"


def publishing_role(namespace: str, kind: str) -> str:
    """Return the name of the Role with which an installation's operator follows what publishes its routers.

    Parameters:
        namespace: that of the installation.
        kind: ``Ingress``, ``HTTPRoute`` or ``Gateway``. The Role of the last one is in the namespace of the Gateway.

    """
    return f"mljupyter-{namespace}-{kind.lower()}"


def persistent_volume_claims(namespace: str) -> str:
    """Return the path of the PersistentVolumeClaims of a namespace."""
    return f"/api/v1/namespaces/{namespace}/persistentvolumeclaims"


def mlendpoints(namespace: str) -> str:
    """Return the path of the custom resources of a namespace."""
    return f"/apis/{GROUP}/{API_VERSION}/namespaces/{namespace}/{PLURAL}"


def nodes() -> str:
    """Return the path of the nodes."""
    return "/api/v1/nodes"


def operator_proxy(namespace: str) -> str:
    """Return the path that leads clients to the operator's HTTP API through the API server."""
    return f"{services(namespace)}/http:{OPERATOR}:{OPERATOR_PORT}/proxy"


def admission_name(namespace: str) -> str:
    """Return the name of an installation's webhook configuration, and of the ClusterRole to write it."""
    return f"mljupyter-{namespace}-admission"


def webhook_configuration(namespace: str) -> str:
    """Return the path of an installation's webhook configuration."""
    return f"/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/{admission_name(namespace)}"


_PLURALS = {"Ingress": "ingresses", "NetworkPolicy": "networkpolicies", KIND: PLURAL}
_CLUSTER_WIDE = {
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "Namespace",
    "Node",
    "ValidatingWebhookConfiguration",
}


def collection_path(manifest: Mapping[str, Any]) -> str:
    """Return the path under which a manifest's object is created.

    Example:
        >>> collection_path({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"namespace": "mljupyter"}})
        '/apis/apps/v1/namespaces/mljupyter/deployments'

    """
    kind, version = manifest["kind"], manifest["apiVersion"]
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    plural = _PLURALS.get(kind, f"{kind.lower()}s")
    return f"{root}/{plural}" if kind in _CLUSTER_WIDE else f"{root}/namespaces/{namespace_of(manifest)}/{plural}"


def object_path(manifest: Mapping[str, Any]) -> str:
    """Return the path of a manifest's object."""
    return f"{collection_path(manifest)}/{manifest['metadata']['name']}"


def namespace_of(manifest: Mapping[str, Any]) -> str:
    """Return the namespace of a manifest's object."""
    return str(manifest["metadata"]["namespace"])
