"""Installation: everything that mljupyter has in a namespace before the first endpoint, as Kubernetes objects.

The access Secret is not part of it: its content must be random, and must be in no file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from mljupyter.kubernetes.objects import names, publishing, rights
from mljupyter.kubernetes.objects.crd import custom_resource_definition
from mljupyter.kubernetes.objects.place import Place
from mljupyter.kubernetes.objects.publishing import Publishing
from mljupyter.kubernetes.objects.replicas import COLLECTED, CONTAINER
from mljupyter.kubernetes.objects.security import USER, container_security, pod_security
from mljupyter.spec import ReplicaDefaults

Manifest = dict[str, Any]
_RBAC = "rbac.authorization.k8s.io"
_OPERATOR_END_SECONDS = 30
_REVIEW_SECONDS = 2
_READER_END_SECONDS = 5
_ROUTER_END_SECONDS = 60  # half a minute to drain, and as much to spare
_OF_COMPONENT = {names.COMPONENT_OPERATOR: names.OPERATOR, names.COMPONENT_ROUTER: names.ROUTER}

INTERNAL_ANNOTATIONS = {
    "networking.gke.io/load-balancer-type": "Internal",
    "service.beta.kubernetes.io/aws-load-balancer-internal": "true",
    "service.beta.kubernetes.io/aws-load-balancer-scheme": "internal",
    "service.beta.kubernetes.io/azure-load-balancer-internal": "true",
}
"""What makes a load balancer internal. Each cloud provider ignores the annotations of the others."""

SUBNET_ANNOTATION = "service.beta.kubernetes.io/azure-load-balancer-internal-subnet"


class Purpose(StrEnum):
    """The purpose of a cluster (Azure ML v1: ClusterPurpose)."""

    FAST_PROD = "FastProd"
    DEV_TEST = "DevTest"


class ServiceType(StrEnum):
    """How the router is reached from outside of the cluster."""

    CLUSTER_IP = "ClusterIP"
    NODE_PORT = "NodePort"
    LOAD_BALANCER = "LoadBalancer"
    INGRESS = publishing.INGRESS
    HTTP_ROUTE = publishing.HTTP_ROUTE

    @property
    def of_service(self) -> str:
        """The type of the routers' Service."""
        return ServiceType.CLUSTER_IP.value if self in publishing.KINDS else self.value


@dataclass(frozen=True)
class Size:
    """The number of pods of a component, and the resources of each."""

    pods: int
    cpu: str
    memory: str
    most_memory: str


# A router and an operator that end are replaced in seconds. With FAST_PROD another one answers meanwhile, and this
# is the first size of the router.
SIZES: Mapping[tuple[Purpose, str], Size] = {
    (Purpose.DEV_TEST, names.COMPONENT_OPERATOR): Size(1, "100m", "192Mi", "1Gi"),
    (Purpose.DEV_TEST, names.COMPONENT_ROUTER): Size(1, "100m", "256Mi", "1Gi"),
    (Purpose.FAST_PROD, names.COMPONENT_OPERATOR): Size(2, "200m", "256Mi", "2Gi"),
    (Purpose.FAST_PROD, names.COMPONENT_ROUTER): Size(3, "500m", "512Mi", "2Gi"),
}


@dataclass(frozen=True)
class Reader:
    """The pod that reads collected data for the operator. It runs where replicas run, which mount the same volume.

    Parameters:
        claim: the PersistentVolumeClaim, in the namespace of the installation.
        node_selector: labels of the nodes of all replicas.
        tolerations: the taints of nodes that all replicas tolerate.

    """

    claim: str
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: Sequence[Mapping[str, Any]] = ()

    @classmethod
    def of(cls, replicas: ReplicaDefaults) -> Reader | None:
        """Return the reader for the settings of all replicas; None if they have no claim."""
        if replicas.collected_data_claim is None:
            return None
        tolerations = [one.document() for one in replicas.tolerations]
        return cls(replicas.collected_data_claim, replicas.node_selector, tolerations)


