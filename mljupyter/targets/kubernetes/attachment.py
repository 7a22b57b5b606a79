"""Attaching a cluster to a workspace: pre-flight, image of the control plane, checks from the nodes, objects by
server-side apply, readiness.

It runs in a background thread; its lines of progress can be followed, and it can be cancelled. Attaching again repairs
or upgrades.
"""

from __future__ import annotations

import base64
import contextlib
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mljupyter.build.images.registry.credentials import RegistryCredentials, find_credentials
from mljupyter.build.images.registry.references import Reference
from mljupyter.errors import MLJupyterError
from mljupyter.exceptions import ComputeTargetException
from mljupyter.files import expanded
from mljupyter.kubernetes.objects import names, router_size
from mljupyter.kubernetes.objects.installation import (
    Installation,
    Purpose,
    Reader,
    ServiceType,
    access_secret,
    installation,
    of_reader,
)
from mljupyter.kubernetes.objects.place import Place, places
from mljupyter.kubernetes.objects.publishing import Publishing, rule_broken
from mljupyter.spec import ReplicaDefaults, SpecError, Toleration
from mljupyter.targets.base import Finding, TargetContext
from mljupyter.targets.kubernetes import control_plane_image
from mljupyter.targets.kubernetes.attached import (
    AttachedCluster,
    attached_clusters,
    check_name,
    check_namespace,
    check_not_reserved,
    forget,
    remember,
)
from mljupyter.targets.kubernetes.cluster import FORBIDDEN, MERGE, Cluster, ClusterError, access_to
from mljupyter.targets.kubernetes.created import CreatedCluster, CreationState, created_cluster, remember_created
from mljupyter.targets.kubernetes.definition import DEFINITION_PATH, define, is_deleted
from mljupyter.targets.kubernetes.endpoint_namespaces import delete_in_namespace, former_namespaces
from mljupyter.targets.kubernetes.installation_state import installation_state
from mljupyter.targets.kubernetes.node_checks import NodeChecks, check_nodes, pause
from mljupyter.targets.kubernetes.preflight import check
from mljupyter.targets.kubernetes.providers import provider_of
from mljupyter.targets.kubernetes.publishing import (
    ingress_class_of,
    publication_findings,
    published_objects,
    publishing_findings,
)

READY_WITHIN_SECONDS = 300.0
CREATED_ANNOTATION = f"{names.GROUP}/created"
"""Marks a namespace that was created for an installation, and is deleted with it."""

LABELLED_ANNOTATION = f"{names.GROUP}/labelled"
"""Marks a namespace that got the label with its name for an installation, and loses it with it."""

WORKSPACE_ANNOTATION = f"{names.GROUP}/workspace"
TARGET_ANNOTATION = f"{names.GROUP}/target"
_PAUSE_SECONDS = 0.5
_ESTABLISHED_WITHIN_SECONDS = 60.0
_DELETED_WITHIN_SECONDS = 60.0
_SECRET_BYTES = 32
_FIRST_WITH_POLICY = 21
_NODES = "nodes"
"""The name of the finding that says why nothing was checked from the nodes."""

OnLine = Callable[[str], None]
_attachments: dict[tuple[Path, str], Attachment] = {}


