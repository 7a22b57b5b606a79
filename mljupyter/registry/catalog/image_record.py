"""An image as users of the registry see it."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from mljupyter.registry.catalog.row_check import check_row
from mljupyter.spec import names

if TYPE_CHECKING:
    from sqlalchemy import Row  # heavy, and not needed to read the SDK's names

RUNNING, SUCCEEDED, FAILED, CANCELED = "Running", "Succeeded", "Failed", "Canceled"
FLAVORS = ("WebApiContainer", "AccelContainer", "IoTContainer")
_REGISTERED = replace(names.MODEL, kind="an image", example="diabetes-image")
ENVIRONMENT_FLAVOR = "Environment"  # an environment alone: no image that anything is deployed from


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One version of an image.

    `creation_state` is Running, Succeeded, Failed or Canceled. `location` is what a container is started from, in
    `place`: ``docker``, or ``registry/<host>``. `log_digest`, `sbom_digest` and `dockerfile_digest` are in the
    artifact store. `recipe` is what the plan was made of; it may hold credentials of package indexes. `stages` has
    the seconds that each stage of the build took. `error` holds step, reason, lastLines and hint.
    """

    id: str
    name: str
    version: int
    creation_state: str
    image_type: str
    image_flavor: str
    plan_digest: str
    place: str
    location: str | None
    digest: str | None
    recipe: dict[str, Any] = field(repr=False)
    content_digests: list[str] = field(repr=False)
    model_ids: list[str]
    log_digest: str | None
    sbom_digest: str | None
    dockerfile_digest: str | None
    stages: dict[str, float]
    error: dict[str, Any] | None
    builder: str
    description: str | None
    tags: dict[str, str]
    properties: dict[str, str]
    created_by: str
    created_time: datetime


def from_row(row: Row[Any]) -> ImageRecord:
    """Return the record that a row holds; one whose builder has died meanwhile has failed."""
    check_row(row, _REGISTERED)
    record = ImageRecord(**row._mapping)
    if record.creation_state == RUNNING and _has_died(record.builder):
        reason = "the process that built it ended before the image was ready: create it again"
        return replace(record, creation_state=FAILED, error={"step": "build", "reason": reason})
    return record


@cache
def this_builder() -> str:
    """Return what identifies this process: its machine, number and start."""
    return _identity(os.getpid())


def _identity(pid: int) -> str:
    import psutil

    return f"{socket.gethostname()} {pid} {psutil.Process(pid).create_time():.2f}"


def _has_died(builder: str) -> bool:
    import psutil

    machine, _, rest = builder.rpartition(" ")[0].rpartition(" ")
    if machine != socket.gethostname() or not rest.isdigit():
        return False  # nobody can tell from here
    try:
        return _identity(int(rest)) != builder
    except psutil.NoSuchProcess:
        return True