@dataclass(frozen=True)
class Installation:
    """One installation of mljupyter: one for each namespace.

    Parameters:
        image: the image of operator and router.
        target: the name of the compute target in its workspace.
        workspace: the name of the workspace.
        namespace: where everything is.
        create_namespace: whether the namespace is part of it.
        purpose: how many pods there are, and of which size.
        service: how the router is reached from outside.
        internal: whether a load balancer is reached only from the network of the cluster.
        subnet: the subnet of an internal load balancer (Azure); None for that of the nodes.
        publishing: the Ingress or the HTTPRoute, if the routers are reached through one.
        node_port: the port of nodes that leads to the router; None lets the cluster choose.
        pull_secrets: names of the Secrets with logins of the container registry of `image`.
        reads_nodes: whether the operator may read the size of nodes, which takes a ClusterRole.
        admission: whether the API server asks the operator before it stores a custom resource, which takes a webhook
            configuration and a ClusterRole. Without it, the operator checks custom resources afterwards.
        policy: the API version of PodDisruptionBudgets; ``policy/v1beta1`` before Kubernetes 1.21.
        node_selector: labels of the nodes that operator and router run on.
        tolerations: the taints of nodes that operator and router tolerate.
        replicas: the settings of all replicas of endpoints, a `ReplicaDefaults` as JSON text.
        reader: reads the data that replicas collect; None if it ends with them.
        endpoint_namespaces: other namespaces that endpoints may run in. They exist already.

    """

    image: str
    target: str
    workspace: str
    namespace: str = names.DEFAULT_NAMESPACE
    create_namespace: bool = True
    purpose: Purpose = Purpose.FAST_PROD
    service: ServiceType = ServiceType.CLUSTER_IP
    internal: bool = False
    subnet: str | None = None
    publishing: Publishing = field(default_factory=Publishing)
    node_port: int | None = None
    pull_secrets: tuple[str, ...] = ()
    reads_nodes: bool = True
    admission: bool = True
    policy: str = "policy/v1"
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Mapping[str, Any], ...] = ()
    replicas: str = "{}"
    endpoint_namespaces: tuple[str, ...] = ()
    reader: Reader | None = None


def installation(wanted: Installation) -> list[Manifest]:
    """Return all objects of an installation, in the order in which they can be created."""
    budgets = [_budget(wanted, component) for component in _OF_COMPONENT] if _several(wanted) else []
    return [
        custom_resource_definition(),
        *([_namespace(wanted)] if wanted.create_namespace else []),
        *_service_accounts(wanted),
        *_roles(wanted),
        *_network_policies(wanted),
        *(
            manifest
            for namespace in wanted.endpoint_namespaces
            for manifest in endpoint_namespace_objects(Place(namespace, wanted.namespace))
        ),
        _operator_service(wanted),
        _router_service(wanted),
        *_published(wanted),
        *([_webhook_service(wanted), _webhook_configuration(wanted)] if wanted.admission else []),
        *budgets,
        _deployment(wanted, names.COMPONENT_OPERATOR),
        _deployment(wanted, names.COMPONENT_ROUTER),
        *(_reader(wanted, wanted.reader) if wanted.reader is not None else []),
    ]


