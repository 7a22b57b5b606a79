"""The common part of `AksCompute` and `KubernetesCompute`: an attached cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mljupyter.core.compute.target import ComputeTarget
from mljupyter.core.display import Rows
from mljupyter.core.router import Router, SslConfiguration
from mljupyter.deploy.images.build_job import registry_of
from mljupyter.errors import MLJupyterError
from mljupyter.exceptions import ComputeTargetException
from mljupyter.targets.base import Finding
from mljupyter.targets.kubernetes import KubernetesTarget
from mljupyter.targets.kubernetes.attachment import (
    Attachment,
    ClusterSettings,
    attach,
    attachment_of,
    check_cluster,
    manifests_for,
)
from mljupyter.targets.kubernetes.removal import detach, forget_only

if TYPE_CHECKING:
    from mljupyter.core import Workspace

SUCCEEDED, FAILED, CREATING = "Succeeded", "Failed", "Creating"


class ClusterAttachConfiguration:
    """The settings of `ComputeTarget.attach` for a cluster. `attach_configuration` makes them.

    Parameters:
        settings: the cluster and the installation there.

    """

    def __init__(self, settings: ClusterSettings) -> None:
        self.settings = settings

    def attach(self, workspace: Workspace, name: str) -> None:
        """Check the cluster, and begin to attach it."""
        begin(workspace, name, self.settings)


def begin(workspace: Workspace, name: str, settings: ClusterSettings, *, force: bool = False) -> Attachment:
    """Begin to attach a cluster; see `mljupyter.targets.kubernetes.attachment.attach`."""
    with as_compute_target_exception():
        return attach(workspace.context, name, settings, registry=registry_of(workspace.context), force=force)


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


class ClusterCompute(ComputeTarget):
    """An attached cluster. An operator there runs endpoints as pods."""

    _target: KubernetesTarget

    @classmethod
    def _shows(cls, kind: type[ComputeTarget]) -> bool:
        return issubclass(kind, ClusterCompute)

    @property
    def cluster_purpose(self) -> str:
        """The purpose: ``FastProd`` or ``DevTest``."""
        return self._target.attached.purpose

    @property
    def namespace(self) -> str:
        """The namespace in which operator, routers and endpoints are."""
        return self._target.attached.namespace

    @property
    def router(self) -> Router:
        """The router of the cluster: its TLS, its limits, its size and the decisions of its self-scaling."""
        return Router(self.workspace, self._target.endpoints())

    @property
    def load_balancer_type(self) -> str | None:
        """``InternalLoadBalancer`` or ``PublicIp``; None if the routers have no load balancer."""
        if self._target.attached.service_type != "LoadBalancer":
            return None
        return "InternalLoadBalancer" if self._target.attached.internal else "PublicIp"

    @property
    def provisioning_state(self) -> str:
        """Creating while it is being attached, Succeeded when operator and routers are ready, else Failed."""
        if (running := self._attachment) is not None and not running.has_ended:
            return CREATING
        return SUCCEEDED if self.provisioning_errors is None else FAILED

    @property
    def provisioning_errors(self) -> str | None:
        """The reason why the cluster cannot be used now, with a way out; None when it can."""
        running = self._attachment
        if running is not None and not running.has_ended:
            return None
        if running is not None and running.error is not None:
            return running.error.message
        return self._target.availability()

    def wait_for_completion(self, show_output: bool = False, is_delete_operation: bool = False) -> None:
        """Wait until the cluster is attached and its operator and routers are ready.

        Parameters:
            show_output: print the lines of progress.
            is_delete_operation: without effect: `detach` returns when it is done.

        Raises:
            ComputeTargetException: it could not be attached, or is not ready.

        """
        running = self._attachment
        with as_compute_target_exception():
            if running is not None:
                running.wait(print if show_output else None)
            problem = self.provisioning_errors
        if problem is not None:
            raise ComputeTargetException(problem)
        if show_output:
            print(self.provisioning_state)

    def progress(self) -> Iterator[str]:
        """Yield the lines of progress of the attachment that runs in this process, each as it is written."""
        return iter(()) if self._attachment is None else self._attachment.lines()

    def detach(self, on_line: Callable[[str], None] = lambda line: None, *, forget: bool = False) -> None:
        """Delete the endpoints there and all that was installed, and remove the target from the workspace.

        Parameters:
            on_line: called with lines of progress.
            forget: only remove the target from the workspace: the cluster no longer exists, or cannot be reached.

        Raises:
            ComputeTargetException: the cluster cannot be reached, or something is left there.

        """
        directory, client = self.workspace.directory, self._target.endpoints()
        with as_compute_target_exception():
            if self._attachment is not None:
                list(self._attachment.lines())
            if forget:
                forget_only(directory, client)
            else:
                detach(directory, client, on_line)

    def delete(self) -> None:
        """Refuse: the cluster itself is deleted where it was created.

        Raises:
            ComputeTargetException: always.

        """
        raise ComputeTargetException(
            f"compute target {self.name!r} was attached: it can be detached (target.detach()), and its cluster is "
            "deleted with the tool that created it."
        )

    def update(self, update_configuration: Any) -> None:
        """Change TLS or the load balancer of the routers.

        Parameters:
            update_configuration: an `AksUpdateConfiguration`.

        Raises:
            ComputeTargetException: the configuration breaks a rule.

        """
        update_configuration.apply(self)

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

    def enable_ssl(
        self,
        ssl_cname: str | None = None,
        ssl_cert_pem_file: str | None = None,
        ssl_key_pem_file: str | None = None,
        leaf_domain_label: str | None = None,
        overwrite_existing_domain: bool = False,
    ) -> None:
        """Turn TLS on for all endpoints of the cluster, with a certificate that its operator signs and renews.

        Parameters:
            ssl_cname, ssl_cert_pem_file, ssl_key_pem_file: refused: the operator cannot read files of this machine.
            leaf_domain_label: a label for the certificate.
            overwrite_existing_domain: whether another label may replace the present one.

        Raises:
            ComputeTargetException: a certificate of your own is given, or no label.
            WebserviceException: the operator refuses.

        """
        settings = SslConfiguration(
            None, ssl_cert_pem_file, ssl_key_pem_file, ssl_cname, leaf_domain_label, overwrite_existing_domain
        )
        self.apply_ssl(settings)

    def disable_ssl(self) -> None:
        """Turn TLS off."""
        self.apply_ssl(SslConfiguration("Disabled"))

    def apply_ssl(self, settings: SslConfiguration) -> None:
        """Apply TLS settings to the routers of the cluster.

        Raises:
            ComputeTargetException: they name a certificate of your own.

        """
        if settings.cert is not None and settings.status != "Disabled":
            raise ComputeTargetException(
                f"the operator of compute target {self.name!r} cannot read {settings.cert}: give leaf_domain_label for "
                "a certificate\nthat it signs, or end TLS in front of the routers, for example in an Ingress."
            )
        settings.apply(self.router)

    def serialize(self) -> dict[str, Any]:
        """Return the target as JSON types."""
        attached = self._target.attached
        return super().serialize() | {
            "provisioningErrors": self.provisioning_errors,
            "clusterPurpose": attached.purpose,
            "context": attached.context,
            "namespace": attached.namespace,
            "serviceType": attached.service_type,
            "image": attached.image,
        }

    @property
    def _attachment(self) -> Attachment | None:
        return attachment_of(self.workspace.directory, self.name)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name}, namespace={self.namespace})"

    def _summary(self) -> Rows:
        return [*super()._summary(), ("Purpose", self.cluster_purpose), ("Namespace", self.namespace)]


@contextmanager
def as_compute_target_exception() -> Iterator[None]:
    """Raise errors of clusters, images and documents as `ComputeTargetException`, text unchanged."""
    try:
        yield
    except ComputeTargetException:
        raise
    except MLJupyterError as error:
        raise ComputeTargetException(error.message) from error
