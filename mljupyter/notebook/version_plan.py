"""``%deploy --version``: add or change a version of an endpoint. The first version creates the endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mljupyter.core.webservice import AksEndpoint
from mljupyter.deploy.plan import DeploymentPlan
from mljupyter.deploy.redeployment import AUTHENTICATION, with_defaults
from mljupyter.deploy.spec_builder import merged, new_version
from mljupyter.deploy.versions import with_changed_version, with_new_version
from mljupyter.exceptions import as_webservice_exception
from mljupyter.notebook.options.option_values import WrongInputError
from mljupyter.notebook.plan import Deployment, Plan
from mljupyter.spec import EndpointRecord


@dataclass(frozen=True)
class VersionDeployment(Deployment):
    """A deployment of one version of an `AksEndpoint`. Settings without an option keep their values."""

    version: str

    def configuration(self) -> Any:
        """Return the deployment configuration of the SDK."""
        configuration = AksEndpoint.deploy_configuration(**self.settings)
        configuration.version_name = self.version  # by our own rule, also if the notebook imports azureml
        return configuration

    def plan(self) -> Plan:
        """Return the changes of the deployment; see `Deployment.plan`."""
        present = self.present()
        if present is None:
            return super().plan()
        self._check(present)
        configuration, context = self.configuration(), self.workspace.context
        change = with_changed_version if self.version in present.spec.versions else with_new_version
        with as_webservice_exception(), context.artifacts.hold():
            target, version = context.target(present.spec.compute_target), present.spec.versions.get(self.version)
            prepared = self.prepared(configuration.kind, target, version)
            content, spec = prepared.expected(context), present.spec
            if version is not None and self.said.reset:
                default = with_defaults(version, new_version(configuration, content), self.said.reset)
                spec = merged(spec, versions={**spec.versions, self.version: default})
            wanted = self.noted(change(spec, configuration, content, name=self.version), self.version)
        plan = DeploymentPlan(wanted, present, {self.version: prepared}, is_change=True)
        return Plan(plan, self.files(wanted.versions[self.version]), self.history)

    @property
    def deployed_version(self) -> str:
        """The version that is deployed."""
        return self.version

    def steps(self) -> list[str]:
        """Return the lines of Python that make this deployment."""
        present = self.present()
        settings = "".join(f", {name}={value!r}" for name, value in self.settings.items())
        if present is None:
            first = Deployment(
                self.workspace,
                self.name,
                self.models,
                self.preparation,
                self.kind,
                {"version_name": self.version, **self.settings},
                self.target,
            )
            return first.steps()
        self._check(present)
        method = "update_version" if self.version in present.spec.versions else "create_version"
        return [
            f"service = AksEndpoint(ws, {self.name!r})",
            f"service.{method}(",
            f"    {self.version!r}, models={self.models_code()}, inference_config=inference_config{settings},",
            ")",
        ]

    def _check(self, present: EndpointRecord) -> None:
        """Refuse options that an existing endpoint does not allow for one version."""
        spec = present.spec
        if spec.kind != "AKSENDPOINT":
            raise WrongInputError(
                f"{self.name!r} is of kind {str(spec.kind).lower()}, which has one version: deploy to another name "
                "with --version, or %undeploy it first."
            )
        if spec.compute_target != self.target:
            raise WrongInputError(
                f"{self.name!r} runs on {spec.compute_target!r}, and so do all its versions: --to {spec.compute_target}"
            )
        if AUTHENTICATION in self.settings:
            raise WrongInputError(
                f"--auth holds for all versions of {self.name!r}, which exists: change it with "
                f"ws.webservices[{self.name!r}].update(auth_enabled=...)."
            )
        if self.said.remove_tls:
            raise WrongInputError(
                f"--remove-tls holds for all versions of {self.name!r}: write tls: null into its whole specification."
            )


def check_version_options(values: Mapping[str, Any]) -> None:
    """Refuse options that exclude each other.

    Raises:
        WrongInputError: --traffic is given without --version, or --version with another kind than aks.

    """
    if values["version"] is None and values["traffic"] is not None:
        raise WrongInputError("--traffic is the share of a version: name it with --version.")
    if values["version"] is not None and values["kind"] != "aks":
        raise WrongInputError(f"--version is not available with --kind {values['kind']}: only with aks.")
