"""Attaching a cluster to a workspace: pre-flight, image of the control plane, objects by server-side apply, readiness.

It runs in a background thread; its lines of progress can be followed. Attaching again repairs or upgrades.
"""

from __future__ import annotations

import base64
import contextlib
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mljupyter.build.images.registry.credentials import RegistryCredentials, find_credentials
from mljupyter.build.images.registry.references import Reference
from mljupyter.errors import MLJupyterError
from mljupyter.exceptions import ComputeTargetException
from mljupyter.kubernetes.objects import names, router_size
from mljupyter.kubernetes.objects.installation import (
    Installation,
    Purpose,
    ServiceType,
    access_secret,
    installation,
)
from mljupyter.targets.base import Finding, TargetContext
from mljupyter.targets.kubernetes import control_plane_image
from mljupyter.targets.kubernetes.attached import (
    AttachedCluster,
    attached_clusters,
    check_name,
    check_namespace,
    remember,
)
from mljupyter.targets.kubernetes.cluster import Cluster, ClusterError, access_to
from mljupyter.targets.kubernetes.installation_state import installation_state
from mljupyter.targets.kubernetes.preflight import check

READY_WITHIN_SECONDS = 300.0
CREATED_ANNOTATION = f"{names.GROUP}/created"
"""Marks a namespace that was created for an installation, and is deleted with it."""

WORKSPACE_ANNOTATION = f"{names.GROUP}/workspace"
TARGET_ANNOTATION = f"{names.GROUP}/target"
PULL_SECRET = "mljupyter-registry"  # noqa: S105 - a name
_PAUSE_SECONDS = 0.5
_ESTABLISHED_WITHIN_SECONDS = 30.0
_SECRET_BYTES = 32
_FIRST_WITH_POLICY = 21

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
        service_type: ``ClusterIP``, ``NodePort`` or ``LoadBalancer``: how the routers are reached.
        internal: whether the load balancer is reached only from the network of the cluster.
        subnet: the subnet of an internal load balancer (Azure).
        image: an image of the control plane; None builds one.
        type: the type of the target that users see.

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

    def __post_init__(self) -> None:
        check_namespace(self.namespace)
        for name, kind in (("cluster_purpose", Purpose), ("service_type", ServiceType)):
            value = self.purpose if kind is Purpose else self.service_type
            if value not in list(kind):
                raise ComputeTargetException(f"{name} is {value!r}: it must be one of {', '.join(kind)}.")
        if self.internal and self.service_type != ServiceType.LOAD_BALANCER:
            raise ComputeTargetException(
                f"an internal load balancer was asked for, and service_type is {self.service_type!r}: "
                "it must be 'LoadBalancer'."
            )


class Attachment:
    """An attachment that runs in this process, or ran; `error` is set after a failure.

    Parameters:
        name: of the target.
        work: does the work; its argument takes lines of progress.

    """

    def __init__(self, name: str, work: Callable[[OnLine], None]) -> None:
        self.error: MLJupyterError | None = None
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self._ended = False
        self._work = work
        # Not a daemon thread: a script that ends right after `attach` waits for it.
        self._thread = threading.Thread(target=self._run, name=f"attach-{name}")
        self._thread.start()

    @property
    def has_ended(self) -> bool:
        """Whether it is done, or has failed."""
        return self._ended

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
            self._work(self._write)
        except MLJupyterError as error:
            self.error = error
        except Exception as error:  # noqa: BLE001 - raised where the attachment is waited for
            self.error = ComputeTargetException(f"the cluster could not be attached: {type(error).__name__}: {error}")
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()


def attachment_of(directory: Path, name: str) -> Attachment | None:
    """Return the attachment of a target if it runs or ran in this process, else None."""
    return _attachments.get((directory, name))


def attach(
    context: TargetContext, name: str, settings: ClusterSettings, *, registry: str | None = None, force: bool = False
) -> Attachment:
    """Check a cluster, then attach it in the background; return the running attachment.

    Nothing is changed in the cluster if a check fails. A target of this name is repaired or upgraded, or gets other
    settings.

    Parameters:
        context: the workspace.
        name: the name of the compute target.
        settings: the cluster and the installation.
        registry: the host of the container registry from which nodes pull images; None if they share those of the
            Docker engine.
        force: take over an installation of another workspace or target.

    Raises:
        ComputeTargetException: a check failed, or the name or the cluster is in use.
        ClusterUnreachableError: the cluster cannot be reached.

    """
    check_name(name)
    plan = _plan(context, name, settings, registry)
    failed = [finding for finding in plan.findings() if finding.state == "failed"]
    if failed:
        lines = [f"{finding.name}: {finding.text}\n  {finding.fix}".rstrip() for finding in failed]
        raise ComputeTargetException(f"the cluster cannot be attached as {name!r}:\n" + "\n".join(lines))
    plan.check_owner(force=force)
    record = plan.record(settings.image or "")
    remember(context.directory, record)

    def work(on_line: OnLine) -> None:
        image = settings.image or control_plane_image.ensure(registry, on_line)
        remember(context.directory, replace(record, image=image))
        plan.install(image, on_line)

    found = _attachments[context.directory, name] = Attachment(name, work)
    return found


