"""Sizes of images: what their Docker engines tell. A container registry is not asked, so its images have none."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from mljupyter.build.images.docker.engine import connect, translated
from mljupyter.errors import MLJupyterError
from mljupyter.registry.catalog.image_record import ImageRecord

_WAIT_SECONDS = 5.0


def sizes_of_images(records: Sequence[ImageRecord]) -> dict[str, int]:
    """Return the sizes in bytes of images by their ids; one that no Docker engine has now is left out.

    Parameters:
        records: the images; each engine that holds some of them is asked once.

    Example:
        >>> sizes_of_images([])
        {}

    """
    found: dict[str, int] = {}
    for place in {record.place for record in records if record.place.partition("/")[0] == "docker"}:
        with contextlib.suppress(MLJupyterError):
            known = _on_engine(place.partition("/")[2] or None)
            found |= {
                record.id: known[record.location]
                for record in records
                if record.place == place and record.location in known
            }
    return found


def _on_engine(url: str | None) -> dict[str, int]:
    """Return the sizes of the images of an engine by their references."""
    client = connect(url, timeout=_WAIT_SECONDS)
    try:
        with translated():
            images = client.api.images()
        return {tag: image["Size"] for image in images for tag in image.get("RepoTags") or ()}
    finally:
        client.close()
