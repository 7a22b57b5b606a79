"""Give an image a second name, where it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mljupyter.core.image.building import ENGINE

if TYPE_CHECKING:
    from mljupyter.build.images import Reference
    from mljupyter.build.images.registry_client import RegistryClient


def tag_image(place: str, present: str, wanted: str) -> None:
    """Call an image by another name, too.

    Parameters:
        place: ``docker``, or ``registry/<host>``, where the name is to be in the same registry.
        present: its reference.
        wanted: the other reference.

    Raises:
        MLJupyterError: when it is not there, or the place cannot be reached.

    """
    from mljupyter.build.images import Reference

    if place == ENGINE:
        _on_engine(present, Reference.parse(wanted))
    else:
        _in_registry(Reference.parse(present), Reference.parse(wanted))


def _on_engine(present: str, wanted: Reference) -> None:
    from mljupyter.build.images.docker_engine import connect, told

    client = connect()
    try:
        with told():
            client.images.get(present).tag(str(wanted))
    finally:
        client.close()


def _in_registry(present: Reference, wanted: Reference) -> None:
    from mljupyter.build.images.credentials import find_credentials
    from mljupyter.build.images.registry_client import RegistryClient

    credentials = find_credentials(present.host)
    with RegistryClient(present.host, present.path, credentials) as source:
        manifest = source.manifest(present.version)
    document = manifest.json()
    with RegistryClient(wanted.host, wanted.path, credentials) as target:
        for blob in (document["config"], *document["layers"]):
            if not target.has_blob(blob["digest"]) and not target.mount_blob(blob["digest"], present.path):
                _copy(present, target, blob)
        target.put_manifest(wanted.version, manifest.content, manifest.media_type)


def _copy(present: Reference, target: RegistryClient, blob: Mapping[str, Any]) -> None:
    from mljupyter.build.images.credentials import find_credentials
    from mljupyter.build.images.registry_client import RegistryClient

    with RegistryClient(present.host, present.path, find_credentials(present.host)) as source:
        target.push_blob(blob["digest"], blob["size"], lambda: source.blob(blob["digest"]))