def of_reader(namespace: str) -> list[Manifest]:
    """Return references to the objects of the reader of collected data, which an installation may have."""
    place = {"name": names.READER, "namespace": namespace}
    return [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": place},
        {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": place},
    ]


def endpoint_namespace_objects(place: Place) -> list[Manifest]:
    """Return the objects of an installation in another namespace that endpoints may run in.

    Their names have the namespace of the installation in them, since several may use one namespace.

    Parameters:
        place: the namespace, and that of the installation.

    """
    of_home = {"matchLabels": {names.NAMESPACE_LABEL: place.home}}
    callers = [
        {"namespaceSelector": of_home, **_pods_of(component)}
        for component in (names.COMPONENT_ROUTER, names.COMPONENT_OPERATOR)
    ]
    chosen = {"matchLabels": _selected(names.COMPONENT_REPLICA) | place.labels}
    of_operator, of_router = rights.endpoint_namespace_rules(), rights.pods_rules()
    return [
        _service_account(_there(place, names.COMPONENT_REPLICA)),
        *_role_with_binding(_there(place, names.COMPONENT_OPERATOR), of_operator, names.OPERATOR, place.home),
        *_role_with_binding(_there(place, names.COMPONENT_ROUTER), of_router, names.ROUTER, place.home),
        _policy(_there(place, names.COMPONENT_REPLICA), chosen, [_ingress(names.REPLICA_PORT, *callers)]),
    ]


def _there(place: Place, component: str) -> dict[str, Any]:
    """Return the metadata of an object in another namespace that endpoints may run in."""
    metadata = _metadata(place.name_of(component), component, place.namespace)
    metadata["labels"] |= place.labels
    return metadata


def access_secret(namespace: str, *, api: str, internal: str) -> Manifest:
    """Return the Secret with which clients, operator and router agents authenticate.

    Parameters:
        namespace: the namespace of the installation.
        api: the secret of clients of the operator, 64 hexadecimal digits.
        internal: the secret between operator and router agents, likewise.

    """
    secrets = {names.API_KEY: api, names.INTERNAL_KEY: internal}
    metadata = _metadata(names.ACCESS_SECRET, names.COMPONENT_OPERATOR, namespace)
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "stringData": secrets}


def cluster_role_name(namespace: str) -> str:
    """Return the name of the ClusterRole to read nodes, and of its binding, of the installation in a namespace."""
    return f"mljupyter-{namespace}-nodes"


def cluster_wide(namespace: str) -> list[Manifest]:
    """Return references to the objects of an installation that are in no namespace and belong to it alone."""
    admission = names.admission_name(namespace)
    kinds = [("admissionregistration.k8s.io", "ValidatingWebhookConfiguration", admission)]
    for name in (cluster_role_name(namespace), admission):
        kinds += [(_RBAC, "ClusterRoleBinding", name), (_RBAC, "ClusterRole", name)]
    return [{"apiVersion": f"{group}/v1", "kind": kind, "metadata": {"name": name}} for group, kind, name in kinds]


def _several(wanted: Installation) -> bool:
    return wanted.purpose is Purpose.FAST_PROD


def _metadata(name: str, component: str, namespace: str | None = None) -> dict[str, Any]:
    place = {"namespace": namespace} if namespace is not None else {}
    return {"name": name, **place, "labels": names.labels(component)}


def _namespace(wanted: Installation) -> Manifest:
    metadata = _metadata(wanted.namespace, names.COMPONENT_OPERATOR)
    metadata["labels"]["pod-security.kubernetes.io/enforce"] = "restricted"
    metadata["labels"][names.NAMESPACE_LABEL] = wanted.namespace
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def _service_accounts(wanted: Installation) -> list[Manifest]:
    accounts = {**_OF_COMPONENT, names.COMPONENT_REPLICA: names.REPLICA}
    return [_service_account(_metadata(name, component, wanted.namespace)) for component, name in accounts.items()]


def _service_account(metadata: dict[str, Any]) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata,
        "automountServiceAccountToken": False,  # the pods that need a token ask for it
    }


def _roles(wanted: Installation) -> list[Manifest]:
    roles = [
        *_role(wanted, names.OPERATOR, names.COMPONENT_OPERATOR, rights.operator_rules()),
        *_role(wanted, names.ROUTER, names.COMPONENT_ROUTER, rights.router_rules()),
        _role(wanted, names.USER, names.COMPONENT_OPERATOR, rights.user_rules())[0],  # an administrator binds it
    ]
    roles += _publishing_roles(wanted)
    if wanted.reads_nodes:
        roles += _cluster_role(wanted, cluster_role_name(wanted.namespace), rights.node_rules())
    if wanted.admission:
        admission = rights.admission_rules(wanted.namespace)
        roles += _cluster_role(wanted, names.admission_name(wanted.namespace), admission)
    return roles


