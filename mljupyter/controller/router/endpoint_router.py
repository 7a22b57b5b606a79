"""EndpointRouter: the interface between a control plane and what routes requests: one Envoy, or all of a cluster."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from mljupyter.controller.router.request_statistics import RequestStatistics
from mljupyter.engine.envoy.routing import EndpointRoute
from mljupyter.engine.scaling.demand import Reading
from mljupyter.spec import CertificateStatus, EndpointSpec, Problem, RouterSize
from mljupyter.telemetry.metrics.router_statistics import RouterStatistics


class EndpointRouter(RequestStatistics, Protocol):
    """Sends requests to replicas, counts them, and says which replicas have some."""

    @property
    def adopted(self) -> bool:
        """Whether it ran before this control plane started."""
        ...

    @property
    def problem(self) -> Problem | None:
        """The problem while it does not answer."""
        ...

    @property
    def port(self) -> int:
        """The port of all endpoints except local web services."""
        ...

    @property
    def pid(self) -> int | None:
        """Its process id; None when it does not run, or not on this machine."""
        ...

    @property
    def identity(self) -> str:
        """Text that changes when its counters start at zero again."""
        ...

    @property
    def up(self) -> bool:
        """Whether it runs and answers."""
        ...

    @property
    def size(self) -> RouterSize | None:
        """The number and the size of its pods; None where it is one process."""
        ...

    def base(self, endpoint: EndpointSpec) -> str:
        """Return the base URI of ``/score`` and ``/swagger.json`` of an endpoint."""
        ...

    def problem_of(self, endpoint: EndpointSpec) -> Problem | None:
        """Return the reason why requests of an endpoint cannot pass, None when they can."""
        ...

    def certificate(self, endpoint: EndpointSpec) -> tuple[CertificateStatus | None, Problem | None]:
        """Return the certificate of an endpoint, and the problem with it."""
        ...

    async def apply(self, endpoints: Iterable[EndpointRoute]) -> None:
        """Serve these endpoints. Return when that is in force.

        Raises:
            ControllerError: when that is impossible now. The old routes stay in force.

        """
        ...

    async def demand(self, most_again: Mapping[str, int]) -> dict[str, Reading]:
        """Return the counters of every version, by cluster: the same object while nothing changes.

        See `DemandReader.read`.
        """
        ...

    async def busy(self) -> frozenset[str]:
        """Return the addresses of the replicas with requests."""
        ...

    async def statistics(self) -> RouterStatistics:
        """Return the counts of every version, or raise `ControllerError` when it does not answer."""
        ...

    @property
    def readable(self) -> bool:
        """Whether `statistics` can be read."""
        ...

    async def replaced(self) -> Mapping[str, RouterStatistics]:
        """Return the counts of routers that another one has replaced, by the identity of their counters."""
        ...

    def forget_replaced(self, replaced: Mapping[str, RouterStatistics]) -> None:
        """Forget those of them that have ended: their counts are stored."""
        ...

    async def replace(self) -> None:
        """Replace it without losing a request. Return when the new one has taken over."""
        ...
