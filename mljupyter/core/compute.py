"""Compute targets: the places that run web services.

Azure: azureml.core.compute.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mljupyter.core.display import HtmlRepr, Rows
from mljupyter.core.router import Router, SslConfiguration

if TYPE_CHECKING:
    from mljupyter.core import Workspace


class ComputeTarget(HtmlRepr):
    """A place that runs web services, such as this machine or a Docker engine.

    Parameters:
        workspace: the workspace.
        name: the name of the target.

    Raises:
        ComputeTargetException: `ComputeTargetNotFound`: there is no target of this name.

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
        """Succeeded when the target is available now, else Failed."""
        return "Succeeded" if self.provisioning_errors is None else "Failed"

    @property
    def provisioning_errors(self) -> str | None:
        """The reason why the target is not available now, with a way out; None when it is."""
        return self._target.availability()

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
        """Turn TLS on, for all targets of this machine: they share the workspace's router.

        Parameters:
            ssl_cname, ssl_cert_pem_file, ssl_key_pem_file: host name and PEM files of a certificate of your own.
            leaf_domain_label: instead, a label for a certificate that the workspace signs.
            overwrite_existing_domain: whether another label may replace the present one.

        Raises:
            ComputeTargetException: only some of the first three are given, or a label together with them.
            WebserviceException: the certificate cannot be used.

        Azure: AksCompute.provisioning_configuration().enable_ssl.

        """
        SslConfiguration(
            None, ssl_cert_pem_file, ssl_key_pem_file, ssl_cname, leaf_domain_label, overwrite_existing_domain
        ).apply(Router(self.workspace))

    def disable_ssl(self) -> None:
        """Turn TLS off."""
        Router(self.workspace).disable_tls()

    def serialize(self) -> dict[str, Any]:
        """Return the target as JSON types."""
        return {"name": self.name, "computeType": self.type, "provisioningState": self.provisioning_state}

    def _summary(self) -> Rows:
        return [("Name", self.name), ("Kind", self.type), ("State", self.provisioning_errors or "ready")]

    def __repr__(self) -> str:
        return f"{type(self._target).__name__}(name={self.name}, type={self.type})"