def _publishing_roles(wanted: Installation) -> list[Manifest]:
    """Return the Roles of the operator to follow what publishes the routers, also in the namespace of the Gateway."""
    own = wanted.namespace
    place, gateway = wanted.publishing.gateway_at(own)
    needed: list[tuple[str, str, list[rights.Rule]]] = []
    if wanted.service is ServiceType.INGRESS:
        needed = [(publishing.INGRESS, own, rights.ingress_rules())]
    elif wanted.service is ServiceType.HTTP_ROUTE:
        needed = [
            (publishing.HTTP_ROUTE, own, rights.route_rules()),
            (publishing.GATEWAY, place, rights.gateway_rules(gateway)),
        ]
    found = []
    for kind, namespace, rules in needed:
        metadata = _metadata(names.publishing_role(own, kind), names.COMPONENT_OPERATOR, namespace)
        found += _role_with_binding(metadata, rules, names.OPERATOR, own)
    return found


def _published(wanted: Installation) -> list[Manifest]:
    if wanted.service is ServiceType.INGRESS:
        return [publishing.ingress(wanted.publishing, wanted.namespace)]
    if wanted.service is ServiceType.HTTP_ROUTE:
        return [publishing.http_route(wanted.publishing, wanted.namespace)]
    return []


def _role(wanted: Installation, name: str, component: str, rules: Sequence[rights.Rule]) -> list[Manifest]:
    return _role_with_binding(_metadata(name, component, wanted.namespace), rules, name, wanted.namespace)


def _role_with_binding(
    metadata: dict[str, Any], rules: Sequence[rights.Rule], account: str, namespace: str
) -> list[Manifest]:
    """Return a Role, and the RoleBinding that gives it to a ServiceAccount of a namespace."""
    return [
        {"apiVersion": f"{_RBAC}/v1", "kind": "Role", "metadata": metadata, "rules": [dict(rule) for rule in rules]},
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "RoleBinding",
            "metadata": {**metadata, "labels": dict(metadata["labels"])},
            "roleRef": {"apiGroup": _RBAC, "kind": "Role", "name": metadata["name"]},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
        },
    ]


def _cluster_role(wanted: Installation, name: str, rules: Sequence[rights.Rule]) -> list[Manifest]:
    return [
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "ClusterRole",
            "metadata": _metadata(name, names.COMPONENT_OPERATOR),
            "rules": [dict(rule) for rule in rules],
        },
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": _metadata(name, names.COMPONENT_OPERATOR),
            "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": names.OPERATOR, "namespace": wanted.namespace}],
        },
    ]


def _network_policies(wanted: Installation) -> list[Manifest]:
    operator = _pods_of(names.COMPONENT_OPERATOR)
    router = _pods_of(names.COMPONENT_ROUTER)
    return [
        _network_policy(wanted, names.COMPONENT_REPLICA, [_ingress(names.REPLICA_PORT, router, operator)]),
        _network_policy(
            wanted,
            names.COMPONENT_ROUTER,
            [_ingress(names.ROUTER_PORT), _ingress(names.AGENT_PORT, operator)],
        ),
        # The API server, through which clients come, is no pod and has no address that is known here.
        _network_policy(
            wanted, names.COMPONENT_OPERATOR, [_ingress(names.OPERATOR_PORT), _ingress(names.WEBHOOK_PORT)]
        ),
    ]


def _network_policy(wanted: Installation, component: str, ingress: list[dict[str, Any]]) -> Manifest:
    metadata = _metadata(f"mljupyter-{component}", component, wanted.namespace)
    return _policy(metadata, _pods_of(component)["podSelector"], ingress)