@dataclass(frozen=True)
class ClusterSettings:
    """The settings for attaching a cluster.

    Parameters:
        kubeconfig: the path of a kubeconfig file; None for that of ``KUBECONFIG`` or ``~/.kube/config``.
        context: a context of it; None for its current one.
        namespace: the namespace for the installation and its endpoints; it is created if it does not exist.
        purpose: ``FastProd`` or ``DevTest``.
        service_type: the value of a `ServiceType`: how the routers are reached.
        publishing: the details of that with ``Ingress`` and ``HTTPRoute``.
        internal: whether the load balancer is reached only from the network of the cluster.
        subnet: the subnet of an internal load balancer (Azure).
        image: an image of the control plane; None builds one.
        type: the type of the target that users see.
        resource_id: of a cluster in Azure whose credentials Azure has given.
        replicas: the settings of all replicas: placement, accelerators, the claim for collected data.
        endpoint_namespaces: other namespaces that endpoints may run in. They must exist.

    """

    kubeconfig: str | None = None
    context: str | None = None
    namespace: str = names.DEFAULT_NAMESPACE
    purpose: str = Purpose.FAST_PROD.value
    service_type: str = ServiceType.CLUSTER_IP.value
    internal: bool = False
    subnet: str | None = None
    image: str | None = None
    type: str = "Kubernetes"
    resource_id: str = ""
    replicas: ReplicaDefaults = field(default_factory=ReplicaDefaults)
    endpoint_namespaces: tuple[str, ...] = ()
    publishing: Publishing = field(default_factory=Publishing)

    def __post_init__(self) -> None:
        check_namespace(self.namespace)
        # The installation's own namespace needs no permission.
        others = [one for one in dict.fromkeys(self.endpoint_namespaces) if one != self.namespace]
        object.__setattr__(self, "endpoint_namespaces", tuple(others))
        for namespace in others:
            check_namespace(namespace)
        for name, kind in (("cluster_purpose", Purpose), ("service_type", ServiceType)):
            value = self.purpose if kind is Purpose else self.service_type
            if value not in list(kind):
                raise ComputeTargetException(f"{name} is {value!r}: it must be one of {', '.join(kind)}.")
        if self.internal and self.service_type != ServiceType.LOAD_BALANCER:
            raise ComputeTargetException(
                f"an internal load balancer was asked for, and service_type is {self.service_type!r}: "
                "it must be 'LoadBalancer'."
            )
        if self.subnet is not None and not self.internal:
            raise ComputeTargetException(
                f"the subnet {self.subnet!r} was given, and the load balancer is not internal: a subnet is that of an "
                "internal load balancer (--internal)."
            )
        if (broken := rule_broken(self.publishing, self.service_type)) is not None:
            raise ComputeTargetException(broken)


def settings_of(attached: AttachedCluster) -> ClusterSettings:
    """Return the settings with which a cluster was attached."""
    return ClusterSettings(
        kubeconfig=attached.kubeconfig,
        context=attached.context,
        namespace=attached.namespace,
        purpose=attached.purpose,
        service_type=attached.service_type,
        internal=attached.internal,
        subnet=attached.subnet,
        image=attached.image or None,
        type=attached.type,
        resource_id=attached.resource_id,
        replicas=ReplicaDefaults.parse(attached.replicas),
        endpoint_namespaces=attached.endpoint_namespaces,
        publishing=Publishing.of(attached.publishing),
    )


def replica_defaults(
    gpu_resource: str | None = None,
    node_selector: Mapping[str, str] | None = None,
    tolerations: Sequence[Mapping[str, Any] | str] = (),
    runtime_class: str | None = None,
    collected_data_claim: str | None = None,
) -> ReplicaDefaults:
    """Return the settings of all replicas of a cluster.

    Parameters:
        gpu_resource: the resource that counts accelerators; None for ``nvidia.com/gpu``.
        node_selector: labels that nodes must have.
        tolerations: taints that replicas tolerate, as mappings or as text, see `Toleration.of`.
        runtime_class: the RuntimeClass; None for the cluster's default.
        collected_data_claim: the PersistentVolumeClaim for collected data; None if it ends with its pod.

    Raises:
        ComputeTargetException: a value breaks a rule.

    """
    try:
        taints = [Toleration.of(one) if isinstance(one, str) else one for one in tolerations]
        given = {
            "gpuResource": gpu_resource,
            "nodeSelector": node_selector,
            "tolerations": taints,
            "runtimeClass": runtime_class,
            "collectedDataClaim": collected_data_claim,
        }
        return ReplicaDefaults.parse({name: value for name, value in given.items() if value is not None})
    except SpecError as error:
        raise ComputeTargetException(error.message) from None


def namespaces_given(given: Sequence[str]) -> tuple[str, ...]:
    """Return the namespaces for endpoints, given as a list.

    Raises:
        ComputeTargetException: they are no list.

    """
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise ComputeTargetException(f"endpoint_namespaces is {given!r}: give a list, such as ['team-a', 'team-b'].")
    return tuple(given)


def publishing_of(**given: Any) -> Publishing:
    """Return how an Ingress or an HTTPRoute is to lead to the routers.

    Parameters:
        given: the fields of a `Publishing`; None for those that are not given.

    """
    return Publishing.of({name: value for name, value in given.items() if value not in (None, {}, "")})


