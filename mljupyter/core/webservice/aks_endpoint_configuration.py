"""Deployment configuration of AKS endpoints: that of an AKS web service, for the first of several versions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mljupyter.core.webservice.aks_configuration import AksServiceDeploymentConfiguration
from mljupyter.deploy.configuration_rules import percentile_rule, raise_all
from mljupyter.spec import EndpointKind, SpecError
from mljupyter.spec.names import VERSION


class AksEndpointDeploymentConfiguration(AksServiceDeploymentConfiguration):
    """Configuration of an AKS endpoint and its first version.

    Parameters:
        version_name: the version's name; by default that of the endpoint.
        traffic_percentile: its share of the requests, 0 to 100.
        others: those of an AKS web service, by name.

    """

    kind = EndpointKind.AKS_ENDPOINT

    def __init__(self, version_name: str | None = None, traffic_percentile: int | None = None, **others: Any) -> None:
        self.version_name = version_name
        self.traffic_percentile = traffic_percentile
        super().__init__(**others)
        self.type = "AKSENDPOINT"

    def validate_endpoint_configuration(self) -> None:
        """Check the version's name and its share.

        Raises:
            WebserviceException: with all messages.

        """
        raise_all(self._broken_endpoint_rules())

    def _broken_rules(self) -> Iterable[str]:
        yield from super()._broken_rules()
        yield from self._broken_endpoint_rules()

    def _broken_endpoint_rules(self) -> Iterable[str]:
        if self.version_name is not None:
            try:
                VERSION.check(self.version_name)
            except SpecError as error:
                yield error.message
        if self.traffic_percentile is not None:
            yield from percentile_rule("traffic_percentile", self.traffic_percentile)