def _policy(metadata: dict[str, Any], chosen: dict[str, Any], ingress: list[dict[str, Any]]) -> Manifest:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata,
        "spec": {"podSelector": chosen, "policyTypes": ["Ingress"], "ingress": ingress},
    }


def _pods_of(component: str) -> dict[str, Any]:
    return {"podSelector": {"matchLabels": _selected(component)}}


def _selected(component: str) -> dict[str, str]:
    labels = names.labels(component)
    return {label: labels[label] for label in (names.PART_OF_LABEL, names.COMPONENT_LABEL)}


def _ingress(port: int, *callers: dict[str, Any]) -> dict[str, Any]:
    ports = [{"protocol": "TCP", "port": port}]
    return {"from": list(callers), "ports": ports} if callers else {"ports": ports}


def _operator_service(wanted: Installation) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(names.OPERATOR, names.COMPONENT_OPERATOR, wanted.namespace),
        "spec": {
            "type": ServiceType.CLUSTER_IP.value,
            "selector": {**_selected(names.COMPONENT_OPERATOR), names.LEADER_LABEL: "true"},
            "ports": [_service_port("http", names.OPERATOR_PORT, names.OPERATOR_PORT)],
        },
    }


def _webhook_service(wanted: Installation) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(names.WEBHOOK, names.COMPONENT_OPERATOR, wanted.namespace),
        "spec": {
            "type": ServiceType.CLUSTER_IP.value,
            "selector": _selected(names.COMPONENT_OPERATOR),  # also those that do not lead: a review needs no state
            "ports": [_service_port("https", 443, names.WEBHOOK_PORT)],
        },
    }


def _webhook_configuration(wanted: Installation) -> Manifest:
    """Return the webhook configuration without its ``caBundle``, which the operator writes."""
    webhook = {
        "name": f"{names.PLURAL}.{names.GROUP}",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",  # so that dry runs are reviewed too
        "clientConfig": {
            "service": {
                "name": names.WEBHOOK,
                "namespace": wanted.namespace,
                "path": names.WEBHOOK_PATH,
                "port": 443,
            }
        },
        "namespaceSelector": {"matchLabels": {names.NAMESPACE_LABEL: wanted.namespace}},
        # Not of mlendpoints/status: an observed status is never refused, and is written often.
        "rules": [
            {
                "apiGroups": [names.GROUP],
                "apiVersions": [names.API_VERSION],
                "operations": ["CREATE", "UPDATE"],
                "resources": [names.PLURAL],
                "scope": "Namespaced",
            }
        ],
        "matchPolicy": "Equivalent",
        # Without an answer the change is stored, and the operator checks it later: no operator blocks kubectl.
        "failurePolicy": "Ignore",
        "timeoutSeconds": _REVIEW_SECONDS,
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": _metadata(names.admission_name(wanted.namespace), names.COMPONENT_OPERATOR),
        "webhooks": [webhook],
    }


def _router_service(wanted: Installation) -> Manifest:
    metadata = _metadata(names.ROUTER, names.COMPONENT_ROUTER, wanted.namespace)
    if wanted.internal:
        subnet = {SUBNET_ANNOTATION: wanted.subnet} if wanted.subnet is not None else {}
        metadata["annotations"] = INTERNAL_ANNOTATIONS | subnet
    plain = _service_port("http", 80, names.ROUTER_PORT)
    if wanted.node_port is not None:
        plain["nodePort"] = wanted.node_port
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {
            "type": wanted.service.of_service,
            "selector": _selected(names.COMPONENT_ROUTER),
            # The router tells TLS from plain HTTP by itself, on the same port.
            "ports": [plain, _service_port("https", 443, names.ROUTER_PORT)],
        },
    }


def _service_port(name: str, port: int, target: int) -> dict[str, Any]:
    return {"name": name, "protocol": "TCP", "port": port, "targetPort": target}


def _budget(wanted: Installation, component: str) -> Manifest:
    return {
        "apiVersion": wanted.policy,
        "kind": "PodDisruptionBudget",
        "metadata": _metadata(_OF_COMPONENT[component], component, wanted.namespace),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": _selected(component)}},
    }


