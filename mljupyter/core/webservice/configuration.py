"""Deployment configurations of local and ACI web services, and the rules that all kinds share.

A configuration holds None for what was not given (Azure ML v1: defaults are the server's): `translate` applies them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from mljupyter.deploy.configuration_rules import (
    above_zero,
    all_or_none,
    flags,
    own_keys,
    port_rule,
    raise_all,
    texts,
    tls_files,
)
from mljupyter.spec import EndpointKind

_NEVER_SHOWN = ("primary_key", "secondary_key", "port")


class WebserviceDeploymentConfiguration(ABC):
    """Base of the deployment configurations.

    Parameters:
        type: the kind of web service: LOCAL, ACI, AKS or AKSENDPOINT.
        description, tags, properties: what is said of the service; tags and properties map text to text.
        primary_key, secondary_key: own keys in place of generated ones.
        location: accepted for code written for the cloud; a machine is where it is.

    """

    kind: ClassVar[EndpointKind]

    def __init__(
        self,
        type: str,  # noqa: A002 - the name of the original
        description: str | None = None,
        tags: dict[str, str] | None = None,
        properties: dict[str, str] | None = None,
        primary_key: str | None = None,
        secondary_key: str | None = None,
        location: str | None = None,
    ) -> None:
        self.type = type
        self.description = description
        self.tags = tags
        self.properties = properties
        self.primary_key = primary_key
        self.secondary_key = secondary_key
        self.location = location

    @abstractmethod
    def validate_configuration(self) -> None:
        """Check every rule; raise one `WebserviceException` with all messages when any is broken."""

    def print_deploy_configuration(self) -> None:
        """Print what was given, keys left out."""
        print(repr(self))

    def given(self) -> dict[str, Any]:
        """Return the arguments that were given, by name."""
        return {key: value for key, value in vars(self).items() if key != "type" and value is not None}

    def __repr__(self) -> str:
        shown = [f"{key}={value!r}" for key, value in self.given().items() if key not in _NEVER_SHOWN]
        return f"{type(self).__name__}({', '.join(shown)})"


class LocalWebserviceDeploymentConfiguration(WebserviceDeploymentConfiguration):
    """Configuration of a local web service: the port it listens on, 1 to 65535; None picks a free one."""

    kind = EndpointKind.LOCAL

    def __init__(self, port: int | None = None, batching: bool | None = None, preload: bool | None = None) -> None:
        super().__init__("LOCAL")
        self.port = port
        self.batching = batching
        self.preload = preload
        self.validate_configuration()

    def validate_configuration(self) -> None:
        """Check the port and the flags.

        Raises:
            WebserviceException: with all messages.

        """
        raise_all([*port_rule(self.port), *flags(self.given(), ("batching", "preload"))])


class AciServiceDeploymentConfiguration(WebserviceDeploymentConfiguration):
    """Configuration of an ACI web service: one replica; key authentication off unless asked for."""

    kind = EndpointKind.ACI

    def __init__(
        self,
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
    ) -> None:
        super().__init__("ACI", description, tags, properties, primary_key, secondary_key, location)
        self.cpu_cores = cpu_cores
        self.memory_gb = memory_gb
        self.auth_enabled = auth_enabled
        self.ssl_enabled = ssl_enabled
        self.enable_app_insights = enable_app_insights
        self.ssl_cert_pem_file = ssl_cert_pem_file
        self.ssl_key_pem_file = ssl_key_pem_file
        self.ssl_cname = ssl_cname
        self.dns_name_label = dns_name_label
        self.collect_model_data = collect_model_data
        self.cmk_vault_base_url = cmk_vault_base_url
        self.cmk_key_name = cmk_key_name
        self.cmk_key_version = cmk_key_version
        self.vnet_name = vnet_name
        self.subnet_name = subnet_name
        self.batching = batching
        self.preload = preload
        self.validate_configuration()

    def validate_configuration(self) -> None:
        """Check every rule of ACI web services (Azure ML v1: AciWebservice).

        Raises:
            WebserviceException: with all messages.

        """
        given = self.given()
        raise_all(
            [
                *above_zero(given, ("cpu_cores", "memory_gb")),
                *flags(given, ("auth_enabled", "ssl_enabled", "enable_app_insights", "collect_model_data")),
                *flags(given, ("batching", "preload")),
                *texts(given),
                *own_keys(given, key_authentication=bool(self.auth_enabled)),
                *tls_files(given),
                *all_or_none(given, ("cmk_vault_base_url", "cmk_key_name", "cmk_key_version")),
                *all_or_none(given, ("vnet_name", "subnet_name")),
            ]
        )
