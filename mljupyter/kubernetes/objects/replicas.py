"""Replicas as Kubernetes objects: one Deployment and one Secret for each revision of a version.

A Deployment is never changed except for its number of replicas: another revision is another Deployment. Environment
variables are in the Secret, since they may be secrets, and more people may read Deployments than Secrets.
"""

from __future__ import annotations

import base64
import json
import math
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

from mljupyter.build.images.plan import paths
from mljupyter.build.images.registry.references import Reference
from mljupyter.engine.model_delivery import MODEL_REPOSITORY, volume_mebibytes
from mljupyter.engine.replicas.replica_key import VARIABLE as KEY_VARIABLE
from mljupyter.errors import MLJupyterError
from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.objects.place import Place
from mljupyter.kubernetes.objects.security import USER, container_security, pod_security
from mljupyter.runtimes import replica_layout
from mljupyter.runtimes.base import ReplicaOrder
from mljupyter.scoring.fetch.contract import NODE_VARIABLE
from mljupyter.spec import Placement, ReplicaDefaults, Resources, VersionSpec

CONTAINER = "server"
COLLECTED = "/var/mljupyter/collected"
WRITER_VARIABLE = "MLJUPYTER_COLLECTION_WRITER"
"""The variable with the name of the pod, for the names of the files that it alone writes."""
MODELS = f"{paths.APP_ROOT}/{paths.MODELS}"
FETCHER = "models"
"""The init container that fetches mounted models."""

REPLICA_KEY = "replica-key"
"""The key of a Secret under which the key of the replicas is."""

ALIVE_PATH = "/?alive"
"""A request that our server answers with 200 while ``init()`` runs, too."""

_HEALTH_PATH = "/"
_VARIABLE_PREFIX = "env."
_VARIABLE_NAME = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]{0,248}")
_SPARE_START_SECONDS = 30
_SPARE_PULL_SECONDS = 600
_SPARE_END_SECONDS = 5
_TEMPORARY = "1Gi"
_MODEL_LIST = "models.json"
_MODEL_LIST_DIRECTORY = "/etc/mljupyter/models"
_LOGIN_DIRECTORY = "/etc/mljupyter/registry"
_LOGIN = ".dockerconfigjson"
_MIB = 1 << 20
_GIB = 1 << 30
_LONGEST_PLAIN = 64 * 1024  # all annotations of an object together have 256 KiB at most
_COMPRESSED = "zlib:"
_NOT_ANNOTATED = {"environmentVariables", "description", "tags", "properties"}


class ManifestError(MLJupyterError):
    """A version cannot be run on a cluster as it is."""


@dataclass(frozen=True)
class ReplicaSettings:
    """What a cluster adds to all replicas of a version.

    Parameters:
        own_server: whether the image starts our scoring server, which takes options.
        pull_secrets: names of the Secrets with logins of container registries.
        defaults: the settings of all replicas: placement, the resource that counts accelerators, and the
            PersistentVolumeClaim for collected data; without one it ends with the pod.
        fetcher_image: the image of the init container that fetches models, that of the operator: only this container
            has the login of the registry, and an image of a user must not see it. None for the image of the version,
            where an operator runs outside of its cluster.
        probe_grace: whether the cluster knows the grace period of a probe (Kubernetes 1.25 and later). Then a replica
            that does not answer is ended at once; otherwise it keeps its grace period.

    """

    own_server: bool = True
    pull_secrets: tuple[str, ...] = ()
    defaults: ReplicaDefaults = field(default_factory=ReplicaDefaults)
    fetcher_image: str | None = None
    probe_grace: bool = False


