"""Dangling build stages on a Docker engine: build cache, removed when unused."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mljupyter.build.images.docker.engine import translated
from mljupyter.build.images.plan import layout

if TYPE_CHECKING:
    import docker


@dataclass(frozen=True, slots=True)
class Leftover:
    """A dangling image of one of our builds. `size` is in bytes and includes layers shared with other images."""

    id: str
    created_time: float
    size: int


def leftovers(client: docker.DockerClient, *, unused_seconds: float) -> list[Leftover]:
    """Return the dangling images of our builds that are older than `unused_seconds`, the newest first.

    Parameters:
        client: a client of the engine.
        unused_seconds: the least age. Younger images are the cache of the next builds.

    """
    made_before = time.time() - unused_seconds
    found: dict[str, Leftover] = {}
    for label in (layout.LABEL_ENVIRONMENT, layout.LABEL_SERVER, layout.LABEL_PLAN):
        with translated():
            images = client.api.images(filters={"label": label, "dangling": True})
        for image in images:
            if image["Created"] < made_before:
                found[image["Id"]] = Leftover(image["Id"], image["Created"], image.get("Size", 0))
    return sorted(found.values(), key=lambda one: -one.created_time)


def remove_leftover(client: docker.DockerClient, leftover: Leftover) -> bool:
    """Remove a dangling image. Return False when a container or another image needs it."""
    from docker.errors import APIError, NotFound

    try:
        client.api.remove_image(leftover.id)
    except NotFound:
        return True
    except APIError:
        return False
    return True
