"""The address of the Docker engine: from DOCKER_HOST, else from the current context of Docker's command line.

Contexts are read here: the Docker SDK finds them only beside a ``config.json``, and does not know DOCKER_CONTEXT.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mljupyter.build.images.errors import BuilderUnavailableError
from mljupyter.files import in_home
from mljupyter.outside import json_value

DEFAULT_URL = "unix:///var/run/docker.sock"
_MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class TlsFiles:
    """The files for TLS to an engine; each may be absent. Without `verify`, any server certificate is accepted."""

    authority: Path | None
    certificate: Path | None
    key: Path | None
    verify: bool


@dataclass(frozen=True)
class EngineAddress:
    """The address of an engine: ``unix://``, ``tcp://`` or ``ssh://``, its source, and TLS where a context has it."""

    url: str
    source: str
    tls: TlsFiles | None = None

    @property
    def over_ssh(self) -> bool:
        """Whether the connection uses SSH."""
        return self.url.startswith("ssh://")

    @property
    def elsewhere(self) -> bool:
        """Whether the engine is on another machine, so that its loopback is not this machine's."""
        if self.over_ssh:
            return True  # even for localhost: the port may lead to a virtual machine
        parts = urlsplit(self.url)
        if parts.scheme not in ("tcp", "http", "https"):
            return False
        host = parts.hostname or "localhost"
        try:
            return not ip_address(host).is_loopback
        except ValueError:
            return host != "localhost"

    def __str__(self) -> str:
        return f"{self.url} ({self.source})"


def engine_address(url: str | None = None) -> EngineAddress:
    """Return the address of an engine: `url`, else DOCKER_HOST, else the current context, else the default.

    Raises:
        BuilderUnavailableError: when the context does not exist or cannot be read.

    """
    if url is not None:
        return EngineAddress(url, "given")
    if from_environment := os.environ.get("DOCKER_HOST"):
        return EngineAddress(from_environment, "DOCKER_HOST")
    directory = in_home(os.environ.get("DOCKER_CONFIG"), ".docker")
    name = os.environ.get("DOCKER_CONTEXT") or _document(directory / "config.json").get("currentContext")
    if not name or name == "default":
        return EngineAddress(DEFAULT_URL, "the default socket")
    return _of_context(directory / "contexts", str(name))


def _of_context(contexts: Path, name: str) -> EngineAddress:
    folder = hashlib.sha256(name.encode()).hexdigest()
    endpoint = (_document(contexts / "meta" / folder / "meta.json").get("Endpoints") or {}).get("docker") or {}
    if not endpoint.get("Host"):
        raise BuilderUnavailableError(
            f"Docker's context {name!r} does not exist, or names no engine.\n"
            "List them: `docker context ls`. Choose one with `docker context use`, DOCKER_CONTEXT or DOCKER_HOST."
        )
    return EngineAddress(
        endpoint["Host"],
        f"context {name!r}",
        _tls(contexts / "tls" / folder / "docker", bool(endpoint.get("SkipTLSVerify"))),
    )


def _tls(directory: Path, skip_verify: bool) -> TlsFiles | None:
    if not directory.is_dir():
        return None
    files = [directory / name for name in ("ca.pem", "cert.pem", "key.pem")]
    authority, certificate, key = (file if file.is_file() else None for file in files)
    return TlsFiles(authority, certificate, key, verify=not skip_verify)


def _document(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            document = json_value(file.read(_MOST_BYTES))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise BuilderUnavailableError(f"{path} of Docker's command line cannot be read: {error}") from None
    return document if isinstance(document, dict) else {}
