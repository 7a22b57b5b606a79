"""The common part of `AksCompute` and `KubernetesCompute`: an attached cluster."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from mljupyter.core.compute.target import ComputeTarget
from mljupyter.core.display import Rows
from mljupyter.core.router import Router, SslConfiguration
from mljupyter.deploy.images.build_job import registry_of
from mljupyter.errors import MLJupyterError
from mljupyter.exceptions import ComputeTargetException
from mljupyter.files import write_whole
from mljupyter.kubernetes.objects.installation import ServiceType
from mljupyter.kubernetes.objects.publishing import Publishing
from mljupyter.kubernetes.operator.publication import base_uri
from mljupyter.targets.base import Finding
from mljupyter.targets.kubernetes import KubernetesTarget, creation
from mljupyter.targets.kubernetes.attached import attached_clusters, check_name
from mljupyter.targets.kubernetes.attachment import (
    Attachment,
    ClusterSettings,
    attach,
    attachment_of,
    check_cluster,
    manifests_for,
    settings_of,
    with_claim,
)
from mljupyter.targets.kubernetes.created import (
    CreatedCluster,
    CreationState,
    created_cluster,
    new_kubeconfig_file,
    remember_created,
)
from mljupyter.targets.kubernetes.providers import Provider
from mljupyter.targets.kubernetes.providers.azure import SUBSCRIPTION_VARIABLE, AzureClusters, ClusterId
from mljupyter.targets.kubernetes.removal import detach, endpoint_names, forget_only
from mljupyter.targets.mapped.target import check_not_mapped

if TYPE_CHECKING:
    from mljupyter.core import Workspace
    from mljupyter.targets.kubernetes.client import ClusterClient

SUCCEEDED, FAILED, CREATING, DELETING, DELETED = "Succeeded", "Failed", "Creating", "Deleting", "Deleted"
_LOOK_AGAIN_SECONDS = 1.0
_NO_SUBSCRIPTION = "0-"
_LOAD_BALANCERS = {"PublicIp": False, "InternalLoadBalancer": True}


class ClusterConfiguration:
    """The common part of the settings of `ComputeTarget.attach` and `ComputeTarget.create` for a cluster.

    Parameters:
        settings: the cluster and the installation there.

    """

    def __init__(self, settings: ClusterSettings) -> None:
        self.settings = settings
        self.ssl_configuration: SslConfiguration | None = None

    def validate_configuration(self) -> None:
        """Do nothing: the rules were checked when the configuration was made."""

    def enable_ssl(
        self,
        ssl_cname: str | None = None,
        ssl_cert_pem_file: str | None = None,
        ssl_key_pem_file: str | None = None,
        leaf_domain_label: str | None = None,
        overwrite_existing_domain: bool = False,
    ) -> None:
        """Turn TLS on when the cluster is attached; see `ClusterCompute.enable_ssl`.

        Parameters:
            ssl_cname, ssl_cert_pem_file, ssl_key_pem_file: host name and PEM files of a certificate of your own.
            leaf_domain_label: instead, a label for a certificate that the operator signs.
            overwrite_existing_domain: whether another label may replace the present one.

        Raises:
            ComputeTargetException: only some of the first three are given, or a label together with them.

        """
        self.ssl_configuration = SslConfiguration(
            None, ssl_cert_pem_file, ssl_key_pem_file, ssl_cname, leaf_domain_label, overwrite_existing_domain
        )

    def finish(self, workspace: Workspace, name: str) -> None:
        """Do what remains when the cluster is attached."""
        if self.ssl_configuration is not None:
            self.ssl_configuration.apply(ClusterCompute(workspace, name).router)


class ClusterAttachConfiguration(ClusterConfiguration):
    """The settings of `ComputeTarget.attach` for a cluster. `attach_configuration` makes them.

    Parameters:
        settings: the cluster and the installation there.
        place: returns the place in Azure of a cluster whose credentials Azure gives; None if there is a kubeconfig.

    """

    def __init__(self, settings: ClusterSettings, place: Callable[[Workspace], ClusterId] | None = None) -> None:
        super().__init__(settings)
        self._place = place

    def attach(self, workspace: Workspace, name: str, *, force: bool = False) -> None:
        """Check the cluster, and begin to attach it."""

        def then() -> None:
            self.finish(workspace, name)

        if self._place is None:
            begin(workspace, name, self.settings, force=force, then=then)
            return
        with _credentials_from_azure(workspace, name, self._place(workspace)) as (kubeconfig, resource_id):
            settings = replace(self.settings, kubeconfig=str(kubeconfig), resource_id=resource_id)
            begin(workspace, name, settings, force=force, then=then)


class ClusterProvisioningConfiguration(ClusterConfiguration):
    """The settings of `ComputeTarget.create` for a cluster. `provisioning_configuration` makes them.

    Parameters:
        settings: the installation in the cluster.
        provider: returns the provider for a workspace and the name of the target.

    """

    def __init__(self, settings: ClusterSettings, provider: Callable[[Workspace, str], Provider]) -> None:
        super().__init__(settings)
        self._provider = provider

    def create(self, workspace: Workspace, name: str) -> None:
        """Check that the provider can be used, and begin to create the cluster and to attach it."""
        with as_compute_target_exception():
            check_name(name)
            check_not_mapped(workspace.context, name)
            creation.create(
                workspace.context,
                name,
                self._provider(workspace, name),
                self.settings,
                registry=registry_of(workspace.context),
                then=lambda: self.finish(workspace, name),
            )


def is_internal(load_balancer_type: str | None) -> bool:
    """Return whether a type of load balancer is the internal one; None is the default, a public one.

    Raises:
        ComputeTargetException: there is no such type.

    """
    if load_balancer_type not in (None, *_LOAD_BALANCERS):
        raise ComputeTargetException(
            f"load_balancer_type is {load_balancer_type!r}: it must be one of {', '.join(_LOAD_BALANCERS)}."
        )
    return _LOAD_BALANCERS.get(load_balancer_type or "", False)


def begin(
    workspace: Workspace,
    name: str,
    settings: ClusterSettings,
    *,
    force: bool = False,
    then: Callable[[], None] = lambda: None,
) -> Attachment:
    """Begin to attach a cluster; see `mljupyter.targets.kubernetes.attachment.attach`."""
    context = workspace.context
    check_not_mapped(context, name)
    with as_compute_target_exception():
        return attach(context, name, settings, registry=registry_of(context), force=force, then=then)


def findings(workspace: Workspace, name: str, settings: ClusterSettings) -> list[Finding]:
    """Return the findings of the checks before a cluster is attached. Changes nothing."""
    with as_compute_target_exception():
        return check_cluster(workspace.context, name, settings, registry=registry_of(workspace.context))


def manifests(workspace: Workspace, name: str, settings: ClusterSettings) -> list[dict[str, Any]]:
    """Return the objects that attaching a cluster would apply, without Secrets. Changes nothing."""
    with as_compute_target_exception():
        return manifests_for(workspace.context, name, settings, registry=registry_of(workspace.context))


def manifests_text(workspace: Workspace, name: str, settings: ClusterSettings) -> str:
    """Return `manifests` as YAML."""
    import yaml  # only for a dry run

    return str(yaml.safe_dump_all(manifests(workspace, name, settings), sort_keys=False)).rstrip()


def take_back(
    workspace: Workspace, name: str, attachment: Attachment, on_line: Callable[[str], None] = lambda line: None
) -> bool:
    """Remove what a cancelled attachment has installed, if its target is new; return whether nothing is left of it.

    A target that was being repaired or upgraded stays as far as that has come: attach it again.

    Parameters:
        workspace: the workspace.
        name: the name of the target.
        attachment: the attachment, which has ended.
        on_line: called with lines of progress.

    Raises:
        ComputeTargetException: something cannot be removed.

    """
    if attachment.is_new and name in workspace.compute_targets:
        ClusterCompute(workspace, name).detach(on_line)
    return attachment.is_new


class ClusterCompute(ComputeTarget):
    """An attached cluster. An operator there runs endpoints as pods."""

    _target: KubernetesTarget

    @classmethod
    def _shows(cls, kind: type[ComputeTarget]) -> bool:
        return issubclass(kind, ClusterCompute)

    @property
    def provider(self) -> str:
        """The provider that created the cluster for the workspace, such as ``kind``; empty if none did."""
        created = self._created
        return str(created.provider.get("name", "")) if created is not None else ""

    @property
    def cluster_purpose(self) -> str:
        """The purpose: ``FastProd`` or ``DevTest``."""
        return self._target.attached.purpose

    @property
    def namespace(self) -> str:
        """The namespace in which operator, routers and endpoints are."""
        return self._target.attached.namespace

    @property
    def scoring_address(self) -> tuple[str, str]:
        """The address of the routers for clients outside, and its kind.

        The kind is LoadBalancer, NodePort, Ingress, HTTPRoute or ClusterIP.

        ClusterIP is an address inside the cluster. The SDK reaches it through a port-forward.

        Raises:
            ComputeTargetException: the cluster cannot be reached, or refuses.

        """
        with as_compute_target_exception():
            found = self._target.endpoints().router_address()
        return f"{found.host}:{found.port}", found.kind

    @property
    def scoring_base(self) -> str:
        """The beginning of scoring URIs for clients outside: scheme, host and port, and the path of an Ingress.

        Raises:
            ComputeTargetException: the cluster cannot be reached, or refuses.

        """
        with as_compute_target_exception():
            return base_uri(self._target.endpoints().router_address())

    @property
    def load_balancer_type(self) -> str | None:
        """``InternalLoadBalancer`` or ``PublicIp``; None if the routers have no load balancer."""
        if self._target.attached.service_type != "LoadBalancer":
            return None
        return "InternalLoadBalancer" if self._target.attached.internal else "PublicIp"

    @property
    def provisioning_state(self) -> str:
        """The state: ``Succeeded`` when operator and routers are ready.

        ``Creating`` while it is being created or attached, ``Deleting``, ``Deleted``, or ``Failed``.
        """
        running = self._attachment
        if running is not None and not running.has_ended:
            return DELETING if running.doing == creation.DELETED else CREATING
        if self._is_deleted:
            return DELETED
        created = self._created
        if created is not None and created.is_worked_on:
            return DELETING if created.state == CreationState.DELETING else CREATING
        return SUCCEEDED if self.provisioning_errors is None else FAILED

    @property
    def provisioning_errors(self) -> str | None:
        """The reason why the cluster cannot be used now, with a way out; None when it can."""
        running = self._attachment
        if (running is not None and not running.has_ended) or self._is_deleted:
            return None
        created = self._created
        if created is not None and created.is_worked_on:
            return None
        target = self._current()
        if target.is_attached and running is not None and running.error is not None:
            return running.error.message
        return target.availability()

    def wait_for_completion(self, show_output: bool = False, is_delete_operation: bool = False) -> None:
        """Wait until the cluster is created and attached, with operator and routers ready; or until it is deleted.

        An interrupt ends the waiting, not the work.

        Parameters:
            show_output: print the lines of progress.
            is_delete_operation: without effect: it waits for what is being done.

        Raises:
            ComputeTargetException: it could not be created, attached or deleted, or is not ready.

        """
        with as_compute_target_exception():
            try:
                self._wait(print if show_output else lambda line: None)
            except KeyboardInterrupt:
                print(
                    f"Stopped waiting. Compute target {self.name!r} is still being worked on "
                    f"({self.provisioning_state}).\nWait again: "
                    f"ComputeTarget(ws, {self.name!r}).wait_for_completion(show_output=True)"
                )
                raise
            problem = self.provisioning_errors
        if problem is not None:
            raise ComputeTargetException(problem)
        if show_output:
            print(self.provisioning_state)

    def _wait(self, on_line: Callable[[str], None]) -> None:
        """Wait for the work that this process, or another one, does on the cluster."""
        running = self._attachment
        if running is not None:
            for line in running.lines():
                on_line(line)
            if running.error is not None and self._current().is_attached:
                raise running.error
        while (created := self._created) is not None and created.is_worked_on:
            time.sleep(_LOOK_AGAIN_SECONDS)

    def refresh_state(self) -> None:
        """Read again how the cluster was created and attached. Its state is always current."""
        self._current()

    def progress(self) -> Iterator[str]:
        """Yield the lines of progress of the attachment that runs in this process, each as it is written."""
        return iter(()) if self._attachment is None else self._attachment.lines()

    def endpoint_names(self) -> list[str]:
        """Return the names of all endpoints in the cluster's namespace.

        Raises:
            ComputeTargetException: the cluster cannot be reached, or refuses.

        """
        with as_compute_target_exception():
            return endpoint_names(self._target.endpoints())

    def detach(self, on_line: Callable[[str], None] = lambda line: None, *, forget: bool = False) -> None:
        """Delete the endpoints there and all that was installed, and remove the target from the workspace.

        The cluster itself stays. One that was created for the workspace can be attached again under its name, or be
        deleted: `delete`, ``mljupyter computetarget delete NAME``.

        Parameters:
            on_line: called with lines of progress.
            forget: only remove the target from the workspace: the cluster no longer exists, or cannot be reached.

        Raises:
            ComputeTargetException: the cluster cannot be reached, or something is left there.

        """
        directory = self.workspace.directory
        with as_compute_target_exception():
            if self._attachment is not None:
                list(self._attachment.lines())
            target, created = self._current(), self._created
            if target.is_attached:
                if forget:
                    forget_only(directory, target.endpoints())
                else:
                    detach(directory, target.endpoints(), on_line)
            elif created is not None:
                if created.is_worked_on:
                    raise ComputeTargetException(f"{self.name!r} cannot be detached: {created.problem}")
                remember_created(directory, replace(created, detached=True))
        if created is not None:
            on_line(f"the {created.about} stays: mljupyter computetarget delete {self.name}")

    def delete(self, *, forget: bool = False) -> None:
        """Detach a cluster that was created for the workspace, and delete it. `wait_for_completion` waits for it.

        A creation that this process has begun is cancelled.

        Parameters:
            forget: only remove the target from the workspace: the cluster no longer exists.

        Raises:
            ComputeTargetException: the cluster was not created for the workspace, or another process works on it.

        """
        if created_cluster(self.workspace.directory, self.name) is None:
            raise ComputeTargetException(
                f"compute target {self.name!r} was attached: it can be detached (target.detach()), and its cluster is "
                "deleted with the tool that created it."
            )
        begin_deletion(self.workspace, self.name, forget=forget)

    def update(self, update_configuration: Any = None, *, collected_data_claim: str | None = None) -> None:
        """Change TLS of the routers, how clients reach them, or the claim for collected data.

        A claim is checked first; then `wait_for_completion` waits until it is in force. Versions that are deployed or
        restarted afterwards write to it.

        Parameters:
            update_configuration: an `AksUpdateConfiguration`.
            collected_data_claim: a PersistentVolumeClaim in the namespace of the installation. An empty text takes the
                present one away; what is in it stays.

        Raises:
            ComputeTargetException: the configuration breaks a rule, or a check of the cluster failed.

        """
        if update_configuration is None and collected_data_claim is None:
            raise ComputeTargetException(
                "there is nothing to change: give update_configuration or collected_data_claim."
            )
        if update_configuration is not None:
            update_configuration.apply(self)
        if collected_data_claim is not None:
            if self._attachment is not None:
                list(self._attachment.lines())  # the load balancer may be changed right now
            settings = settings_of(self._current().attached)
            claim = with_claim(settings.replicas, collected_data_claim or None)
            begin(self.workspace, self.name, replace(settings, replicas=claim))

    def change_load_balancer(self, load_balancer_type: str, subnet: str | None = None) -> None:
        """Begin to give the routers another load balancer. `wait_for_completion` waits until it is done.

        Parameters:
            load_balancer_type: ``PublicIp`` or ``InternalLoadBalancer``.
            subnet: the subnet of an internal one.

        Raises:
            ComputeTargetException: the type is unknown, or a check of the cluster failed.

        """
        changed = replace(
            settings_of(self._current().attached),
            service_type=ServiceType.LOAD_BALANCER.value,
            internal=is_internal(load_balancer_type),
            subnet=subnet,
            publishing=Publishing(),
        )
        begin(self.workspace, self.name, changed)

    def change_service(self, service_type: str, publishing: Publishing) -> None:
        """Begin to let clients reach the routers in another way. `wait_for_completion` waits until it is done.

        Parameters:
            service_type: ``ClusterIP``, ``NodePort``, ``LoadBalancer``, ``Ingress`` or ``HTTPRoute``.
            publishing: the details of the last two.

        Raises:
            ComputeTargetException: a rule is broken, or a check of the cluster failed.

        """
        attached = settings_of(self._current().attached)
        changed = replace(attached, service_type=service_type, publishing=publishing, internal=False, subnet=None)
        begin(self.workspace, self.name, changed)

    def get_credentials(self) -> dict[str, Any]:
        """Return the kubeconfig with which the cluster was attached, as ``userKubeConfig``: it has secrets.

        Raises:
            ComputeTargetException: it cannot be read.

        """
        paths = self._target.attached.kubeconfig
        if paths is None:
            raise ComputeTargetException("this pod's own cluster has no kubeconfig.")
        try:
            texts = [Path(path).read_text(encoding="utf-8") for path in paths.split(":")]
        except OSError as error:
            raise ComputeTargetException(f"the kubeconfig cannot be read: {error}") from None
        return {"userKubeConfig": "\n---\n".join(texts), "context": self._target.attached.context}

    @property
    def router(self) -> Router:
        """The routers of the cluster: TLS, limits, size, decisions of their self-scaling, and keys that sign tokens."""
        return Router(self.workspace, self._target.endpoints())

    def serialize(self) -> dict[str, Any]:
        """Return the target as JSON types."""
        attached, created = self._target.attached, self._target.created
        return super().serialize() | {
            "provisioningErrors": self.provisioning_errors,
            "clusterPurpose": attached.purpose,
            "context": attached.context,
            "namespace": attached.namespace,
            "serviceType": attached.service_type,
            "publishing": attached.publishing,
            "image": attached.image,
            "provider": self.provider or None,
            "cluster": None if created is None else created.about,
            "clusterResourceId": attached.resource_id or None,
            "replicas": attached.replicas,
            "endpointNamespaces": list(attached.endpoint_namespaces),
        }

    @property
    def _attachment(self) -> Attachment | None:
        return attachment_of(self.workspace.directory, self.name)

    @property
    def _is_deleted(self) -> bool:
        """Whether this process has deleted it."""
        running = self._attachment
        ended = running is not None and running.doing == creation.DELETED and running.has_ended
        return ended and running is not None and running.error is None

    @property
    def _created(self) -> CreatedCluster | None:
        """The record of how it was created, as it is stored now."""
        return created_cluster(self.workspace.directory, self.name)

    def _current(self) -> KubernetesTarget:
        """Return the target as it is stored now; the last one if it is no longer a target of the workspace."""
        with suppress(ComputeTargetException):
            self._target = cast("KubernetesTarget", self.workspace.context.target(self.name))
        return self._target

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name}, namespace={self.namespace})"

    def _summary(self) -> Rows:
        rows = [*super()._summary(), ("Purpose", self.cluster_purpose), ("Namespace", self.namespace)]
        return [*rows, ("Provider", self.provider)] if self.provider else rows


def begin_deletion(workspace: Workspace, name: str, *, forget: bool = False) -> Attachment:
    """Begin to delete a cluster that was created for a workspace; see `mljupyter.targets.kubernetes.creation.delete`.

    Parameters:
        workspace: the workspace.
        name: the name of the compute target, which may be detached.
        forget: only remove the records.

    """

    def client() -> ClusterClient | None:
        target = workspace.context.targets.get(name)
        return target.endpoints() if isinstance(target, KubernetesTarget) and target.is_attached else None

    with as_compute_target_exception():
        return creation.delete(workspace.context, name, client, forgotten=forget)


@contextmanager
def _credentials_from_azure(workspace: Workspace, name: str, place: ClusterId) -> Iterator[tuple[Path, str]]:
    """Yield the path of a kubeconfig that Azure gives for a cluster, and its resource ID.

    The file is removed if the cluster cannot be attached.

    Raises:
        ComputeTargetException: Azure gives none, or the name belongs to another cluster.

    """
    check_name(name)
    directory = workspace.directory
    attached = next((one for one in attached_clusters(directory) if one.name == name), None)
    created = created_cluster(directory, name)
    other = attached is not None and attached.resource_id.lower() != place.resource_id.lower()
    if (created is None and other) or (created is not None and not _is_at(created, place)):
        raise ComputeTargetException(
            f"compute target {name!r} is another cluster than the {place}: detach it first, or choose another name."
        )
    kubeconfig = new_kubeconfig_file(directory, name)
    write_whole(kubeconfig, AzureClusters(place.subscription).kubeconfig(place))
    try:
        yield kubeconfig, place.resource_id
    except BaseException:
        if attached is None and created is None:
            kubeconfig.unlink(missing_ok=True)
        raise


def _is_at(created: CreatedCluster, place: ClusterId) -> bool:
    return created.provider.get("place") == asdict(place)


def subscription_of(workspace: Workspace) -> str:
    """Return the ID of the subscription in Azure: that of ``AZURE_SUBSCRIPTION_ID``, else that of the workspace.

    Raises:
        ComputeTargetException: there is none.

    """
    given = os.environ.get(SUBSCRIPTION_VARIABLE) or workspace.subscription_id
    if not given.strip(_NO_SUBSCRIPTION):
        raise ComputeTargetException(
            f"the subscription in Azure is not known: set {SUBSCRIPTION_VARIABLE}, or create the workspace with "
            "subscription_id=...; `az account show` prints it."
        )
    return given


@contextmanager
def as_compute_target_exception() -> Iterator[None]:
    """Raise errors of clusters, images and documents as `ComputeTargetException`, text unchanged."""
    try:
        yield
    except ComputeTargetException:
        raise
    except MLJupyterError as error:
        raise ComputeTargetException(error.message) from error
