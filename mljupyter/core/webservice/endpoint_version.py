"""One version of an AKS endpoint, as `AksEndpoint.versions` shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mljupyter.core.rich import Rows, pairs
from mljupyter.core.webservice.aks_described import DescribedAksWebservice
from mljupyter.engine.envoy.resources import VERSION_HEADERS
from mljupyter.exceptions import as_webservice_exception
from mljupyter.spec import EndpointKind, VersionSpec, VersionStatus

if TYPE_CHECKING:
    from mljupyter.core.webservice.aks_endpoint import AksEndpoint


class VersionType:
    """The roles in a comparison: new versions, the treatments, are compared with the control version."""

    control = "Control"
    treatment = "Treatment"


class AksEndpointVersion(DescribedAksWebservice):
    """A version: what an AKS web service shows of itself, and its place among the versions of its endpoint.

    It shows what its endpoint knew when `AksEndpoint.versions` was read. Keys, scoring URI and authentication are those
    of the endpoint.
    """

    kind = EndpointKind.AKS

    def __init__(self, endpoint: AksEndpoint, name: str) -> None:
        self.workspace = endpoint.workspace
        self.name = name
        self.endpoint = endpoint
        self._record = endpoint._known
        self._deleted = False

    @property
    def is_default(self) -> bool:
        """Whether it gets the requests that no version's percentile claims."""
        return self._spec.default_version == self.name

    @property
    def traffic_percentile(self) -> int:
        """Its share of the requests, as set; the default version gets more where something is left."""
        return self._version.traffic_percentile

    @property
    def mirror_percentile(self) -> int:
        """The share of the requests that are copied to it, and whose answers are thrown away."""
        return self._version.mirror_percentile

    @property
    def weight(self) -> int:
        """The percentage of the requests that it is sent now."""
        return self._status.weight

    @property
    def version_type(self) -> str:
        """Control or Treatment."""
        return VersionType.control if self._spec.control == self.name else VersionType.treatment

    @property
    def state(self) -> str:
        """Transitioning, Healthy, Unhealthy, Unschedulable or Failed."""
        return self._status.state.value

    @property
    def error(self) -> str | None:
        """What is wrong with it, with the last lines of its log; None when nothing is."""
        return self._status.problem.text() if self._status.problem is not None else None

    @property
    def description(self) -> str | None:
        """The description."""
        return self._version.description

    @property
    def tags(self) -> dict[str, str]:
        """Tags, a copy."""
        return dict(self._version.tags)

    @property
    def properties(self) -> dict[str, str]:
        """Properties, a copy."""
        return dict(self._version.properties)

    def run(self, input_data: str | bytes) -> Any:
        """Score with this version, whatever its share; as `Webservice.run`."""
        return self.endpoint._run(input_data, {VERSION_HEADERS[0]: self.name})

    def get_logs(self, num_lines: int = 5000, init: bool = False) -> str:
        """Return the last lines of the log of its replicas; parameters as for `Webservice.get_logs`."""
        with as_webservice_exception():
            return self.workspace.endpoints.logs(self.endpoint.name, lines=num_lines, version=self.name, startup=init)

    def update(self, **changes: Any) -> None:
        """Change this version; arguments as for `AksEndpoint.update_version`."""
        self.endpoint.update_version(self.name, **changes)

    def delete(self) -> None:
        """Delete this version; see `AksEndpoint.delete_version`."""
        self.endpoint.delete_version(self.name)

    def serialize(self) -> dict[str, Any]:
        """Return all that is known as JSON types."""
        return super().serialize() | {
            "isDefault": self.is_default,
            "type": self.version_type,
            "trafficPercentile": self.traffic_percentile,
            "mirrorPercentile": self.mirror_percentile,
            "weight": self.weight,
        }

    def _summary(self) -> Rows:
        return [
            ("Name", self.name),
            ("State", self.state),
            ("Type", self.version_type),
            ("Traffic", f"{self.weight} %"),
            ("Models", ", ".join(model.id for model in self._version.models)),
            ("Tags", pairs(self.tags)),
        ]

    @property
    def _version(self) -> VersionSpec:
        return self._spec.versions[self.name]

    @property
    def _status(self) -> VersionStatus:
        return self._known.status.versions.get(self.name, VersionStatus())