def check_cluster(
    context: TargetContext, name: str, settings: ClusterSettings, *, registry: str | None = None
) -> list[Finding]:
    """Return the findings of the checks before an attachment. Changes nothing.

    Parameters:
        context, name, settings, registry: as for `attach`.

    Raises:
        ClusterUnreachableError: there is no usable kubeconfig.

    """
    return _plan(context, name, settings, registry).findings()


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
        found = list(check(self._cluster, self._settings.namespace, self._settings.purpose, manifests))
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
            pull_secrets=(PULL_SECRET,) if self._login(image) is not None else (),
            policy="policy/v1" if minor >= _FIRST_WITH_POLICY else "policy/v1beta1",
        )
        found = installation(wanted)
        for manifest in found:
            if manifest["kind"] == "ServiceAccount" and wanted.pull_secrets:
                manifest["imagePullSecrets"] = [{"name": secret} for secret in wanted.pull_secrets]
            if manifest["kind"] == "Namespace":
                manifest["metadata"].setdefault("annotations", {})[CREATED_ANNOTATION] = "true"
            if (manifest["kind"], manifest["metadata"]["name"]) == ("Deployment", names.ROUTER):
                self._keep_size(manifest)
        return found

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
        if self._name in ("local", "docker"):
            raise ComputeTargetException(f"{self._name!r} is a compute target of every workspace: choose another name.")
        secret = self._cluster.find(f"{self._secrets}/{names.ACCESS_SECRET}")
        owner = (secret or {}).get("metadata", {}).get("annotations", {})
        found = (owner.get(WORKSPACE_ANNOTATION), owner.get(TARGET_ANNOTATION))
        if secret is not None and found != (self._context.name, self._name) and not force:
            raise ComputeTargetException(
                f"namespace {namespace!r} of this cluster belongs to compute target {found[1]!r} of workspace "
                f"{found[0]!r}.\nChoose another namespace, detach it there, or take it over with its endpoints: force "
                "(--force)."
            )

    def install(self, image: str, on_line: OnLine) -> None:
        """Apply all objects, and wait until operator and routers are ready."""
        manifests = self.manifests(image)
        first = [one for one in manifests if one["kind"] in ("CustomResourceDefinition", "Namespace")]
        rest = [one for one in manifests if one not in first]
        for manifest in first:
            self._apply(manifest, on_line)
        self._wait_for_kind()
        self._apply(self._access_secret(), on_line)
        if (login := self._login(image)) is not None:
            self._apply(_pull_secret(self._settings.namespace, login), on_line)
        for manifest in rest:
            self._apply(manifest, on_line)
        self._wait_until_ready(on_line)

    def _apply(self, manifest: Mapping[str, Any], on_line: OnLine) -> None:
        self._cluster.apply(names.object_path(manifest), manifest)
        on_line(f"applied {manifest['kind']} {manifest['metadata']['name']}")

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

    def _wait_for_kind(self) -> None:
        """Wait until the API server serves the custom resources."""
        deadline = time.monotonic() + _ESTABLISHED_WITHIN_SECONDS
        while True:
            try:
                self._cluster.get(names.mlendpoints(self._settings.namespace))
                return
            except ClusterError as error:
                if time.monotonic() > deadline:
                    raise ComputeTargetException(
                        f"the cluster does not serve {names.PLURAL}.{names.GROUP}: {error.message}"
                    ) from None
            time.sleep(_PAUSE_SECONDS)

    def _wait_until_ready(self, on_line: OnLine) -> None:
        deadline = time.monotonic() + READY_WITHIN_SECONDS
        said = ""
        while True:
            state = installation_state(self._cluster, self._settings.namespace)
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
            time.sleep(_PAUSE_SECONDS)

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
            found = self._cluster.find(f"/api/v1/namespaces/{self._settings.namespace}")
        except ClusterError:  # the right is missing: only the check of rights is to say so
            return False
        return found is None or CREATED_ANNOTATION in (found["metadata"].get("annotations") or {})


def _pull_secret(namespace: str, login: RegistryCredentials) -> dict[str, Any]:
    pair = base64.b64encode(f"{login.username}:{login.password}".encode())
    document = {"auths": {login.address: {"auth": pair.decode()}}}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": PULL_SECRET,
            "namespace": namespace,
            "labels": names.labels(names.COMPONENT_OPERATOR),
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
