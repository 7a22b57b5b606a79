"""Credentials of container registries: those from the caller, and those stored by ``docker login``."""

from __future__ import annotations

import base64
import logging
import os
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mljupyter.build.images.errors import ImageError
from mljupyter.build.images.events import basic_credentials
from mljupyter.build.images.registry.references import DOCKER_HUB
from mljupyter.files import in_home
from mljupyter.outside import json_value

if TYPE_CHECKING:
    import docker.auth
    import docker.errors

log = logging.getLogger(__name__)
MOST_CONFIG_BYTES = 1 << 20
# The user name that marks the password as an identity token, in the protocol of Docker's credential helpers.
IDENTITY_TOKEN = "<token>"  # noqa: S105 - a name, not a secret


@dataclass(frozen=True, slots=True)
class RegistryCredentials:
    """User name and password for one container registry.

    The password is not part of the repr. An identity token has the user name ``<token>``; see `is_token`.

    Azure: base image registry.

    Parameters:
        address: the registry, such as ``registry.example.com:5000``.
        username: the user there.
        password: the password, or a token.

    Raises:
        ImageError: when one of the three is empty.

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
    def is_token(self) -> bool:
        """Whether the password is an identity token, which is exchanged for an access token (OAuth 2)."""
        return self.username == IDENTITY_TOKEN

    @property
    def secrets(self) -> tuple[str, str]:
        """The values that a log must not contain."""
        return self.password, basic_credentials(self.username, self.password)


def find_credentials(host: str, known: tuple[RegistryCredentials, ...] = ()) -> RegistryCredentials | None:
    """Return the credentials for a registry, None without credentials.

    The caller's credentials come first, then those of Docker's configuration, as the Docker SDK finds them:
    credential helpers (``credHelpers``, ``credsStore``) and passwords stored as text (``auths``). Without the SDK, only
    those stored as text are found.

    A failed helper is logged as a warning, and no credentials are used: the images of the registry may be public.

    Parameters:
        host: the registry, such as ``registry.example.com:5000``.
        known: the caller's credentials.

    """
    name = _docker_name(host)
    for credentials in known:
        if _docker_name(credentials.host) == name:
            return credentials
    try:
        import docker.auth  # heavy, and in the extra [docker]
    except ImportError:
        return _stored_as_text(name)
    try:
        found = _from_docker(docker.auth.load_config(), name)
    # The SDK does not validate the configuration, so a malformed value can raise any error.
    except (docker.errors.DockerException, OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        log.warning("Docker's credentials for %s cannot be read: %s", name, error)
        return None
    return found


def _from_docker(configuration: docker.auth.AuthConfig, name: str) -> RegistryCredentials | None:
    helper = configuration.get_credential_store(name)
    if helper and shutil.which(f"docker-credential-{helper}") is None:
        log.warning(
            "Docker's credentials for %s are stored by docker-credential-%s, which is not on PATH: they are not used.",
            name,
            helper,
        )
        configuration = type(configuration)({"auths": configuration.auths})
    # Docker Hub's credentials are stored under a URL. The SDK finds them by the name docker.io.
    entry = configuration.resolve_authconfig(name) or {}
    values = {key.lower(): value for key, value in entry.items()}  # helpers write Username, files write username
    username, password = values.get("username"), values.get("password")
    if values.get("identitytoken"):
        username, password = IDENTITY_TOKEN, values["identitytoken"]
    return RegistryCredentials(name, username, password) if username and password else None


def _stored_as_text(name: str) -> RegistryCredentials | None:
    """Read ``auths`` of Docker's configuration, for installations without the Docker SDK."""
    path = in_home(os.environ.get("DOCKER_CONFIG"), ".docker") / "config.json"
    try:
        with path.open("rb") as file:
            configuration = json_value(file.read(MOST_CONFIG_BYTES))
        if configuration.get("credHelpers", {}).get(name) or configuration.get("credsStore"):
            log.warning(
                "Docker's configuration names a credential helper for %s, which needs the Docker SDK: "
                "pip install 'mljupyter[docker]'",
                name,
            )
        stored = {
            _docker_name(RegistryCredentials.host_of(key)): entry for key, entry in configuration["auths"].items()
        }
        if token := stored[name].get("identitytoken"):
            return RegistryCredentials(name, IDENTITY_TOKEN, token)
        username, _, password = base64.b64decode(stored[name]["auth"], validate=True).decode().partition(":")
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
    return RegistryCredentials(name, username, password) if username and password else None


def _docker_name(host: str) -> str:
    """Return the name of a registry in Docker's configuration: Docker Hub has three names."""
    return "docker.io" if host in ("index.docker.io", DOCKER_HUB) else host