def _deployment(wanted: Installation, component: str) -> Manifest:
    labels = names.labels(component)
    # Their volumes hold nothing to keep. Without this, the cluster autoscaler removes no node with such a pod.
    annotations = {"cluster-autoscaler.kubernetes.io/safe-to-evict": "true"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(_OF_COMPONENT[component], component, wanted.namespace),
        "spec": {
            "replicas": SIZES[wanted.purpose, component].pods,
            "revisionHistoryLimit": 3,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "selector": {"matchLabels": _selected(component)},
            "template": {
                "metadata": {"labels": labels, "annotations": annotations},
                "spec": _pod(wanted, component),
            },
        },
    }


def _pod(wanted: Installation, component: str) -> dict[str, Any]:
    of_operator = component == names.COMPONENT_OPERATOR
    keys = [names.API_KEY, names.INTERNAL_KEY] if of_operator else [names.INTERNAL_KEY]
    pod: dict[str, Any] = {
        "serviceAccountName": _OF_COMPONENT[component],
        "automountServiceAccountToken": True,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": _OPERATOR_END_SECONDS if of_operator else _ROUTER_END_SECONDS,
        "securityContext": pod_security(),
        "topologySpreadConstraints": [
            _spread("kubernetes.io/hostname", component),
            _spread("topology.kubernetes.io/zone", component),
        ],
        "containers": [_container(wanted, component)],
        "volumes": [
            {"name": "state", "emptyDir": {}},
            {"name": "tmp", "emptyDir": {}},
            _access(keys),
        ],
    }
    if wanted.pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in wanted.pull_secrets]
    if wanted.node_selector:
        pod["nodeSelector"] = dict(wanted.node_selector)
    if wanted.tolerations:
        pod["tolerations"] = [dict(item) for item in wanted.tolerations]
    return pod


def _reader(wanted: Installation, reader: Reader) -> list[Manifest]:
    """Return the objects of the reader: it has no token of the cluster, and only the operator reaches it."""
    component = names.COMPONENT_READER
    pod: dict[str, Any] = {
        "serviceAccountName": names.REPLICA,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": _READER_END_SECONDS,
        "securityContext": pod_security(USER),
        # A volume that only one node at a time can mount is mounted where the replicas are.
        "affinity": {
            "podAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {
                        "weight": 100,
                        "podAffinityTerm": {
                            "topologyKey": "kubernetes.io/hostname",
                            "labelSelector": {"matchLabels": _selected(names.COMPONENT_REPLICA)},
                        },
                    }
                ]
            }
        },
        "containers": [
            {
                "name": CONTAINER,
                "image": wanted.image,
                "imagePullPolicy": "IfNotPresent",
                "command": ["python", "-m", "mljupyter.kubernetes.collected_reader"],
                "ports": [{"name": "api", "containerPort": names.READER_PORT}],
                "resources": {"requests": {"cpu": "25m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
                "securityContext": container_security(USER),
                # With this share of a busy node, a process takes a while to start.
                "startupProbe": _probe("/healthz", names.READER_PORT, period=1, failures=120),
                "readinessProbe": _probe("/healthz", names.READER_PORT, period=2, failures=3),
                "livenessProbe": _probe("/healthz", names.READER_PORT, period=10, failures=3),
                "volumeMounts": [
                    {"name": "collected", "mountPath": COLLECTED, "readOnly": True},
                    {"name": "access", "mountPath": names.ACCESS_DIRECTORY, "readOnly": True},
                ],
                "terminationMessagePolicy": "FallbackToLogsOnError",
            }
        ],
        "volumes": [
            {"name": "collected", "persistentVolumeClaim": {"claimName": reader.claim}},
            _access([names.INTERNAL_KEY]),
        ],
    }
    if wanted.pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in wanted.pull_secrets]
    if reader.node_selector:
        pod["nodeSelector"] = reader.node_selector
    if reader.tolerations:
        pod["tolerations"] = reader.tolerations
    deployment: Manifest = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(names.READER, component, wanted.namespace),
        "spec": {
            "replicas": 1,
            "revisionHistoryLimit": 3,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": _selected(component)},
            "template": {"metadata": {"labels": names.labels(component)}, "spec": pod},
        },
    }
    operator = _pods_of(names.COMPONENT_OPERATOR)
    return [_network_policy(wanted, component, [_ingress(names.READER_PORT, operator)]), deployment]