def deployment(
    order: ReplicaOrder,
    *,
    namespace: str,
    replicas: int,
    owner: Mapping[str, Any] | None,
    settings: ReplicaSettings,
    home: str | None = None,
) -> dict[str, Any]:
    """Return the Deployment of a revision.

    Parameters:
        order: the revision; its `id` is not used, since a pod's name is the id of a replica.
        namespace: the namespace of the replicas.
        replicas: the number of replicas to begin with.
        owner: an owner reference to the custom resource; none in another namespace, where Kubernetes would not find it.
        settings: those of the cluster and the version.
        home: the namespace of the installation; None: that of the replicas.

    Raises:
        ManifestError: when the version has no image, or an environment variable that a pod cannot have.

    """
    _check(order)
    spec, place = order.spec, Place(namespace, home or namespace)
    if not place.is_home:  # a pod mounts no claim of another namespace
        defaults = settings.defaults.model_copy(update={"collected_data_claim": None})
        settings = replace(settings, defaults=defaults)
    labels = names.replica_labels(order.endpoint, order.version, order.revision) | place.labels
    chosen = {key: value for key, value in labels.items() if key.startswith(names.GROUP)}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(order, place, owner) | {"annotations": {names.SPEC_ANNOTATION: _annotation(spec)}},
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 1,
            "progressDeadlineSeconds": _start_seconds(spec) + _SPARE_PULL_SECONDS,
            # Nothing rolls in regular operation. If somebody restarts it by hand, new pods come first.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "selector": {"matchLabels": chosen},
            "template": {
                "metadata": {"labels": labels} | _annotated(spec, settings),
                "spec": _pod(order, place, settings, chosen),
            },
        },
    }


def secret(
    order: ReplicaOrder,
    *,
    namespace: str,
    replica_key: str,
    owner: Mapping[str, Any] | None,
    home: str | None = None,
) -> dict[str, Any]:
    """Return the Secret of a revision: the key of its replicas, the variables of its spec, and the models to fetch.

    Parameters:
        order, namespace, owner, home: as for `deployment`.
        replica_key: the key.

    Raises:
        ManifestError: as `deployment`.

    """
    _check(order)
    variables = {_VARIABLE_PREFIX + name: value for name, value in order.spec.environment_variables.items()}
    models = {_MODEL_LIST: _model_list(order.spec)} if is_mounted(order.spec) else {}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _metadata(order, Place(namespace, home or namespace), owner),
        "type": "Opaque",
        "data": {
            name: base64.b64encode(value.encode()).decode()
            for name, value in ({REPLICA_KEY: replica_key} | models | variables).items()
        },
    }


def disruption_budget(
    order: ReplicaOrder, *, namespace: str, owner: Mapping[str, Any] | None, policy: str = "policy/v1"
) -> dict[str, Any]:
    """Return the PodDisruptionBudget of a version: when nodes are emptied, one of its replicas ends at a time.

    Parameters:
        order: a revision of the version; the budget covers all of them.
        namespace, owner: as for `deployment`.
        policy: the API version; ``policy/v1beta1`` before Kubernetes 1.21.

    """
    chosen = {names.ENDPOINT_LABEL: order.endpoint, names.VERSION_LABEL: order.version}
    metadata = _metadata(order, Place(namespace, namespace), owner)
    metadata["name"] = names.deployment_name(order.endpoint, order.version, "")
    del metadata["labels"][names.REVISION_LABEL]
    return {
        "apiVersion": policy,
        "kind": "PodDisruptionBudget",
        "metadata": metadata,
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": chosen}},
    }


def spec_of(deployed: Mapping[str, Any], variables: Mapping[str, str] | None = None) -> VersionSpec:
    """Return the spec that a Deployment was made from, without its description, tags and properties.

    Parameters:
        deployed: the Deployment.
        variables: its environment variables, see `variables_of`.

    """
    text = deployed["metadata"]["annotations"][names.SPEC_ANNOTATION]
    if text.startswith(_COMPRESSED):
        text = zlib.decompress(base64.b64decode(text.removeprefix(_COMPRESSED))).decode()
    return VersionSpec.parse({**json.loads(text), "environmentVariables": dict(variables or {})})


def variables_of(stored: Mapping[str, Any]) -> dict[str, str]:
    """Return the environment variables in the Secret of a revision."""
    return {
        name.removeprefix(_VARIABLE_PREFIX): base64.b64decode(value).decode()
        for name, value in (stored.get("data") or {}).items()
        if name.startswith(_VARIABLE_PREFIX)
    }


def replica_key_of(stored: Mapping[str, Any]) -> str | None:
    """Return the key of the replicas in the Secret of a revision; None when it has none that can be read."""
    try:
        key = base64.b64decode(stored["data"][REPLICA_KEY]).decode()
    except (LookupError, ValueError, TypeError):
        return None
    return key if key.isprintable() and key else None


def is_mounted(spec: VersionSpec) -> bool:
    """Return whether a pod fetches the models of a version when it starts."""
    return spec.model_delivery == "mount" and bool(spec.models)