def annotations_of(texts: Iterable[str]) -> dict[str, str]:
    """Return annotations that are given as ``NAME=VALUE``.

    Raises:
        ComputeTargetException: a text has no ``=``.

    """
    pairs = [text.partition("=") for text in texts]
    for text, equals, _ in pairs:
        if not equals:
            raise ComputeTargetException(f"annotation is {text!r}: it must be NAME=VALUE.")
    return {name.strip(): value for name, _, value in pairs}


def with_claim(replicas: ReplicaDefaults, claim: str | None) -> ReplicaDefaults:
    """Return the settings of all replicas with another claim for collected data, or without one.

    Raises:
        ComputeTargetException: it cannot be the name of a claim.

    """
    document = replicas.document()
    document.pop("collectedDataClaim", None)
    try:
        return ReplicaDefaults.parse(document | ({"collectedDataClaim": claim} if claim is not None else {}))
    except SpecError as error:
        raise ComputeTargetException(error.message) from None


class Attachment:
    """An attachment, creation or deletion of a cluster that runs in this process, or ran.

    `error` is set after a failure.

    Parameters:
        name: of the target.
        work: does the work. Its arguments: a function for lines of progress, and an event that asks it to end.
        doing: the work for errors and for the thread's name.
        is_new: whether the workspace had no target of this name before.

    """

    def __init__(
        self,
        name: str,
        work: Callable[[OnLine, threading.Event], None],
        doing: str = "attached",
        *,
        is_new: bool = True,
    ) -> None:
        self.error: MLJupyterError | None = None
        self.doing = doing
        self.is_new = is_new
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self._ended = False
        self._cancelled = threading.Event()
        self._work = work
        # Not a daemon thread: a script that ends right after `attach` waits for it.
        self._thread = threading.Thread(target=self._run, name=f"{doing}-{name}")
        self._thread.start()

    @property
    def has_ended(self) -> bool:
        """Whether it is done, or has failed."""
        return self._ended

    @property
    def is_cancelled(self) -> bool:
        """Whether its end was asked for."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Ask for its end, and return at once. It ends before its next step; what is installed so far stays."""
        self._cancelled.set()

    def join(self) -> None:
        """Wait for the end, also of a failure."""
        self._thread.join()

    def lines(self) -> Iterator[str]:
        """Yield all lines of progress, each as it is written, until the end."""
        shown = 0
        while True:
            with self._changed:
                while not self._ended and len(self._lines) == shown:
                    self._changed.wait()
                new, ended = self._lines[shown:], self._ended
            yield from new
            shown += len(new)
            if ended and shown == len(self._lines):
                return

    def wait(self, on_line: OnLine | None = None) -> None:
        """Wait for the end.

        Parameters:
            on_line: called with each line of progress.

        Raises:
            MLJupyterError: it failed.

        """
        for line in self.lines():
            if on_line is not None:
                on_line(line)
        self._thread.join()
        if self.error is not None:
            raise self.error

    def _write(self, line: str) -> None:
        with self._changed:
            self._lines.append(line)
            self._changed.notify_all()

    def _run(self) -> None:
        try:
            self._work(self._write, self._cancelled)
        except MLJupyterError as error:
            self.error = error
        except Exception as error:  # noqa: BLE001 - raised where the attachment is waited for
            self.error = ComputeTargetException(
                f"the cluster could not be {self.doing}: {type(error).__name__}: {error}"
            )
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()


def attachment_of(directory: Path, name: str) -> Attachment | None:
    """Return the newest work on a target if it runs or ran in this process, else None."""
    return _attachments.get((directory, name))


def begin_work(directory: Path, name: str, work: Attachment) -> Attachment:
    """Make this the newest work on a target; see `attachment_of`."""
    _attachments[directory, name] = work
    return work


