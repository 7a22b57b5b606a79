"""Connection to the Docker engine, with clear errors for what it does not support."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from mljupyter.build.images.builder import InstalledPackage
from mljupyter.build.images.docker.address import EngineAddress, TlsFiles, engine_address
from mljupyter.build.images.docker.ssh import SshWay
from mljupyter.build.images.errors import (
    BuilderUnavailableError,
    ImageError,
    RegistryCredentialsError,
    RegistryError,
    RegistryNotFoundError,
)
from mljupyter.build.images.registry.credentials import RegistryCredentials, find_credentials
from mljupyter.build.images.registry.descriptors import checked_digest
from mljupyter.build.images.registry.references import Reference
from mljupyter.outside import json_value

if TYPE_CHECKING:
    import docker
    from docker.models.images import Image

NOT_INSTALLED = "the Docker SDK is not installed: pip install 'mljupyter[docker]'"
_TIMEOUT_SECONDS = 60
# A build may print nothing for as long as a compiler runs.
BUILD_TIMEOUT_SECONDS = 3600
LABEL_RUN = "mljupyter/run"
# Runs with an environment's Python inside the image, and lists its installed packages.
_LIST_PACKAGES = """
import json, sys
from importlib import metadata
found = {}
for item in metadata.distributions():
    text = item.metadata.get("License-Expression") or item.metadata.get("License") or ""
    short = text if text and len(text) < 100 and chr(10) not in text else None
    found.setdefault((item.metadata["Name"] or "").lower(), [item.metadata["Name"], item.version, short])