def cpu_quantity(cores: float) -> str:
    """Return cores as a quantity of Kubernetes, in thousandths, rounded up.

    Example:
        >>> cpu_quantity(0.1), cpu_quantity(2), cpu_quantity(0.0001)
        ('100m', '2', '1m')

    """
    thousandths = math.ceil(round(cores * 1000, 6))
    return str(thousandths // 1000) if thousandths % 1000 == 0 else f"{thousandths}m"


def memory_quantity(gigabytes: float) -> str:
    """Return memory as a quantity of Kubernetes that a person can read, rounded up to MiB.

    Example:
        >>> memory_quantity(0.5), memory_quantity(2), memory_quantity(0.1)
        ('512Mi', '2Gi', '103Mi')

    """
    found = math.ceil(gigabytes * _GIB / _MIB)
    whole = _GIB // _MIB
    return f"{found // whole}Gi" if found % whole == 0 else f"{found}Mi"


def _check(order: ReplicaOrder) -> None:
    if order.spec.image is None:
        raise ManifestError(
            f"version {order.version!r} of {order.endpoint!r} has no image: a pod needs one.\n"
            "Deploy it from a notebook or with `mljupyter`, which build the image, or name one in `image`."
        )
    if is_mounted(order.spec) and Reference.parse(order.spec.image).registry is None:
        raise ManifestError(
            f"modelDelivery of version {order.version!r} is 'mount', and its image {order.spec.image} is in no "
            "container registry: models are fetched from the registry of the image.\nName an image with its registry, "
            "or set modelDelivery to 'bake' for an image that has its models."
        )
    for name in order.spec.environment_variables:
        if not _VARIABLE_NAME.fullmatch(name):
            raise ManifestError(
                f"{name[:100]!r} cannot name an environment variable of a pod: "
                "letters, digits, '-', '.' and '_', a digit not first, at most 249 characters.\nRename it."
            )


def _metadata(order: ReplicaOrder, place: Place, owner: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        "name": place.deployment_name(order.endpoint, order.version, order.revision),
        "namespace": place.namespace,
        "labels": names.replica_labels(order.endpoint, order.version, order.revision) | place.labels,
        **({"ownerReferences": [dict(owner)]} if owner is not None else {}),
    }


def _annotation(spec: VersionSpec) -> str:
    kept = {key: value for key, value in spec.document().items() if key not in _NOT_ANNOTATED}
    text = json.dumps(kept, separators=(",", ":"))
    if len(text) <= _LONGEST_PLAIN:
        return text
    return _COMPRESSED + base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def _annotated(spec: VersionSpec, settings: ReplicaSettings) -> dict[str, Any]:
    if spec.collect_model_data and settings.defaults.collected_data_claim is None:
        return {}
    # Its volumes hold nothing to keep. Without this, the cluster autoscaler removes no node with a replica.
    return {"annotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict": "true"}}


def _pod(order: ReplicaOrder, place: Place, settings: ReplicaSettings, chosen: Mapping[str, str]) -> dict[str, Any]:
    same_version = {key: value for key, value in chosen.items() if key != names.REVISION_LABEL}
    pod: dict[str, Any] = {
        "serviceAccountName": place.service_account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        # The first process of a PID namespace ignores signals until it handles them: a replica that is deleted while
        # it starts would last as long as its grace period. Here the pause container is the first process.
        "shareProcessNamespace": True,
        "terminationGracePeriodSeconds": _end_seconds(order.spec),
        "securityContext": pod_security(USER if _claim(order.spec, settings) is not None else None),
        "readinessGates": [{"conditionType": names.SERVING_CONDITION}],
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": same_version},
            }
        ],
        **({"initContainers": [_fetcher(order, settings)]} if is_mounted(order.spec) else {}),
        "containers": [_container(order, place, settings)],
        "volumes": _volumes(order, place, settings),
    }
    if settings.pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in settings.pull_secrets]
    return pod | _placement(order.spec.placement or Placement(), settings.defaults)


def _placement(own: Placement, default: ReplicaDefaults) -> dict[str, Any]:
    """Return the fields of a pod that choose its nodes: those of the version, then those of the cluster."""
    selector = {**default.node_selector, **own.node_selector}
    tolerations = [*own.tolerations, *(one for one in default.tolerations if one not in own.tolerations)]
    runtime_class = own.runtime_class or default.runtime_class
    found = {
        "nodeSelector": selector,
        "tolerations": [one.document() for one in tolerations],
        "runtimeClassName": runtime_class,
    }
    return {name: value for name, value in found.items() if value}