def attach(
    context: TargetContext,
    name: str,
    settings: ClusterSettings,
    *,
    registry: str | None = None,
    force: bool = False,
    then: Callable[[], None] = lambda: None,
) -> Attachment:
    """Check a cluster, then attach it in the background; return the running attachment.

    Nothing is changed in the cluster if a check fails. The attachment itself begins with the checks from the nodes. If
    one fails, it ends with what it says, and nothing is left: no object, and no target of this name if there was none.
    A target of this name is repaired or upgraded, or gets other settings.

    Parameters:
        context: the workspace.
        name: the name of the compute target. A cluster that was created under it is found by its name alone.
        settings: the cluster and the installation.
        registry: the host of the container registry from which nodes pull images; None if they share those of the
            Docker engine.
        force: take over an installation of another workspace or target.
        then: is called when operator and routers are ready.

    Raises:
        ComputeTargetException: a check failed, or the name or the cluster is in use.
        ClusterUnreachableError: the cluster cannot be reached.

    """
    created = created_cluster(context.directory, name)
    if created is not None:
        settings = _of_created(created, settings)
    known = any(cluster.name == name for cluster in attached_clusters(context.directory))
    install = checked_work(context, name, settings, registry=registry, force=force, created=created)
    if created is not None:
        attached = replace(created, state=CreationState.CREATED.value, error="", detached=False)
        remember_created(context.directory, attached)

    def work(on_line: OnLine, stopped: threading.Event) -> None:
        def on_step(line: str) -> None:
            on_line(line)
            pause(stopped, 0)

        install(on_step, stopped)
        then()

    return begin_work(context.directory, name, Attachment(name, work, is_new=not known))


def checked_work(
    context: TargetContext,
    name: str,
    settings: ClusterSettings,
    *,
    registry: str | None = None,
    force: bool = False,
    created: CreatedCluster | None = None,
) -> Callable[[OnLine, threading.Event], None]:
    """Check a cluster, store it as attached, and return the function that installs operator and routers in it.

    Parameters:
        context, name, settings, registry, force: as for `attach`.
        created: how the cluster was created, if it was. Without a registry, its provider copies the image of the
            control plane from the Docker engine of this machine to the nodes, if it can.

    Raises:
        ComputeTargetException: as for `attach`.
        ClusterUnreachableError: as for `attach`.

    """
    check_name(name)
    plan = _plan(context, name, settings, registry)
    failed = [finding for finding in plan.findings() if finding.state == "failed"]
    if failed:
        raise ComputeTargetException(_refusal(name, failed))
    plan.check_owner(force=force)
    known = any(cluster.name == name for cluster in attached_clusters(context.directory))
    record = plan.record(settings.image or "")
    remember(context.directory, record)

    def work(on_line: OnLine, stopped: threading.Event) -> None:
        image = settings.image or control_plane_image.ensure(registry, on_line)
        remember(context.directory, replace(record, image=image))
        if created is not None and registry is None:
            kubeconfig = Path(created.settings["kubeconfig"])
            if provider_of(created.provider).load_image(image, kubeconfig, on_line):
                on_line(f"copied {image} to the nodes")
        try:
            plan.check_nodes(image, on_line, stopped)
        except MLJupyterError:
            if not known:
                forget(context.directory, name)
            raise
        plan.install(image, on_line, stopped)

    return work


def _of_created(created: CreatedCluster, settings: ClusterSettings) -> ClusterSettings:
    """Return the settings to attach a cluster that was created under this name, with its kubeconfig.

    Raises:
        ComputeTargetException: it is not ready to be attached, or another cluster is given.

    """
    if created.is_worked_on or created.state not in (CreationState.CREATED, CreationState.ATTACHING):
        raise ComputeTargetException(f"{created.name!r} cannot be attached: {created.problem}")
    own = created.settings
    given = settings.kubeconfig
    other = given is not None and expanded(given).absolute() != Path(own["kubeconfig"])
    if other or (given is None and settings.context not in (None, own.get("context"))):
        raise ComputeTargetException(
            f"the {created.about} was created as compute target {created.name!r}: choose another name for another "
            "cluster, or give\nneither kubeconfig nor context."
        )
    return replace(
        settings,
        kubeconfig=own["kubeconfig"],
        context=settings.context or own.get("context"),
        type=own["type"],
        resource_id=own.get("resource_id", ""),
    )


def check_cluster(
    context: TargetContext, name: str, settings: ClusterSettings, *, registry: str | None = None
) -> list[Finding]:
    """Return the findings of the checks before an attachment. Nothing that they start is left.

    The checks from the nodes are among them if the namespace and the image of the control plane exist already;
    otherwise a note says that attaching does them.

    Parameters:
        context, name, settings, registry: as for `attach`.

    Raises:
        ClusterUnreachableError: there is no usable kubeconfig.

    """
    plan = _plan(context, name, settings, registry)
    found = plan.findings()
    return found if any(finding.state == "failed" for finding in found) else [*found, *plan.node_findings()]


