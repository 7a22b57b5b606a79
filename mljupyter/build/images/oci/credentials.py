"""Who may pull and push: credentials of container registries."""

from __future__ import annotations

import base64
import binascii
import os
from dataclasses import dataclass, field
from pathlib import Path

from mljupyter.build.images.errors import ImageError
from mljupyter.build.images.events import basic_credentials
from mljupyter.outside import json_value

MOST_CONFIG_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class RegistryCredentials:
    """User name and password for one container registry, such as ``registry.example.com:5000``.

    All three are needed (Azure ML v1: base image registry). The password never shows in a repr.
    """

    address: str
    username: str
    password: str = field(repr=False)

    def __post_init__(self) -> None:
        missing = [name for name in ("address", "username", "password") if not getattr(self, name)]
        if missing:
            raise ImageError(
                f"The credentials of a container registry lack {' and '.join(missing)}.\n"
                "Rule: address, username and password are given together, or none of them."
            )

    @property
    def host(self) -> str:
        """The address without scheme and path."""
        return self.host_of(self.address)

    @staticmethod
    def host_of(address: str) -> str:
        """Return the host of an address, which may have a scheme and a path."""
        return address.removeprefix("https://").removeprefix("http://").partition("/")[0]

    @property
    def secrets(self) -> tuple[str, str]:
        """What must not appear in a log."""
        return self.password, basic_credentials(self.username, self.password)


def find_credentials(host: str, known: tuple[RegistryCredentials, ...] = ()) -> RegistryCredentials | None:
    """Return the credentials for a registry: those given, else those that ``docker login`` has stored as text.

    Credentials that a helper program keeps are left to the Docker engine's client.
    """
    for credentials in known:
        if credentials.host == host:
            return credentials
    path = Path(os.environ.get("DOCKER_CONFIG", "~/.docker")).expanduser() / "config.json"
    try:
        with path.open("rb") as file:
            stored = json_value(file.read(MOST_CONFIG_BYTES))["auths"][host]["auth"]
        username, colon, password = base64.b64decode(stored, validate=True).decode().partition(":")
    except (OSError, ValueError, KeyError, TypeError, binascii.Error):
        return None
    return RegistryCredentials(host, username, password) if colon and username and password else None