def _container(order: ReplicaOrder, place: Place, settings: ReplicaSettings) -> dict[str, Any]:
    spec = order.spec
    pod_name = f"$({names.POD_NAME_VARIABLE})"
    arguments = {"args": replica_layout.server_options(spec, pod_name)} if settings.own_server else {}
    return {
        "name": CONTAINER,
        "image": spec.image,
        "imagePullPolicy": "IfNotPresent",
        **arguments,
        "env": _environment(order, place, settings),
        "ports": [{"name": "http", "containerPort": names.REPLICA_PORT}],
        "resources": _resources(spec.resources, settings.defaults.gpu_resource),
        # The image of a user may name no user, or root. What is in a claim is read as the user that writes it.
        "securityContext": container_security(None if settings.own_server and _claim(spec, settings) is None else USER),
        **_probes(spec, settings),
        "volumeMounts": [
            *({"name": name, "mountPath": path} | _part(order, name, settings) for name, path in _mounts(spec).items()),
            *([{"name": "models", "mountPath": MODELS, "readOnly": True}] if is_mounted(spec) else []),
        ],
        "terminationMessagePolicy": "FallbackToLogsOnError",  # the status of the pod has the last lines of its log
    }


def _fetcher(order: ReplicaOrder, settings: ReplicaSettings) -> dict[str, Any]:
    """Return the init container that fetches the models. Only it has the login of the registry."""
    spec = order.spec
    read_only = {"model-list": _MODEL_LIST_DIRECTORY, "registry-login": _LOGIN_DIRECTORY}
    python = "python" if settings.fetcher_image is not None else f"{paths.SERVER_ENVIRONMENT}/bin/python"
    options = {
        "--models": f"{_MODEL_LIST_DIRECTORY}/{_MODEL_LIST}",
        "--login": f"{_LOGIN_DIRECTORY}/{_LOGIN}",
        "--directory": MODELS,
    }
    return {
        "name": FETCHER,
        "image": settings.fetcher_image or spec.image,
        "imagePullPolicy": "IfNotPresent",
        "command": [python, "-m", "mljupyter.scoring.fetch"],
        "args": [part for option in options.items() for part in option],
        # A registry on a loopback address is that of the node.
        "env": [{"name": NODE_VARIABLE, "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}}],
        # As those of the replica, which starts afterwards: so it changes nothing for scheduler and quota.
        "resources": _resources(spec.resources.model_copy(update={"gpu": 0}), settings.defaults.gpu_resource),
        "securityContext": container_security(),
        "volumeMounts": [
            {"name": "models", "mountPath": MODELS},
            *({"name": name, "mountPath": path, "readOnly": True} for name, path in read_only.items()),
        ],
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def _model_list(spec: VersionSpec) -> str:
    """Return the document that the init container reads: see `mljupyter.scoring.fetch.models`."""
    document = {
        "registry": Reference.parse(str(spec.image)).host,
        "repository": MODEL_REPOSITORY,
        "models": [model.document() for model in spec.models],
    }
    return json.dumps(document, separators=(",", ":"))


def _mounts(spec: VersionSpec) -> dict[str, str]:
    """Return the directories that a replica may write to, by the names of their volumes."""
    temporary = {"tmp": "/tmp"}  # noqa: S108 - in the container
    return temporary | ({"collected": COLLECTED} if spec.collect_model_data else {})


def _volumes(order: ReplicaOrder, place: Place, settings: ReplicaSettings) -> list[dict[str, Any]]:
    spec = order.spec
    sources: dict[str, dict[str, Any]] = {
        "tmp": {"emptyDir": {"sizeLimit": _TEMPORARY}},
        "collected": {"emptyDir": {}},
    }
    if (claim := _claim(spec, settings)) is not None:
        sources["collected"] = {"persistentVolumeClaim": {"claimName": claim}}
    volumes = [{"name": name, **sources[name]} for name in _mounts(spec)]
    if not is_mounted(spec):
        return volumes
    limit = {} if spec.model_bytes is None else {"sizeLimit": f"{volume_mebibytes(spec.model_bytes)}Mi"}
    own = place.deployment_name(order.endpoint, order.version, order.revision)
    model_list = {"secretName": own, "items": [{"key": _MODEL_LIST, "path": _MODEL_LIST}]}
    return [
        *volumes,
        {"name": "models", "emptyDir": limit},
        {"name": "model-list", "secret": model_list},
        {"name": "registry-login", "secret": {"secretName": place.registry_secret, "optional": True}},
    ]


def _claim(spec: VersionSpec, settings: ReplicaSettings) -> str | None:
    """Return the claim that a replica writes collected data to, if it does."""
    return settings.defaults.collected_data_claim if spec.collect_model_data else None


def _part(order: ReplicaOrder, volume: str, settings: ReplicaSettings) -> dict[str, str]:
    """Return the part of a volume that a replica sees: of the claim, only the directory of its endpoint."""
    shared = volume == "collected" and _claim(order.spec, settings) is not None
    return {"subPath": order.endpoint} if shared else {}


def _environment(order: ReplicaOrder, place: Place, settings: ReplicaSettings) -> list[dict[str, Any]]:
    spec = order.spec
    variables = _variables(order, spec)
    ours = _variables(order, spec.model_copy(update={"environment_variables": {}}))
    name_of_secret = place.deployment_name(order.endpoint, order.version, order.revision)

    def from_secret(name: str, key: str) -> dict[str, Any]:
        return {"name": name, "valueFrom": {"secretKeyRef": {"name": name_of_secret, "key": key}}}

    return [
        {"name": names.POD_NAME_VARIABLE, "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        from_secret(KEY_VARIABLE, REPLICA_KEY),
        # Replicas on several nodes share the volume, and its file system may have no locks across nodes.
        *([{"name": WRITER_VARIABLE, "value": f"$({names.POD_NAME_VARIABLE})"}] if _claim(spec, settings) else []),
        *(
            {"name": name, "value": value} if ours.get(name) == value else from_secret(name, _VARIABLE_PREFIX + name)
            for name, value in variables.items()
            if name not in (names.POD_NAME_VARIABLE, KEY_VARIABLE, WRITER_VARIABLE)
        ),
    ]


def _variables(order: ReplicaOrder, spec: VersionSpec) -> dict[str, str]:
    found = replica_layout.container_variables(
        spec,
        service=order.endpoint,
        version=order.version,
        workspace=order.workspace,
        collected=PurePosixPath(COLLECTED),
    )
    if is_mounted(order.spec):  # an image without models has the directory of all
        found["AZUREML_MODEL_DIR"] = str(replica_layout.model_directory(order.spec, PurePosixPath(MODELS)))
    return found


def _resources(resources: Resources, default: str) -> dict[str, Any]:
    requests = {"cpu": cpu_quantity(resources.cpu), "memory": memory_quantity(resources.memory_in_gb)}
    limits: dict[str, str] = {}
    if resources.cpu_limit is not None:
        limits["cpu"] = cpu_quantity(resources.cpu_limit)
    if resources.memory_in_gb_limit is not None:
        limits["memory"] = memory_quantity(resources.memory_in_gb_limit)
    if resources.gpu:
        name = resources.gpu_resource or default
        requests[name] = limits[name] = str(resources.gpu)
    return {"requests": requests, **({"limits": limits} if limits else {})}


def _probes(spec: VersionSpec, settings: ReplicaSettings) -> dict[str, Any]:
    """Return the probes: started and ready when healthy, alive while the server answers at all.

    Our server restarts its worker by itself, and ends by itself when ``init()`` takes too long. So a node ends a
    replica only if the server does not answer.
    """
    probe = spec.probe

    def asked(path: str) -> dict[str, Any]:
        return {"httpGet": {"path": path, "port": names.REPLICA_PORT}, "timeoutSeconds": probe.timeout_seconds}

    at_once = {"terminationGracePeriodSeconds": 1} if settings.probe_grace else {}
    return {
        "startupProbe": {**asked(_HEALTH_PATH), "periodSeconds": 1, "failureThreshold": _start_seconds(spec)},
        "readinessProbe": {**asked(_HEALTH_PATH), "periodSeconds": 1, "failureThreshold": probe.failure_threshold},
        "livenessProbe": {
            **asked(ALIVE_PATH),
            "periodSeconds": probe.period_seconds,
            "failureThreshold": probe.failure_threshold,
            **at_once,
        },
    }


def _start_seconds(spec: VersionSpec) -> int:
    return spec.probe.initial_delay_seconds + _SPARE_START_SECONDS


def _end_seconds(spec: VersionSpec) -> int:
    return math.ceil(replica_layout.grace_seconds(spec)) + _SPARE_END_SECONDS