def manifests_for(
    context: TargetContext, name: str, settings: ClusterSettings, *, registry: str | None = None
) -> list[dict[str, Any]]:
    """Return the objects that `attach` would apply, without the Secrets. Changes nothing."""
    image = settings.image or control_plane_image.reference(registry)
    return _plan(context, name, settings, registry).manifests(image)


def _plan(context: TargetContext, name: str, settings: ClusterSettings, registry: str | None = None) -> _Plan:
    cluster = Cluster(access_to(settings.kubeconfig, settings.context))
    return _Plan(context, name, settings, registry, cluster)


class _Plan:
    """What to do in one cluster."""

    def __init__(
        self,
        context: TargetContext,
        name: str,
        settings: ClusterSettings,
        registry: str | None,
        cluster: Cluster,
    ) -> None:
        self._context = context
        self._name = name
        self._settings = settings
        self._registry = registry
        self._cluster = cluster
        self._secrets = names.secrets(settings.namespace)

    def findings(self) -> list[Finding]:
        """Return the findings of the pre-flight checks."""
        image = self._settings.image or control_plane_image.REPOSITORY
        # The manifests ask the cluster for its release, so an unreachable cluster is the first finding.
        try:
            manifests = self.manifests(image)
        except MLJupyterError as error:
            first, _, rest = error.message.partition("\n")
            return [Finding("API server", "failed", first, rest)]
        settings = self._settings
        found = list(
            check(
                self._cluster,
                settings.namespace,
                settings.purpose,
                manifests,
                settings.replicas,
                settings.endpoint_namespaces,
            )
        )
        if all(finding.state != "failed" for finding in found):
            publishing = self._publishing()
            found += publishing_findings(self._cluster, settings.service_type, publishing, settings.namespace)
        if self._registry is None:
            text = "they stay on the Docker engine of this machine, which the nodes must share"
            fix = "for other nodes: a workspace with a container registry, or MLJUPYTER_CONTAINER_REGISTRY"
            return [*found, Finding("images", "note", text, fix)]
        return [*found, Finding("images", "ok", f"nodes pull them from {self._registry}")]

    def record(self, image: str) -> AttachedCluster:
        """Return the record of the target."""
        access, settings = self._cluster.access, self._settings
        return AttachedCluster(
            self._name,
            settings.type,
            access.kubeconfig,
            access.context,
            settings.namespace,
            self._identity(),
            str(settings.purpose),
            str(settings.service_type),
            settings.internal,
            image,
            settings.resource_id,
            settings.replicas.document(),
            settings.subnet,
            settings.endpoint_namespaces,
            settings.publishing.document(),
        )

    def manifests(self, image: str) -> list[dict[str, Any]]:
        """Return the objects of the installation."""
        settings = self._settings
        minor = int("".join(filter(str.isdigit, str(self._cluster.get("/version").get("minor", "")))) or 0)
        wanted = Installation(
            image=image,
            target=self._name,
            workspace=self._context.name,
            namespace=settings.namespace,
            create_namespace=self._creates_namespace(),
            purpose=Purpose(settings.purpose),
            service=ServiceType(settings.service_type),
            internal=settings.internal,
            subnet=settings.subnet,
            publishing=self._publishing(),
            pull_secrets=self._pull_secrets(image),
            replicas=settings.replicas.json_text(),
            endpoint_namespaces=settings.endpoint_namespaces,
            reader=Reader.of(settings.replicas),
            policy="policy/v1" if minor >= _FIRST_WITH_POLICY else "policy/v1beta1",
        )
        found = installation(wanted)
        for manifest in found:
            if manifest["kind"] == "ServiceAccount" and wanted.pull_secrets:
                place = Place(names.namespace_of(manifest), settings.namespace)
                manifest["imagePullSecrets"] = [{"name": place.registry_secret}]
            if manifest["kind"] == "Namespace":
                manifest["metadata"].setdefault("annotations", {})[CREATED_ANNOTATION] = "true"
            if (manifest["kind"], manifest["metadata"]["name"]) == ("Deployment", names.ROUTER):
                self._keep_size(manifest)
        return found

    def _publishing(self) -> Publishing:
        """Return how the routers are published, with the IngressClass that the cluster has for it."""
        given = self._settings.publishing
        if self._settings.service_type != ServiceType.INGRESS:
            return given
        try:
            found = ingress_class_of(self._cluster.items(names.ingress_classes()), given.ingress_class)
        except ClusterError:  # the right is missing: the class decides by its name
            return given
        if found is None:
            return given
        controller = str((found.get("spec") or {}).get("controller", ""))
        return replace(given, ingress_class=str(found["metadata"]["name"]), controller=controller)

    def _keep_size(self, manifest: dict[str, Any]) -> None:
        """Keep the size that the router's self-scaling has reached; for tests there is none."""
        if self._settings.purpose != Purpose.FAST_PROD:
            return
        with contextlib.suppress(ClusterError):  # the right is missing: only the check of rights is to say so
            present = self._cluster.find(f"{names.deployments(self._settings.namespace)}/{names.ROUTER}")
            router_size.with_kept_size(manifest, present)

    def check_owner(self, *, force: bool) -> None:
        """Check that this cluster and namespace are not attached under another name or by another workspace.

        Raises:
            ComputeTargetException: they are, or the name belongs to another cluster.

        """
        identity, namespace = self._identity(), self._settings.namespace
        for known in attached_clusters(self._context.directory):
            same = (known.cluster, known.namespace) == (identity, namespace)
            if known.name == self._name and not same:
                raise ComputeTargetException(
                    f"compute target {self._name!r} is namespace {known.namespace!r} of {known.access}.\n"
                    f"Detach it first, or choose another name: mljupyter computetarget detach {self._name}"
                )
            if known.name != self._name and same:
                raise ComputeTargetException(
                    f"namespace {namespace!r} of this cluster is attached already, as {known.name!r}: "
                    f"use ws.compute_targets[{known.name!r}], or choose another namespace."
                )
        check_not_reserved(self._name)
        secret = self._cluster.find(f"{self._secrets}/{names.ACCESS_SECRET}")
        owner = (secret or {}).get("metadata", {}).get("annotations", {})
        found = (owner.get(WORKSPACE_ANNOTATION), owner.get(TARGET_ANNOTATION))
        if secret is not None and found != (self._context.name, self._name) and not force:
            raise ComputeTargetException(
                f"namespace {namespace!r} of this cluster belongs to compute target {found[1]!r} of workspace "
                f"{found[0]!r}.\nChoose another namespace, detach it there, or take it over with its endpoints: force "
                "(--force)."
            )

    def node_findings(self) -> list[Finding]:
        """Return the findings of the checks from the nodes, if they change nothing that lasts; otherwise a note."""
        namespace = self._settings.namespace
        later = "attaching checks from the nodes before it installs anything"
        try:
            if self._cluster.find(_namespace_path(namespace)) is None:
                return [Finding(_NODES, "note", f"namespace {namespace!r} does not exist yet: {later}")]
            image = self._settings.image or control_plane_image.reference(self._registry)
            if self._settings.image is None and not control_plane_image.exists(self._registry):
                return [Finding(_NODES, "note", f"the image of the control plane does not exist yet: {later}")]
            return check_nodes(self._cluster, self._node_checks(image, ()))
        except MLJupyterError as error:
            first, _, rest = error.message.partition("\n")
            return [Finding(_NODES, "failed", first, rest)]

    def check_nodes(self, image: str, on_line: OnLine, stopped: threading.Event) -> None:
        """Check from the nodes, in the namespace, which is created if it does not exist.

        Raises:
            ComputeTargetException: a check failed. Namespace and Secret are as they were before.

        """
        namespace, login = self._settings.namespace, self._login(image)
        first = [one for one in self.manifests(image) if one["kind"] == "Namespace"]
        first += [_pull_secret(Place(namespace, namespace), login)] if login is not None else []
        made = [one for one in first if self._cluster.find(names.object_path(one)) is None]
        try:
            for manifest in first:
                self._apply(manifest, on_line)
            findings = check_nodes(self._cluster, self._node_checks(image, self._pull_secrets(image)), on_line, stopped)
            for finding in findings:
                if finding.state != "failed":
                    on_line(f"{finding.name}: {finding.text}")
            if failed := [finding for finding in findings if finding.state == "failed"]:
                raise ComputeTargetException(_refusal(self._name, failed))
        except MLJupyterError:
            with contextlib.suppress(MLJupyterError):  # the first error is the one to say
                for manifest in reversed(made):
                    self._cluster.delete(names.object_path(manifest))
                self._wait_until_deleted(made)
            raise

    def install(self, image: str, on_line: OnLine, stopped: threading.Event) -> None:
        """Apply all objects, and wait until operator and routers are ready."""
        manifests = self.manifests(image)
        definition = next(one for one in manifests if one["kind"] == "CustomResourceDefinition")
        # The Service says that the definition is in use: whoever detaches another namespace leaves it then.
        first = [one for one in manifests if one["kind"] == "Namespace" or _is_operator_service(one)]
        for manifest in first:
            self._apply(manifest, on_line)
        self._define(definition, on_line, stopped)
        self._apply(self._access_secret(), on_line)
        if (login := self._login(image)) is not None:
            for place in places(self._settings.namespace, self._settings.endpoint_namespaces):
                self._apply(_pull_secret(place, login), on_line)
        former = former_namespaces(self._cluster, self._settings.namespace)
        rest = [one for one in manifests if one is not definition and one not in first]
        for manifest in rest:
            self._apply(manifest, on_line)
        for namespace in former - set(self._settings.endpoint_namespaces):
            delete_in_namespace(self._cluster, Place(namespace, self._settings.namespace), on_line)
        wanted = {names.object_path(one) for one in rest}
        for reference in published_objects(self._cluster, self._settings.namespace):
            if names.object_path(reference) not in wanted:  # it is of another service type
                self._cluster.delete(names.object_path(reference))
                on_line(f"deleted {reference['kind']} {reference['metadata']['name']}")
        if self._settings.replicas.collected_data_claim is None:
            self._delete_reader(on_line)
        self._label_namespace(on_line)
        self._wait_until_ready(definition, on_line, stopped)
        for finding in publication_findings(self._cluster, self._settings.service_type, self._settings.namespace):
            on_line(f"{finding.name}: {finding.text}")

    def _delete_reader(self, on_line: OnLine) -> None:
        """Delete the reader of collected data, if an earlier attachment had a claim. The data stays in the claim."""
        for reference in of_reader(self._settings.namespace):
            path = names.object_path(reference)
            if self._cluster.find(path) is not None:
                self._cluster.delete(path)
                on_line(f"deleted {reference['kind']} {names.READER}")

    def _node_checks(self, image: str, pull_secrets: tuple[str, ...]) -> NodeChecks:
        store = self._context.artifact_location
        return NodeChecks(self._settings.namespace, image, store, pull_secrets=pull_secrets)

    def _wait_until_deleted(self, manifests: list[dict[str, Any]]) -> None:
        deadline = time.monotonic() + _DELETED_WITHIN_SECONDS
        while any(self._cluster.find(names.object_path(one)) for one in manifests) and time.monotonic() < deadline:
            time.sleep(_PAUSE_SECONDS)

    def _apply(self, manifest: Mapping[str, Any], on_line: OnLine) -> None:
        self._cluster.apply(names.object_path(manifest), manifest)
        on_line(f"applied {manifest['kind']} {manifest['metadata']['name']}")

    def _label_namespace(self, on_line: OnLine) -> None:
        """Give the namespace the label with its name, which Kubernetes sets since 1.21: the webhook selects by it."""
        namespace = self._settings.namespace
        path = f"/api/v1/namespaces/{namespace}"
        metadata = {
            "labels": {names.NAMESPACE_LABEL: namespace},
            "annotations": {LABELLED_ANNOTATION: "true"},
        }
        try:
            present = self._cluster.get(path)["metadata"].get("labels") or {}
            if names.NAMESPACE_LABEL not in present:
                self._cluster.call("PATCH", path, {"metadata": metadata}, content_type=MERGE)
                on_line(f"labelled Namespace {namespace}")
        except ClusterError as error:
            if error.status != FORBIDDEN:
                raise
            on_line(
                f"the right to label namespace {namespace!r} is missing: rules that kubectl apply breaks are shown by "
                "kubectl describe only"
            )

    def _access_secret(self) -> dict[str, Any]:
        """Return the access Secret: with the present secrets if there are some, so that running parts keep theirs."""
        present = (self._cluster.find(f"{self._secrets}/{names.ACCESS_SECRET}") or {}).get("data") or {}
        values = [
            base64.b64decode(present[key]).decode() if key in present else secrets.token_hex(_SECRET_BYTES)
            for key in (names.API_KEY, names.INTERNAL_KEY)
        ]
        manifest = access_secret(self._settings.namespace, api=values[0], internal=values[1])
        owner = {WORKSPACE_ANNOTATION: self._context.name, TARGET_ANNOTATION: self._name}
        manifest["metadata"].setdefault("annotations", {}).update(owner)
        return manifest

    def _define(self, definition: Mapping[str, Any], on_line: OnLine, stopped: threading.Event) -> None:
        """Apply the definition of the custom resource, and wait until the API server serves it."""
        deadline = time.monotonic() + _ESTABLISHED_WITHIN_SECONDS
        while problem := define(self._cluster, definition, self._settings.namespace):
            if time.monotonic() > deadline:
                raise ComputeTargetException(f"the cluster does not serve {names.PLURAL}.{names.GROUP}: {problem}")
            pause(stopped, _PAUSE_SECONDS)
        on_line(f"applied {definition['kind']} {definition['metadata']['name']}")

    def _wait_until_ready(self, definition: Mapping[str, Any], on_line: OnLine, stopped: threading.Event) -> None:
        deadline = time.monotonic() + READY_WITHIN_SECONDS
        reader = self._settings.replicas.collected_data_claim is not None
        said = ""
        while True:
            if is_deleted(self._cluster.find(DEFINITION_PATH)):  # by somebody who did not see the Service yet
                self._define(definition, on_line, stopped)
            state = installation_state(self._cluster, self._settings.namespace, reader=reader)
            if state.text != said:
                on_line(state.text)
                said = state.text
            if state.ready:
                return
            if state.failed or time.monotonic() > deadline:
                raise ComputeTargetException(
                    f"the installation in namespace {self._settings.namespace!r} does not become ready: "
                    f"{state.text}\n{_way_out(state.text, self._name)}"
                )
            pause(stopped, _PAUSE_SECONDS)

    def _pull_secrets(self, image: str) -> tuple[str, ...]:
        return (names.REGISTRY_SECRET,) if self._login(image) is not None else ()

    def _login(self, image: str) -> RegistryCredentials | None:
        """Return the credentials of the container registry; None if there is no registry, or it needs none."""
        host = self._registry or Reference.parse(image).registry
        return find_credentials(host) if host else None

    def _identity(self) -> str:
        """Return the identity of the cluster: of a namespace that exists as long as it, else its address."""
        try:
            system = self._cluster.find("/api/v1/namespaces/kube-system")
        except ClusterError:
            system = None
        return str(system["metadata"]["uid"]) if system is not None else self._cluster.server

    def _creates_namespace(self) -> bool:
        try:
            found = self._cluster.find(_namespace_path(self._settings.namespace))
        except ClusterError:  # the right is missing: only the check of rights is to say so
            return False
        return found is None or CREATED_ANNOTATION in (found["metadata"].get("annotations") or {})


