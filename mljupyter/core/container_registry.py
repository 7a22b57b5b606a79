"""Container registries: address and credentials.

Azure: azureml.core.container_registry.
"""

from __future__ import annotations

from typing import Any

from mljupyter.build.environments.definition import RegistryDefinition
from mljupyter.core.sections import Section


class RegistryIdentity(Section):
    """The managed identity of Azure that reads a container registry. It is kept, and has no effect.

    Example:
        >>> RegistryIdentity(client_id="1234")
        RegistryIdentity(resource_id=None, client_id='1234')

    """

    __slots__ = ("client_id", "resource_id")
    _defaults = {"resource_id": None, "client_id": None}

    resource_id: str | None
    client_id: str | None

    def definition(self) -> dict[str, Any]:
        """Return the identity as a document."""
        return {"resourceId": self.resource_id, "clientId": self.client_id}


class ContainerRegistry(Section):
    """A container registry; `repr` does not show the password.

    Example:
        >>> registry = ContainerRegistry()
        >>> registry.address, registry.username, registry.password = "registry.example.org", "team", "secret"
        >>> registry
        ContainerRegistry(address='registry.example.org', username='team', registry_identity=None)

    """

    __slots__ = ("address", "password", "registry_identity", "username")
    _defaults = {"address": None, "username": None, "password": None, "registry_identity": None}
    _hidden = frozenset({"password"})

    address: str | None
    username: str | None
    password: str | None
    registry_identity: Any

    def definition(self) -> RegistryDefinition:
        """Return the registry as a document."""
        identity = self.registry_identity
        return RegistryDefinition.parse(
            {
                "address": self.address,
                "username": self.username,
                "password": self.password,
                "registryIdentity": identity.definition() if isinstance(identity, RegistryIdentity) else identity,
            }
        )

    @classmethod
    def of(cls, definition: RegistryDefinition) -> ContainerRegistry:
        """Return the registry in a document."""
        return cls(
            address=definition.address,
            username=definition.username,
            password=definition.password.get_secret_value() if definition.password is not None else None,
            registry_identity=definition.registry_identity,
        )
