"""Place: the namespace that replicas run in, and the names and labels of their objects there.

Replicas run in the namespace of the installation, unless their version names another one. Several installations may use
one namespace for replicas. So all objects there carry the installation's namespace in a label and in their names.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mljupyter.kubernetes.objects import names


@dataclass(frozen=True)
class Place:
    """A namespace for replicas.

    Parameters:
        namespace: the namespace of the replicas.
        home: the namespace of the installation.

    """

    namespace: str
    home: str

    @property
    def is_home(self) -> bool:
        """Whether it is the namespace of the installation."""
        return self.namespace == self.home

    @property
    def labels(self) -> dict[str, str]:
        """The labels that objects have here in addition."""
        return {} if self.is_home else {names.INSTALLATION_LABEL: self.home}

    @property
    def selector(self) -> str:
        """The label selector of the replicas' objects of this installation."""
        own = names.selector(component=names.COMPONENT_REPLICA)
        return ",".join([own, *(f"{label}={value}" for label, value in self.labels.items())])

    @property
    def service_account(self) -> str:
        """The name of the replicas' ServiceAccount."""
        return names.REPLICA if self.is_home else self.name_of(names.COMPONENT_REPLICA)

    @property
    def registry_secret(self) -> str:
        """The name of the Secret with the login of the container registry."""
        return names.REGISTRY_SECRET if self.is_home else self.name_of("registry")

    def name_of(self, part: str) -> str:
        """Return the name of an object of the installation in a namespace for endpoints.

        Example:
            >>> Place("team", home="mljupyter").name_of("replica")
            'mljupyter-mljupyter-replica'

        """
        return f"mljupyter-{self.home}-{part}"

    def deployment_name(self, endpoint: str, version: str, revision: str) -> str:
        """Return the name of the Deployment of a revision, and of its Secret; see `names.deployment_name`."""
        return names.deployment_name(endpoint, version, revision, *([] if self.is_home else [self.home]))

    def has_pod(self, pod: str, deployment: str) -> bool:
        """Return whether a pod here may be one of a Deployment here.

        Kubernetes names pods after their Deployment, and names of Deployments differ between namespaces. So a pod that
        somebody has made with our labels cannot have the name of a replica in another namespace.
        """
        return self.is_home or pod.startswith(f"{deployment}-")


def places(home: str, others: Iterable[str] = ()) -> tuple[Place, ...]:
    """Return the place of an installation, then those for its endpoints in other namespaces."""
    return tuple(Place(namespace, home) for namespace in dict.fromkeys([home, *others]))


def namespaces_of(text: str) -> tuple[str, ...]:
    """Return the namespaces in the variable of operator and routers: names between commas.

    Example:
        >>> namespaces_of("team-a, team-b,")
        ('team-a', 'team-b')

    """
    return tuple(name.strip() for name in text.split(",") if name.strip())
