"""Read a base image from its registry: manifest, configuration, and the Pythons in its layers."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mljupyter.build.images.errors import ImageError
from mljupyter.build.images.registry.descriptors import (
    LAYER_TYPES,
    Descriptor,
    checked_digest,
    digest_for_platform,
    image_configuration,
    image_parts,
    is_index,
)
from mljupyter.build.images.registry.layer_names import layer_names
from mljupyter.build.images.registry.registry_client import RegistryClient, shown_host
from mljupyter.files import in_home, write_whole
from mljupyter.outside import json_value

_FOLDER = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}"
_INTERPRETER = re.compile(
    rf"(?:\./)?(?P<path>(?:usr/local|usr|opt/{_FOLDER}|root/{_FOLDER})/bin/python3\.(?P<minor>[1-9]?[0-9]))"
)
_MUSL = re.compile(r"(?:\./)?(?:usr/)?lib/ld-musl-[a-z0-9_-]+\.so\.1")
# Older releases wrote notes after reading only a part of the layer. Those have another name and are not read.
_NOTES = "interpreters"


@dataclass(frozen=True, slots=True)
class Interpreters:
    """The Pythons in layers by their absolute path and minor version, and whether the C library is musl."""

    pythons: dict[str, int]
    musl: bool


@dataclass(frozen=True)
class BaseImage:
    """A base image: its digest, its layers as in the manifest, and its configuration."""

    digest: str
    layers: tuple[Descriptor, ...]
    config: dict[str, Any]

    @property
    def architecture(self) -> str:
        """The architecture of its machine, such as ``amd64``."""
        return str(self.config.get("architecture", "amd64"))


def read_base_image(client: RegistryClient, version: str, platform: str) -> BaseImage:
    """Return a base image for a platform such as ``linux/amd64``. Raises `RegistryError` and `ImageError`."""
    manifest = client.manifest(version)
    document = manifest.json()
    if is_index(manifest.media_type, document):
        manifest = client.manifest(digest_for_platform(document, platform))
        document = manifest.json()
        if is_index(manifest.media_type, document):
            raise ImageError(f"{shown_host(client.host)}/{client.repository} has an index in its index: push it again.")
    parts = image_parts(document)
    content = b"".join(client.blob(parts.config.digest, parts.config.size))
    config = image_configuration(content, len(parts.layers))
    system, _, machine = platform.partition("/")
    if (config.get("os", "linux"), config.get("architecture", machine)) != (system, machine):
        raise ImageError(
            f"The base image {client.repository} is for {config.get('os')}/{config.get('architecture')}, "
            f"but {platform} is needed: choose another base image or platform."
        )
    return BaseImage(manifest.digest, parts.layers, config)


def interpreters(
    client: RegistryClient, base: BaseImage, cache: Path, on_chunk: Callable[[], None] = lambda: None
) -> Interpreters:
    """Return the Pythons in the base image, from the names in its layers. Each layer is read once, then cached."""
    pythons: dict[str, int] = {}
    musl = False
    for layer in base.layers:
        found = _noted(client, layer, cache, on_chunk)
        pythons |= found.pythons
        musl = musl or found.musl
    return Interpreters(pythons, musl)


def choose_python(found: Interpreters, wanted: str | None, oldest: int) -> tuple[str, int]:
    """Return path and minor version of the Python to use: the requested version, else that of `python3`.

    Raises `ImageError` when no suitable one is found.
    """
    # If there are several, these directories come first on PATH.
    ranked = sorted(found.pythons.items(), key=lambda item: (not item[0].startswith("/usr/local"), -item[1], item[0]))
    for path, minor in ranked:
        if minor >= oldest and (wanted is None or wanted == f"3.{minor}"):
            return path, minor
    there = ", ".join(path for path, _ in ranked) or "no Python"
    raise ImageError(
        f"The base image has {there}, but Python {wanted or f'3.{oldest} or later'} is needed.\n"
        "Choose another base image, such as python:3.11-slim, or another Python version."
    )


def cache_directory() -> Path:
    """Return the directory of notes about layers."""
    root = in_home(os.environ.get("XDG_CACHE_HOME"), ".cache")
    return root / "mljupyter" / "images"


def write_note(path: Path, document: dict[str, Any]) -> None:
    """Write a note atomically. A cache that cannot be written is ignored."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(path, json.dumps(document, sort_keys=True))
    except OSError:
        return


def read_note(path: Path) -> dict[str, Any] | None:
    """Return a note, None when there is none."""
    try:
        document = json_value(path.read_bytes())
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def _noted(client: RegistryClient, layer: Descriptor, cache: Path, on_chunk: Callable[[], None]) -> Interpreters:
    path = cache / f"{_NOTES}-{checked_digest(layer.digest).removeprefix('sha256:')}.json"
    if (known := _known(read_note(path))) is not None:
        return known
    compression = LAYER_TYPES.get(layer.media_type)
    if compression is None:
        raise ImageError(
            f"The base image has a layer of the type {layer.media_type}, which cannot be read here.\n"
            "Choose a base image with gzip layers, or build with a Docker engine."
        )
    pythons: dict[str, int] = {}
    musl = False
    # At its end, the iteration raises for a layer with a wrong digest. Then nothing of it is noted or used.
    for name in layer_names(client.blob(layer.digest, layer.size), compression, on_chunk):
        if match := _INTERPRETER.fullmatch(name):
            pythons[f"/{match['path']}"] = int(match["minor"])
        musl = musl or bool(_MUSL.fullmatch(name))
    found = Interpreters(pythons, musl)
    write_note(path, asdict(found))
    return found


def _known(note: dict[str, Any] | None) -> Interpreters | None:
    """Return the content of a note, None if it does not have the form written here."""
    if note is None or note.keys() != {"pythons", "musl"}:
        return None
    pythons, musl = note["pythons"], note["musl"]
    if not isinstance(pythons, dict) or type(musl) is not bool:
        return None
    for path, minor in pythons.items():
        match = _INTERPRETER.fullmatch(path.removeprefix("/"))
        if match is None or match["minor"] != str(minor):
            return None
    return Interpreters(pythons, musl)
