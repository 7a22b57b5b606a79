"""ComputeTarget: a place that runs web services, such as this machine, a Docker engine or a cluster.

Azure: azureml.core.compute.ComputeTarget.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

from mljupyter.core.display import HtmlRepr, Rows
from mljupyter.core.router import Router, SslConfiguration
from mljupyter.exceptions import ComputeTargetException

if TYPE_CHECKING:
    from mljupyter.core import Workspace


class AttachConfiguration(Protocol):
    """The settings of `ComputeTarget.attach`, made by `attach_configuration` of a kind of compute target."""

    def attach(self, workspace: Workspace, name: str) -> None:
        """Begin to attach a compute target under a name."""
        ...


class ProvisioningConfiguration(Protocol):
    """The settings of `ComputeTarget.create`, made by `provisioning_configuration` of a kind of compute target."""

    def create(self, workspace: Workspace, name: str) -> None:
        """Begin to create a compute target under a name."""
        ...


class ComputeTargetUpdateConfiguration:
    """Base class of changes of a compute target, for its `update`.

    Parameters:
        type: the type of the compute target, such as ``AKS``.

    """

    def __init__(self, type: str) -> None:  # noqa: A002 - the name of the original
        self.type = type

    def validate_configuration(self) -> None:
        """Do nothing: the rules were checked when the configuration was made."""


class ComputeTarget(HtmlRepr):
    """A place that runs web services, such as this machine, a Docker engine or an attached cluster.

    An object for an attached cluster is of the class of its kind: `AksCompute` or `KubernetesCompute`.

    Parameters:
        workspace: the workspace.
        name: the name of the target.

    Raises:
        ComputeTargetException: `ComputeTargetNotFound`: there is no target of this name.

    """

    _kinds: ClassVar[dict[str, type[ComputeTarget]]] = {}

    def __init_subclass__(cls, *, kind: str | None = None, **others: Any) -> None:
        """Register a class for the targets of a type.

        Parameters:
            kind: the type, such as ``AKS``.

        """
        super().__init_subclass__(**others)
        if kind is not None:
            ComputeTarget._kinds[kind] = cls

    def __new__(cls, workspace: Workspace, name: str) -> Self:
        """Return an object of the class for the target's type."""
        found = workspace.context.target(name)
        kind = ComputeTarget._kinds.get(found.type, ComputeTarget)
        if cls is not ComputeTarget and not cls._shows(kind):
            raise ComputeTargetException(
                f"ComputeTargetNotFound: compute target {name!r} is of type {found.type!r}: it is no {cls.__name__}. "
                f"Use ComputeTarget(ws, {name!r})."
            )
        return object.__new__(kind if issubclass(kind, cls) else cls)

    @classmethod
    def _shows(cls, kind: type[ComputeTarget]) -> bool:
        """Return whether objects of this class can show targets whose own class is `kind`."""
        return issubclass(kind, cls)

    def __init__(self, workspace: Workspace, name: str) -> None:
        self._target = workspace.context.target(name)
        self.workspace = workspace
        self.name = name

    @property
    def type(self) -> str:
        """The type of the target, such as ``Docker``."""
        return self._target.type

    @property
    def about(self) -> str:
        """One sentence for people who choose a target."""
        return self._target.about

    @property
    def stands_for(self) -> str:
        """The name of the target that runs what is deployed here, if this is only another name for it; else empty."""
        return self._target.stands_for

    @property
    def provider(self) -> str:
        """The provider that created it for the workspace, such as ``kind``; empty for all others."""
        return ""

    @property
    def router(self) -> Router:
        """The router that requests to endpoints here pass. All targets of this machine share that of the workspace."""
        return Router(self.workspace)

    @staticmethod
    def list(workspace: Workspace) -> Sequence[ComputeTarget]:
        """Return the compute targets of a workspace."""
        return [ComputeTarget(workspace, name) for name in workspace.context.targets]

    @staticmethod
    def attach(workspace: Workspace, name: str, attach_configuration: AttachConfiguration) -> ComputeTarget:
        """Attach a compute target and return it. `wait_for_completion` waits until it is ready.

        Checks are made at once; nothing is changed if one of them fails. The rest runs in the background.

        Parameters:
            workspace: the workspace.
            name: 2 to 16 letters, digits and '-'.
            attach_configuration: the result of `KubernetesCompute.attach_configuration`, or of `AksCompute`.

        Raises:
            ComputeTargetException: a check failed, or the name or the cluster is in use.

        """
        if not callable(getattr(attach_configuration, "attach", None)):
            raise ComputeTargetException(
                f"attach_configuration is of type {type(attach_configuration).__name__}: it must be the result of "
                "KubernetesCompute.attach_configuration or AksCompute.attach_configuration."
            )
        attach_configuration.attach(workspace, name)
        return ComputeTarget(workspace, name)

    @staticmethod
    def create(workspace: Workspace, name: str, provisioning_configuration: ProvisioningConfiguration) -> ComputeTarget:
        """Create a cluster, attach it, and return it. `wait_for_completion` waits until it is ready.

        It is checked at once whether the provider can be used here and the name is free. The rest runs in the
        background: minutes on this machine, up to half an hour in Azure.

        Parameters:
            workspace: the workspace.
            name: 2 to 16 letters, digits and '-', of no other compute target.
            provisioning_configuration: the result of `KubernetesCompute.provisioning_configuration`, or of
                `AksCompute`.

        Raises:
            ComputeTargetException: the provider cannot be used here, or the name is in use.

        Example:
            >>> configuration = KubernetesCompute.provisioning_configuration("kind")            # doctest: +SKIP
            >>> target = ComputeTarget.create(ws, "trial", configuration)                       # doctest: +SKIP
            >>> target.wait_for_completion(show_output=True)                                    # doctest: +SKIP

        """
        if not callable(getattr(provisioning_configuration, "create", None)):
            raise ComputeTargetException(
                f"provisioning_configuration is of type {type(provisioning_configuration).__name__}: it must be the "
                "result of KubernetesCompute.provisioning_configuration or AksCompute.provisioning_configuration."
            )
        provisioning_configuration.create(workspace, name)
        return ComputeTarget(workspace, name)

    @property
    def provisioning_state(self) -> str:
        """Succeeded when the target is available now, else Failed."""
        return "Succeeded" if self.provisioning_errors is None else "Failed"

    @property
    def provisioning_errors(self) -> str | None:
        """The reason why the target is not available now, with a way out; None when it is."""
        return self._target.availability()

    def detach(self) -> None:
        """Refuse: this machine and its Docker engine are targets of every workspace.

        Raises:
            ComputeTargetException: always; attached clusters can be detached.

        """
        raise ComputeTargetException(f"{self.name!r} is a compute target of every workspace: it cannot be detached.")

    def delete(self) -> None:
        """Refuse, as `detach` does.

        Raises:
            ComputeTargetException: always.

        """
        raise ComputeTargetException(f"{self.name!r} is a compute target of every workspace: it cannot be deleted.")

    def get_status(self) -> str:
        """Return the provisioning state."""
        return self.provisioning_state

    def refresh_state(self) -> None:
        """Do nothing: the state is always current."""

    def wait_for_completion(self, show_output: bool = False, is_delete_operation: bool = False) -> None:
        """Return at once: there is nothing to wait for.

        Parameters:
            show_output: print the state.
            is_delete_operation: without effect.

        Azure: waits until the target is provisioned or deleted.

        """
        if show_output:
            print(self.provisioning_state)

    def enable_ssl(
        self,
        ssl_cname: str | None = None,
        ssl_cert_pem_file: str | None = None,
        ssl_key_pem_file: str | None = None,
        leaf_domain_label: str | None = None,
        overwrite_existing_domain: bool = False,
    ) -> None:
        """Turn TLS on for all endpoints behind the target's `router`. All targets of this machine share one.

        Call it again to replace a certificate of your own: requests that are under way are answered.

        Parameters:
            ssl_cname, ssl_cert_pem_file, ssl_key_pem_file: host name and PEM files of a certificate of your own. A
                cluster stores it in a Secret.
            leaf_domain_label: instead, a label for a certificate that the workspace, or the cluster's operator, signs.
            overwrite_existing_domain: whether another label may replace the present one.

        Raises:
            ComputeTargetException: only some of the first three are given, or a label together with them.
            WebserviceException: the certificate cannot be used.

        Azure: AksCompute.provisioning_configuration().enable_ssl.

        """
        SslConfiguration(
            None, ssl_cert_pem_file, ssl_key_pem_file, ssl_cname, leaf_domain_label, overwrite_existing_domain
        ).apply(self.router)

    def disable_ssl(self) -> None:
        """Turn TLS off."""
        self.router.disable_tls()

    @staticmethod
    def deserialize(workspace: Workspace, object_dict: Mapping[str, Any]) -> ComputeTarget:
        """Return the compute target that the result of `serialize` is about.

        Parameters:
            workspace: the workspace.
            object_dict: the result of `serialize`; its ``name`` counts.

        Raises:
            ComputeTargetException: it has no name; `ComputeTargetNotFound`: there is no such target any more.

        """
        if not isinstance(object_dict, Mapping) or not isinstance(object_dict.get("name"), str):
            raise ComputeTargetException("object_dict has no 'name': it must be the result of serialize().")
        return ComputeTarget(workspace, object_dict["name"])

    def serialize(self) -> dict[str, Any]:
        """Return the target as JSON types."""
        return {"name": self.name, "computeType": self.type, "provisioningState": self.provisioning_state}

    def _summary(self) -> Rows:
        return [("Name", self.name), ("Kind", self.type), ("State", self.provisioning_errors or "ready")]

    def __repr__(self) -> str:
        return f"{type(self._target).__name__}(name={self.name}, type={self.type})"
