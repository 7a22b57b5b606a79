"""The listener settings that a router needs: on one machine of the listener manager, in a cluster as published."""

from __future__ import annotations

from typing import Protocol

from mljupyter.engine.envoy.listener import Listening
from mljupyter.spec import CertificateStatus, EndpointSpec, Problem, RouterSpec


class ListenerSettings(Protocol):
    """Has the router's listener settings, and the states of certificates."""

    @property
    def spec(self) -> RouterSpec:
        """The desired listen settings of the router."""
        ...

    def listening(self) -> Listening:
        """Return the current listener settings of the router."""
        ...

    def refusal(self, endpoint: EndpointSpec) -> Problem | None:
        """Return the reason why all requests of an endpoint are refused, None when they are not."""
        ...

    def status(self, endpoint: EndpointSpec | None) -> CertificateStatus | None:
        """Return the certificate of an endpoint, or that of the router."""
        ...

    def problem(self, endpoint: EndpointSpec | None) -> Problem | None:
        """Return the problem of an endpoint's certificate, or of that of the router."""
        ...
