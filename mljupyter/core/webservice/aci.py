"""ACI web services: one replica, without authentication by default.

Azure: azureml.core.webservice.aci.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mljupyter.core.webservice.configuration import AciServiceDeploymentConfiguration
from mljupyter.core.webservice.types import ContainerResourceRequirements, EncryptionProperties, VnetConfiguration
from mljupyter.core.webservice.webservice import Webservice
from mljupyter.deploy.spec_builder import AZURE_PROPERTY
from mljupyter.spec import EndpointKind

if TYPE_CHECKING:
    from mljupyter.core import InferenceConfig, Model


class AciWebservice(Webservice):
    """A web service deployed with `AciWebservice.deploy_configuration`."""

    kind = EndpointKind.ACI

    @staticmethod
    def deploy_configuration(
        cpu_cores: float | None = None,
        memory_gb: float | None = None,
        tags: dict[str, str] | None = None,
        properties: dict[str, str] | None = None,
        description: str | None = None,
        location: str | None = None,
        auth_enabled: bool | None = None,
        ssl_enabled: bool | None = None,
        enable_app_insights: bool | None = None,
        ssl_cert_pem_file: str | None = None,
        ssl_key_pem_file: str | None = None,
        ssl_cname: str | None = None,
        dns_name_label: str | None = None,
        primary_key: str | None = None,
        secondary_key: str | None = None,
        collect_model_data: bool | None = None,
        cmk_vault_base_url: str | None = None,
        cmk_key_name: str | None = None,
        cmk_key_version: str | None = None,
        vnet_name: str | None = None,
        subnet_name: str | None = None,
        batching: bool | None = None,
        preload: bool | None = None,
    ) -> AciServiceDeploymentConfiguration:
        """Return a deployment configuration for `Model.deploy`.

        Parameters:
            cpu_cores, memory_gb: size, above 0; by default 0.1 cores and 0.5 GB.
            tags, properties, description: of the service.
            auth_enabled: whether requests need a key; by default not.
            primary_key, secondary_key: keys of your own; by default random ones.
            ssl_enabled, ssl_cert_pem_file, ssl_key_pem_file, ssl_cname: TLS with a certificate for this service
                alone: PEM files of chain and key, which are watched for changes, and the host name. Give all or none.
            enable_app_insights: record requests and the script's log; by default not.
            collect_model_data: let the script's `ModelDataCollector` write; by default it does not.
            batching: whether several waiting requests are answered by one ``run()``; by default the script decides.
            preload: run ``init()`` once, in a process from which all replicas are forked; by default not.
            location, dns_name_label, cmk_vault_base_url, cmk_key_name, cmk_key_version, vnet_name, subnet_name: without
                effect; they are kept in the properties of the service, and shown.

        Raises:
            WebserviceException: rules are broken; the message has all of them.

        """
        return AciServiceDeploymentConfiguration(**locals())

    @property
    def container_resource_requirements(self) -> ContainerResourceRequirements:
        """The size of a replica."""
        return ContainerResourceRequirements.of(self._version.resources)

    def update(
        self,
        image: Any = None,
        tags: dict[str, str] | None = None,
        properties: dict[str, str] | None = None,
        description: str | None = None,
        auth_enabled: bool | None = None,
        ssl_enabled: bool | None = None,
        ssl_cert_pem_file: str | None = None,
        ssl_key_pem_file: str | None = None,
        ssl_cname: str | None = None,
        enable_app_insights: bool | None = None,
        models: Sequence[Model | str] | None = None,
        inference_config: InferenceConfig | None = None,
        collect_model_data: bool | None = None,
        batching: bool | None = None,
        preload: bool | None = None,
    ) -> None:
        """Change the settings that are given, the content, or both; return at once.

        `wait_for_deployment` waits.

        Parameters:
            tags: replace all tags.
            properties: are added to the properties.
            description, auth_enabled, collect_model_data, batching, preload: as in `deploy_configuration`.
            image: the new image, or its id ``name:version``; the web service must run in containers.
            models, inference_config: the new models and scoring script; without `models` the present ones. Models
                alone are enough if there is no scoring script.
            ssl_enabled, ssl_cert_pem_file, ssl_key_pem_file, ssl_cname: as in `deploy_configuration`; False turns TLS
                off.
            enable_app_insights: record requests and the script's log.

        Raises:
            WebserviceException: nothing is given, or a rule is broken.

        """
        configuration = AciServiceDeploymentConfiguration(
            tags=tags,
            properties=properties,
            description=description,
            auth_enabled=auth_enabled,
            ssl_enabled=ssl_enabled,
            ssl_cert_pem_file=ssl_cert_pem_file,
            ssl_key_pem_file=ssl_key_pem_file,
            ssl_cname=ssl_cname,
            enable_app_insights=enable_app_insights,
            collect_model_data=collect_model_data,
            batching=batching,
            preload=preload,
        )
        self._update(configuration, image=image, models=models, inference_config=inference_config)

    def get_token(self) -> Any:
        """Raise `NotImplementedError`: ACI web services have no tokens, only keys.

        Raises:
            NotImplementedError: always.

        """
        raise NotImplementedError("ACI web services have key authentication only: service.get_keys()")

    def get_access_token(self) -> Any:
        """Raise `NotImplementedError`; see `get_token`."""
        return self.get_token()

    @property
    def ssl_enabled(self) -> bool:
        """True if it has a certificate of its own."""
        return self._spec.tls is not None

    @property
    def cname(self) -> str | None:
        """The host name of its own certificate; None without one."""
        return self._spec.tls.host if self._spec.tls is not None else None

    @property
    def location(self) -> str | None:
        """The region that was given; it has no effect. None if none was."""
        return self._of_azure("location")

    @property
    def dns_name_label(self) -> str | None:
        """The DNS label that was given; it has no effect. None if none was."""
        return self._of_azure("dns_name_label")

    @property
    def vnet_configuration(self) -> VnetConfiguration | None:
        """The virtual network that was given; it has no effect. None if none was."""
        found = [self._of_azure(name) for name in ("vnet_name", "subnet_name")]
        return VnetConfiguration(*found) if any(found) else None

    @property
    def encryption_properties(self) -> EncryptionProperties | None:
        """The customer-managed key that was given; it has no effect. None if none was."""
        found = [self._of_azure(f"cmk_{name}") for name in ("vault_base_url", "key_name", "key_version")]
        return EncryptionProperties(*found) if any(found) else None

    def serialize(self) -> dict[str, Any]:
        """Return all attributes as JSON types, without keys."""
        network, key = self.vnet_configuration, self.encryption_properties
        return super().serialize() | {
            "containerResourceRequirements": self.container_resource_requirements.serialize(),
            "location": self.location,
            "dnsNameLabel": self.dns_name_label,
            "vnetConfiguration": None if network is None else network.serialize(),
            "encryptionProperties": None if key is None else key.serialize(),
        }

    def _of_azure(self, name: str) -> str | None:
        return self._spec.properties.get(f"{AZURE_PROPERTY}{name}")
