"""A router in memory: it has in force what it was given last, and tells the demand that a test gives it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from mljupyter.client.errors import ControllerError
from mljupyter.engine.envoy.routing import EndpointRoute, VersionRoute, cluster_name
from mljupyter.engine.scaling.demand import Reading
from mljupyter.spec import CertificateStatus, EndpointSpec, Problem


class FakeRouter:
    """The part of `mljupyter.controller.router.router.Router` that decisions about endpoints use.

    Attributes:
        applied: the routes of each change, the newest last.
        working: addresses of the replicas that have requests.
        present: how many requests run or wait, by endpoint and version.
        finished: how many have been answered so far, by endpoint and version.
        demand_failure: the error of each question for the demand; None while it is answered.
        up: whether it answers; while it does not, a change of routes fails.
        address: where it is reached.
        problem: why it passes nothing on.

    """

    def __init__(self) -> None:
        self.applied: list[tuple[EndpointRoute, ...]] = []
        self.working: set[str] = set()
        self.present: dict[tuple[str, str], int] = {}
        self.finished: dict[tuple[str, str], int] = {}
        self.demand_failure: ControllerError | None = None
        self.up = True
        self.address = "http://localhost:8600"
        self.problem: Problem | None = None
        self.demand_times: list[float] = []

    def route(self, endpoint: str) -> EndpointRoute | None:
        """Return the route of an endpoint that is in force."""
        return next((route for route in self.applied[-1] if route.name == endpoint), None) if self.applied else None

    def version(self, endpoint: str, version: str | None = None) -> VersionRoute:
        """Return the route of a version that is in force; by default of the one that has the endpoint's name."""
        route = self.route(endpoint)
        assert route is not None, f"{endpoint} has no route"
        return next(item for item in route.versions if item.name == (version or endpoint))

    async def apply(self, endpoints: Iterable[EndpointRoute]) -> None:
        """Put routes in force."""
        if not self.up:
            raise ControllerError("the router does not answer.")
        self.applied.append(tuple(endpoints))

    async def busy(self) -> frozenset[str]:
        """Return the addresses of the replicas that have requests."""
        return frozenset(self.working)

    async def demand(self, most_again: Mapping[str, int]) -> dict[str, Reading]:
        """Return what has been counted."""
        self.demand_times.append(time.monotonic())
        if self.demand_failure is not None:
            raise self.demand_failure
        keys = {(route.name, version.name) for route in self.applied[-1] for version in route.versions}
        return {cluster_name(*key): self._reading(key) for key in keys}

    def _reading(self, key: tuple[str, str]) -> Reading:
        count = self.finished.get(key, 0)
        return Reading(time.monotonic(), self.present.get(key, 0), finished=((0.01, count),), seconds=count * 0.01)

    def base(self, endpoint: EndpointSpec) -> str:
        """Return the URI of an endpoint."""
        return f"{self.address}/api/v1/service/{endpoint.name}"

    def problem_of(self, endpoint: EndpointSpec) -> Problem | None:
        """Return the problem of all endpoints."""
        return self.problem

    def certificate(self, endpoint: EndpointSpec) -> tuple[CertificateStatus | None, Problem | None]:
        """Return no certificate."""
        return None, None