def _access(keys: Sequence[str]) -> dict[str, Any]:
    """Return the volume with some keys of the access Secret."""
    return {
        "name": "access",
        "secret": {
            "secretName": names.ACCESS_SECRET,
            "items": [{"key": key, "path": key} for key in keys],
        },
    }


def _spread(topology: str, component: str) -> dict[str, Any]:
    return {
        "maxSkew": 1,
        "topologyKey": topology,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": _selected(component)},
    }


def _container(wanted: Installation, component: str) -> dict[str, Any]:
    size = SIZES[wanted.purpose, component]
    of_operator = component == names.COMPONENT_OPERATOR
    module = "mljupyter.kubernetes.operator" if of_operator else "mljupyter.kubernetes.router_agent"
    port = names.OPERATOR_PORT if of_operator else names.AGENT_PORT
    other = ("webhook", names.WEBHOOK_PORT) if of_operator else ("scoring", names.ROUTER_PORT)
    return {
        "name": component,
        "image": wanted.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-m", module],
        "env": _environment(wanted, component),
        "ports": [{"name": name, "containerPort": number} for name, number in (("api", port), other)],
        "resources": {
            "requests": {"cpu": size.cpu, "memory": size.memory},
            "limits": {"memory": size.most_memory},
        },
        "securityContext": container_security(USER),
        # A large installation takes a while to be read for the first time.
        "startupProbe": _probe("/healthz", port, period=1, failures=120),
        "readinessProbe": _probe("/readyz", port, period=1, failures=2),
        "livenessProbe": _probe("/healthz", port, period=10, failures=3),
        "volumeMounts": [
            {"name": "state", "mountPath": names.STATE_DIRECTORY},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - in the container
            {"name": "access", "mountPath": names.ACCESS_DIRECTORY, "readOnly": True},
        ],
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def _environment(wanted: Installation, component: str) -> list[dict[str, Any]]:
    variables: list[dict[str, Any]] = [
        {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}
        for name, path in (
            (names.NAMESPACE_VARIABLE, "metadata.namespace"),
            (names.POD_NAME_VARIABLE, "metadata.name"),
            (names.POD_IP_VARIABLE, "status.podIP"),
        )
    ]
    variables.append({"name": names.ENDPOINT_NAMESPACES_VARIABLE, "value": ",".join(wanted.endpoint_namespaces)})
    if component == names.COMPONENT_ROUTER:
        limit = {"resourceFieldRef": {"containerName": component, "resource": "limits.memory"}}
        return [*variables, {"name": names.MEMORY_LIMIT_VARIABLE, "valueFrom": limit}]
    place, gateway = wanted.publishing.gateway_at(wanted.namespace)
    own = {
        names.TARGET_VARIABLE: wanted.target,
        names.WORKSPACE_VARIABLE: wanted.workspace,
        names.PURPOSE_VARIABLE: str(wanted.purpose),
        names.REPLICAS_VARIABLE: wanted.replicas,
        names.SERVICE_TYPE_VARIABLE: str(wanted.service),
        names.GATEWAY_NAMESPACE_VARIABLE: place,
        names.GATEWAY_VARIABLE: gateway,
    }
    return [*variables, *({"name": name, "value": value} for name, value in own.items())]


def _probe(path: str, port: int, *, period: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": port},
        "periodSeconds": period,
        "timeoutSeconds": 2,
        "failureThreshold": failures,
    }