def _is_operator_service(manifest: Mapping[str, Any]) -> bool:
    return (manifest["kind"], manifest["metadata"]["name"]) == ("Service", names.OPERATOR)


def _refusal(name: str, failed: Iterable[Finding]) -> str:
    lines = [f"{finding.name}: {finding.text}\n  {finding.fix}".rstrip() for finding in failed]
    return f"the cluster cannot be attached as {name!r}:\n" + "\n".join(lines)


def _namespace_path(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}"


def _pull_secret(place: Place, login: RegistryCredentials) -> dict[str, Any]:
    pair = base64.b64encode(f"{login.username}:{login.password}".encode())
    document = {"auths": {login.address: {"auth": pair.decode()}}}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": place.registry_secret,
            "namespace": place.namespace,
            "labels": names.labels(names.COMPONENT_OPERATOR) | place.labels,
        },
        "type": "kubernetes.io/dockerconfigjson",
        "stringData": {".dockerconfigjson": json.dumps(document)},
    }


def _way_out(text: str, name: str) -> str:
    if "ImagePull" in text or "InvalidImageName" in text:
        return (
            "The nodes cannot pull the image. Give the workspace a container registry that they reach\n"
            "(Workspace.create(container_registry=...), MLJUPYTER_CONTAINER_REGISTRY), or give image=... (--image)."
        )
    return f"Look at it: mljupyter computetarget check {name}. Remove it again: mljupyter computetarget detach {name}"
