"""Tag an image on its Docker engine or in its registry."""

from __future__ import annotations

from functools import partial

from mljupyter.build.images import Reference
from mljupyter.build.images.docker.engine import connect, translated
from mljupyter.build.images.registry.credentials import find_credentials
from mljupyter.build.images.registry.descriptors import image_parts
from mljupyter.build.images.registry.registry_client import RegistryClient
from mljupyter.deploy.images.build_job import ENGINE


def tag_image(place: str, present: str, wanted: str) -> None:
    """Add another reference to an image.

    Parameters:
        place: ``docker``, or ``registry/<host>``; then both references must be of this registry.
        present: its reference.
        wanted: the other reference.

    Raises:
        MLJupyterError: the image is missing, or the place cannot be reached.

    """
    if place == ENGINE:
        _on_engine(present, Reference.parse(wanted))
    else:
        _in_registry(Reference.parse(present), Reference.parse(wanted))


def _on_engine(present: str, wanted: Reference) -> None:
    client = connect()
    try:
        with translated():
            client.images.get(present).tag(str(wanted))
    finally:
        client.close()


def _in_registry(present: Reference, wanted: Reference) -> None:
    with (
        RegistryClient(present.host, present.path, find_credentials(present.host)) as source,
        RegistryClient(wanted.host, wanted.path, find_credentials(wanted.host)) as target,
    ):
        manifest = source.manifest(present.version)
        parts = image_parts(manifest.json())
        for blob in (parts.config, *parts.layers):
            there = target.has_blob(blob.digest)
            if not there and not (present.host == wanted.host and target.mount_blob(blob.digest, present.path)):
                target.push_blob(blob.digest, blob.size, partial(source.blob, blob.digest, blob.size))
        target.put_manifest(wanted.version, manifest.content, manifest.media_type)
