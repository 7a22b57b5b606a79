"""Compute targets: where web services run (Azure ML v1: ComputeTarget)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mljupyter.core.rich import Rich, Rows

if TYPE_CHECKING:
    from mljupyter.core.workspace import Workspace


class ComputeTarget(Rich):
    """A place to deploy to. `ComputeTarget(workspace, name)` returns the target of that name.

    Raises:
        ComputeTargetException: `ComputeTargetNotFound` when there is none.

    """

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

    @staticmethod
    def list(workspace: Workspace) -> Sequence[ComputeTarget]:
        """Return the compute targets of a workspace."""
        return [ComputeTarget(workspace, name) for name in workspace.context.targets]

    @property
    def provisioning_state(self) -> str:
        """Succeeded when the target can be deployed to now, else Failed."""
        return "Succeeded" if self.provisioning_errors is None else "Failed"

    @property
    def provisioning_errors(self) -> str | None:
        """Why the target cannot be deployed to now, and what to do; None when it can."""
        return self._target.availability()

    def get_status(self) -> str:
        """Return the provisioning state."""
        return self.provisioning_state

    def refresh_state(self) -> None:
        """Do nothing: the state is looked up whenever it is read."""

    def wait_for_completion(self, show_output: bool = False, is_delete_operation: bool = False) -> None:
        """Return at once: targets of this machine are not provisioned.

        Parameters:
            show_output: print the state.
            is_delete_operation: as in Azure ML; this target cannot be deleted.

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
        """Serve with TLS (Azure ML v1: AksCompute.provisioning_configuration().enable_ssl).

        All targets of this machine share the workspace's router, and so its TLS.

        Parameters:
            ssl_cname, ssl_cert_pem_file, ssl_key_pem_file: a certificate of one's own: its host name and PEM files.
            leaf_domain_label: instead, a label for a certificate that the workspace signs.
            overwrite_existing_domain: whether another label may be put in place of the one there is.

        Raises:
            ComputeTargetException: when only some of the three are given, or both ways at once.
            WebserviceException: when the certificate cannot be used.

        """
        from mljupyter.core.router import Router, SslConfiguration

        SslConfiguration(
            None, ssl_cert_pem_file, ssl_key_pem_file, ssl_cname, leaf_domain_label, overwrite_existing_domain
        ).apply(Router(self.workspace))

    def disable_ssl(self) -> None:
        """Serve without TLS."""
        from mljupyter.core.router import Router

        Router(self.workspace).disable_tls()

    def serialize(self) -> dict[str, Any]:
        """Return the target as JSON types."""
        return {"name": self.name, "computeType": self.type, "provisioningState": self.provisioning_state}

    def _summary(self) -> Rows:
        return [("Name", self.name), ("Kind", self.type), ("State", self.provisioning_errors or "ready")]

    def __repr__(self) -> str:
        return f"{type(self._target).__name__}(name={self.name}, type={self.type})"
