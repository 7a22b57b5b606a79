"""The image that others begin with, read from its registry: manifest, configuration, and which Python it has."""

from __future__ import annotations

import json
import os
import re
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, cast

from mljupyter.build.images.errors import ImageError
from mljupyter.build.images.registry_client import DOCKER_LIST, OCI_INDEX, RegistryClient, shown_host
from mljupyter.files import write_whole

_INTERPRETER = re.compile(r"(?:\./)?((?:usr/local|usr|opt/[\w.-]+|root/[\w.-]+)/bin/python3\.(\d+))")
_MUSL = re.compile(r"(?:\./)?(?:usr/)?lib/ld-musl-[\w-]+\.so\.1")
_LAYER_TYPES = ("tar+gzip", "tar.gzip", ".tar")
MOST_CONFIG_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Interpreters:
    """The Pythons in layers by their absolute path and minor version, and whether the C library is musl."""

    pythons: dict[str, int]
    musl: bool


@dataclass(frozen=True)
class BaseImage:
    """What is needed of a base image: its digest, its layers as the manifest has them, and its configuration."""

    digest: str
    layers: list[dict[str, Any]]
    config: dict[str, Any]

    @property
    def architecture(self) -> str:
        """The machine it is for, such as ``amd64``."""
        return str(self.config.get("architecture", "amd64"))


def read_base_image(client: RegistryClient, version: str, platform: str) -> BaseImage:
    """Return a base image for a platform such as ``linux/amd64``; raises `RegistryError` and `ImageError`."""
    manifest = client.manifest(version)
    document = manifest.json()
    if manifest.media_type in (OCI_INDEX, DOCKER_LIST) or "manifests" in document:
        manifest = client.manifest(_for_platform(document, platform, client))
        document = manifest.json()
    if not isinstance(document.get("config"), dict) or not isinstance(document.get("layers"), list):
        raise ImageError(
            f"{shown_host(client.host)}/{client.repository} has a manifest of an old kind (schema 1): push it again."
        )
    content = b""
    for chunk in client.blob(document["config"]["digest"]):
        content += chunk
        if len(content) > MOST_CONFIG_BYTES:
            raise ImageError(f"The configuration of {client.repository} is larger than {MOST_CONFIG_BYTES:,} bytes.")
    config = json.loads(content)
    system, _, machine = platform.partition("/")
    if (config.get("os", "linux"), config.get("architecture", machine)) != (system, machine):
        raise ImageError(
            f"The base image {client.repository} is for {config.get('os')}/{config.get('architecture')}, "
            f"but {platform} is wanted: choose another base image or platform."
        )
    return BaseImage(manifest.digest, document["layers"], config)


def interpreters(
    client: RegistryClient, base: BaseImage, cache: Path, on_chunk: Callable[[], None] = lambda: None
) -> Interpreters:
    """Return which Pythons the base image has, from the names in its layers; each layer is read once and noted."""
    pythons: dict[str, int] = {}
    musl = False
    for layer in base.layers:
        found = _noted(client, layer, cache, on_chunk)
        pythons |= found.pythons
        musl = musl or found.musl
    return Interpreters(pythons, musl)


def choose_python(found: Interpreters, wanted: str | None, oldest: int) -> tuple[str, int]:
    """Return path and minor version of the Python to use: the one wanted, else that of `python3`.

    Raises `ImageError` when there is none that will do.
    """
    # Where several are, PATH has these first.
    ranked = sorted(found.pythons.items(), key=lambda item: (not item[0].startswith("/usr/local"), -item[1], item[0]))
    for path, minor in ranked:
        if minor >= oldest and (wanted is None or wanted == f"3.{minor}"):
            return path, minor
    there = ", ".join(path for path, _ in ranked) or "no Python"
    raise ImageError(
        f"The base image has {there}, but Python {wanted or f'3.{oldest} or later'} is wanted.\n"
        "Choose another base image, such as python:3.11-slim, or another Python version."
    )


def cache_directory() -> Path:
    """Return where notes about layers are kept."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return root / "mljupyter" / "images"


def write_note(path: Path, document: dict[str, Any]) -> None:
    """Write a note at once or not at all; a cache that cannot be written is done without."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(path, json.dumps(document, sort_keys=True))
    except OSError:
        return


def read_note(path: Path) -> dict[str, Any] | None:
    """Return a note, None when there is none."""
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def _for_platform(index: dict[str, Any], platform: str, client: RegistryClient) -> str:
    system, _, machine = platform.partition("/")
    there = []
    for entry in index.get("manifests", []):
        described = entry.get("platform", {})
        there.append(f"{described.get('os')}/{described.get('architecture')}")
        if there[-1] == f"{system}/{machine}":
            return str(entry["digest"])
    raise ImageError(f"The base image {client.repository} is not for {platform}. It is for: {', '.join(there)}.")


def _noted(client: RegistryClient, layer: dict[str, Any], cache: Path, on_chunk: Callable[[], None]) -> Interpreters:
    digest = str(layer["digest"])
    path = cache / f"python-{digest.removeprefix('sha256:')}.json"
    note = read_note(path)
    if note is not None:
        try:
            return Interpreters(**note)
        except TypeError:
            pass
    if not str(layer.get("mediaType", "")).endswith(_LAYER_TYPES):
        raise ImageError(
            f"The base image has a layer of the kind {layer.get('mediaType')}, which cannot be read here.\n"
            "Choose a base image with gzip layers, or build with a Docker engine."
        )
    pythons: dict[str, int] = {}
    musl = False
    with tarfile.open(fileobj=cast("IO[bytes]", _Stream(client.blob(digest), on_chunk)), mode="r|*") as archive:
        for member in archive:
            archive.members = []  # type: ignore[attr-defined] # else every name of a large layer stays in memory
            if match := _INTERPRETER.fullmatch(member.name):
                pythons[f"/{match[1]}"] = int(match[2])
            musl = musl or bool(_MUSL.fullmatch(member.name))
    found = Interpreters(pythons, musl)
    write_note(path, asdict(found))
    return found


class _Stream:
    """Reads chunks as a file."""

    def __init__(self, chunks: Iterator[bytes], on_chunk: Callable[[], None]) -> None:
        self._chunks = chunks
        self._on_chunk = on_chunk
        self._buffer = b""

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes, fewer only at the end."""
        parts, there = [self._buffer], len(self._buffer)
        while there < size:
            self._on_chunk()
            chunk = next(self._chunks, b"")
            if not chunk:
                break
            parts.append(chunk)
            there += len(chunk)
        content = b"".join(parts)
        self._buffer = content[size:]
        return content[:size]
