"""Validation of descriptors that a registry sends, before a value is used as path, address or size."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from mljupyter.build.images.errors import ImageError, RegistryError
from mljupyter.outside import json_value

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
_INDEXES, _MANIFESTS = (OCI_INDEX, DOCKER_LIST), (OCI_MANIFEST, DOCKER_MANIFEST)
_OLD_MANIFESTS = (
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
)
_OCI_LAYER = "application/vnd.oci.image.layer"
_DOCKER_LAYER = "application/vnd.docker.image.rootfs"
# The compression of the layers of each media type.
LAYER_TYPES: dict[str, Literal["gzip", "none"]] = {
    f"{_OCI_LAYER}.v1.tar": "none",
    f"{_OCI_LAYER}.v1.tar+gzip": "gzip",
    f"{_OCI_LAYER}.nondistributable.v1.tar": "none",
    f"{_OCI_LAYER}.nondistributable.v1.tar+gzip": "gzip",
    f"{_DOCKER_LAYER}.diff.tar": "none",
    f"{_DOCKER_LAYER}.diff.tar.gzip": "gzip",
    f"{_DOCKER_LAYER}.foreign.diff.tar.gzip": "gzip",
}
MOST_CONFIG_BYTES = 4 << 20
MOST_BLOB_BYTES = 1 << 40
# Engines run images with at most 127 layers.
MOST_LAYERS = 500
MOST_PLATFORMS = 1000
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A part of an image in a manifest: media type, digest, size in bytes."""

    media_type: str
    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class ImageParts:
    """The parts of an image: its configuration, and its layers from the lowest to the highest."""

    config: Descriptor
    layers: tuple[Descriptor, ...]


def checked_digest(value: object) -> str:
    """Return a digest, or raise `RegistryError` for anything but ``sha256:`` and 64 hexadecimal digits."""
    if isinstance(value, str) and _DIGEST.fullmatch(value):
        return value
    raise RegistryError(f"{value!r:.100} is not a digest.\nRule: 'sha256:' and 64 hexadecimal digits in lower case.")


def parsed_json(content: bytes, what: str) -> dict[str, Any]:
    """Return a JSON object from a registry, or raise `RegistryError`. `what` is its name in the message."""
    try:
        document = json_value(content)
    except ValueError as error:
        raise RegistryError(f"{what} cannot be read: it is not JSON, or nested too deeply.") from error
    if not isinstance(document, dict):
        raise RegistryError(f"{what} is a {type(document).__name__}, not a JSON object.")
    return document


def is_index(media_type: str, document: dict[str, Any]) -> bool:
    """Return whether a manifest lists images for several platforms, instead of the parts of one image.

    Raises `ImageError` for an unknown media type, and `RegistryError` for a document with two different types, whose
    meaning would depend on the reader.
    """
    said = document.get("mediaType")
    kinds = {kind for kind in (media_type, said) if kind in (*_INDEXES, *_MANIFESTS)}
    is_list, is_image = "manifests" in document, "layers" in document or "config" in document
    if media_type in _OLD_MANIFESTS or document.get("schemaVersion") == 1:
        raise ImageError("The image has a manifest of an old type (schema 1): push it again.")
    if len(kinds) > 1 or (is_list and is_image) or (said is not None and not isinstance(said, str)):
        raise RegistryError(f"The registry sent a manifest with two types: {media_type or 'none'} and {said!r:.100}.")
    if not kinds:
        raise ImageError(f"The manifest has a type that cannot be read here: {media_type or said or 'none is named'}.")
    return kinds.pop() in _INDEXES


def image_parts(document: dict[str, Any]) -> ImageParts:
    """Return the parts in a manifest, or raise `RegistryError`."""
    layers = document.get("layers")
    if not isinstance(layers, list) or len(layers) > MOST_LAYERS:
        count = len(layers) if isinstance(layers, list) else "no"
        raise RegistryError(f"The manifest has {count} layers. Rule: a list of at most {MOST_LAYERS}.")
    config = descriptor(document.get("config"))
    if config.size > MOST_CONFIG_BYTES:
        raise RegistryError(
            f"The image's configuration has {config.size:,} bytes. Rule: at most {MOST_CONFIG_BYTES:,}."
        )
    return ImageParts(config, tuple(descriptor(layer) for layer in layers))


def descriptor(value: object) -> Descriptor:
    """Return the checked description of one part of an image, or raise `RegistryError`."""
    if not isinstance(value, dict):
        raise RegistryError(f"The manifest names a part as {value!r:.100}. Rule: an object with digest and size.")
    digest, size, media_type = checked_digest(value.get("digest")), value.get("size"), value.get("mediaType")
    if type(size) is not int or not 0 <= size <= MOST_BLOB_BYTES:
        raise RegistryError(
            f"The size of {digest} is {size!r:.40}. Rule: a number of bytes, at most {MOST_BLOB_BYTES:,}."
        )
    if not isinstance(media_type, str) or not _MEDIA_TYPE.fullmatch(media_type):
        raise RegistryError(f"The media type of {digest} is {media_type!r:.100}. Rule: 'type/subtype'.")
    return Descriptor(media_type, digest, size)


def digest_for_platform(index: dict[str, Any], platform: str) -> str:
    """Return the digest of the manifest for a platform such as ``linux/amd64``.

    Raises `ImageError` when there is none, `RegistryError` when the index is invalid.
    """
    entries = index.get("manifests")
    if not isinstance(entries, list) or len(entries) > MOST_PLATFORMS:
        raise RegistryError(f"The index of platforms is not a list of at most {MOST_PLATFORMS:,} manifests.")
    there = []
    for entry in entries:
        described = entry.get("platform") if isinstance(entry, dict) else None
        if not isinstance(described, dict):
            continue  # an entry without a platform is not an image to run, for example a signature
        there.append(f"{described.get('os')}/{described.get('architecture')}"[:50])
        if there[-1] == platform:
            return descriptor(entry).digest
    raise ImageError(f"The image is not for {platform}. It is for: {', '.join(there[:20]) or 'no platform at all'}.")


def image_configuration(content: bytes, layers: int) -> dict[str, Any]:
    """Return an image's configuration, or raise `RegistryError` where a value has an unexpected type.

    Parameters:
        content: the bytes from the registry.
        layers: the number of layers in the manifest. The configuration must have the unpacked digest of each.

    """
    document = parsed_json(content, "The image's configuration")
    inner = document.get("config")
    rootfs = document.get("rootfs")
    diff_ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if not isinstance(diff_ids, list) or len(diff_ids) != layers:
        raise RegistryError(f"The image's configuration does not name the content of its {layers} layers (diff_ids).")
    for diff_id in diff_ids:
        checked_digest(diff_id)
    for where, key, fits in (
        (document, "os", _is_text),
        (document, "architecture", _is_text),
        (document, "variant", _is_text),
        (document, "created", _is_text),
        (document, "history", _is_objects),
        (document, "config", _is_object),
        (inner, "Env", _is_texts),
        (inner, "Shell", _is_texts),
        (inner, "StopSignal", _is_text),
        (inner, "Labels", _is_text_by_text),
        (inner, "Volumes", _is_object),
        (inner, "ExposedPorts", _is_object),
    ):
        value = where.get(key) if isinstance(where, dict) else None
        if value is not None and not fits(value):
            raise RegistryError(f"{key!r} in the image's configuration is {value!r:.100}, which has another form.")
    return document


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and "\0" not in value


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(_is_text(item) for item in value)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _is_text_by_text(value: Any) -> bool:
    return isinstance(value, dict) and all(_is_text(item) for item in value.values())