print(json.dumps([value for key, value in sorted(found.items()) if key]))
"""


def connect(url: str | None = None, timeout: float = _TIMEOUT_SECONDS) -> docker.DockerClient:
    """Return a client of the engine at `url`, by default the engine of DOCKER_HOST or of this machine.

    Raises `BuilderUnavailableError` when the SDK is missing or the engine does not answer.
    """
    try:
        from docker.errors import DockerException
    except ImportError as error:
        raise BuilderUnavailableError(f"No Docker engine can be used: {NOT_INSTALLED}") from error
    address = engine_address(url)
    try:
        if address.over_ssh:
            return _client_over_ssh(address, int(timeout))
        client = _client(address, int(timeout))
        client.ping()
    except (DockerException, OSError) as error:
        raise BuilderUnavailableError(
            f"The Docker engine {address} does not answer: {_reason(error)}\n"
            "Start it, check DOCKER_HOST or the context (`docker context ls`), and that this user may use it (group "
            "docker, keys, certificates)."
        ) from error
    return client


def images_with(client: docker.DockerClient, label: str) -> list[Image]:
    """Return the images with a label. One that somebody removes meanwhile is left out."""
    from docker.errors import ImageNotFound

    found = []
    for summary in client.api.images(filters={"label": label}):
        with suppress(ImageNotFound):
            found.append(client.images.get(summary["Id"]))
    return found


@contextmanager
def translated() -> Iterator[None]:
    """Translate the errors of the Docker SDK into ours."""
    from docker.errors import DockerException, ImageNotFound
    from requests.exceptions import RequestException

    try:
        yield
    except ImageNotFound as error:
        raise RegistryNotFoundError(f"The Docker engine has no such image: {_reason(error)}") from error
    except (DockerException, RequestException) as error:
        raise refused(_reason(error)) from error


def refused(text: str) -> ImageError:
    """Return the error for a refusal by an engine or its registry."""
    lowered = text.lower()
    if any(word in lowered for word in ("unauthorized", "authentication required", "no basic auth", "denied")):
        return RegistryCredentialsError(
            f"The registry refused the credentials, or wants some: {text}\n"
            "Check user name and password, and the image's name: registries also give this answer for unknown images."
        )
    if "not found" in lowered or "manifest unknown" in lowered or "name unknown" in lowered:
        return RegistryNotFoundError(f"The image was not found: {text}\nCheck its name and tag.")
    return RegistryError(f"The Docker engine refused: {text}")


def auth_config(host: str, known: tuple[RegistryCredentials, ...]) -> dict[str, str] | None:
    """Return credentials in the form of the Docker SDK, None if the SDK is to look them up itself."""
    credentials = find_credentials(host, known)
    if credentials is not None and credentials.is_token:
        return {"identitytoken": credentials.password}
    return {"username": credentials.username, "password": credentials.password} if credentials else None


def pull(
    client: docker.DockerClient,
    reference: Reference,
    known: tuple[RegistryCredentials, ...],
    *,
    platform: str | None = None,
    on_line: Callable[[str], None] = lambda line: None,
) -> None:
    """Pull an image and log the progress. Raises `RegistryError`."""
    with translated():
        messages = client.api.pull(
            f"{reference.registry}/{reference.repository}" if reference.registry else reference.repository,
            tag=reference.version,
            stream=True,
            decode=True,
            auth_config=auth_config(reference.host, known),
            platform=platform,
        )
        follow(messages, on_line)


def push(
    client: docker.DockerClient,
    reference: Reference,
    known: tuple[RegistryCredentials, ...],
    on_line: Callable[[str], None] = lambda line: None,
) -> str:
    """Push an image and return its digest in the registry. Raises `RegistryError`."""
    digest = ""
    with translated():
        messages = client.api.push(
            f"{reference.registry}/{reference.repository}" if reference.registry else reference.repository,
            tag=reference.tag or "latest",
            stream=True,
            decode=True,
            auth_config=auth_config(reference.host, known),
        )
        for message in follow(messages, on_line):
            digest = str((message.get("aux") or {}).get("Digest") or digest)
    if not digest:
        raise RegistryError(f"The registry did not return the digest of {reference}: push it again.")
    return checked_digest(digest)


def follow(messages: Any, on_line: Callable[[str], None]) -> list[dict[str, Any]]:
    """Read the messages of a pull or push to their end. Return those without progress."""
    kept = []
    for message in messages:
        if error := message.get("error"):
            raise refused(str(error))
        if message.get("progressDetail"):
            continue
        kept.append(message)
        status = str(message.get("status") or "").strip()
        if status:
            on_line(f"{message['id']}: {status}" if message.get("id") else status)
    return kept


def list_packages(client: docker.DockerClient, image: str, interpreter: str, part: str) -> list[InstalledPackage]:
    """Return the packages of an environment in an image, listed by its interpreter; none when that cannot run."""
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    try:
        output = client.containers.run(
            image,
            ["-I", "-c", _LIST_PACKAGES],
            entrypoint=interpreter,
            remove=True,
            network_disabled=True,
            read_only=True,
            labels={LABEL_RUN: "packages"},
        )
        found = [InstalledPackage(name, version, part, text) for name, version, text in json_value(output)]
        # The interpreter belongs to the image, so its output is not trusted.
        fields = [(one.name, one.version, one.license or "") for one in found]
        return found if all(isinstance(value, str) for values in fields for value in values) else []
    except (DockerException, RequestException, ValueError, TypeError):
        return []


def _client(address: EngineAddress, timeout: int) -> docker.DockerClient:
    import docker
    from docker.utils import kwargs_from_env

    given: dict[str, Any] = {"base_url": address.url}
    if address.tls is not None:
        given["tls"] = _tls(address.tls)
    elif address.source == "DOCKER_HOST":
        given = dict(kwargs_from_env())  # reads DOCKER_TLS_VERIFY and DOCKER_CERT_PATH
    if "tls" in given:
        given["tls"] = _by_itself(given["tls"])
    return docker.DockerClient(**given, timeout=timeout)


def _client_over_ssh(address: EngineAddress, timeout: int) -> docker.DockerClient:
    from docker.errors import DockerException

    way = SshWay(address.url)
    try:
        client = _client(EngineAddress(way.url, "ssh"), timeout)
        client.ping()
    except (DockerException, OSError) as error:
        said = way.said()
        way.close()
        raise DockerException(said or _reason(error)) from error
    weakref.finalize(client, way.close)
    return client


def _tls(files: TlsFiles) -> Any:
    from docker.tls import TLSConfig

    pair = (str(files.certificate), str(files.key)) if files.certificate and files.key else None
    return TLSConfig(client_cert=pair, ca_cert=str(files.authority) if files.authority else None, verify=files.verify)


def _by_itself(tls: Any) -> Any:
    """Return TLS settings that ignore REQUESTS_CA_BUNDLE, which is meant for other servers than an engine."""
    configure = tls.configure_client

    def configure_alone(client: Any) -> None:
        client.trust_env = False
        configure(client)

    tls.configure_client = configure_alone
    return tls


def _reason(error: BaseException) -> str:
    explanation = getattr(error, "explanation", None)
    return str(explanation or error).strip().partition("\n")[0][:500]
