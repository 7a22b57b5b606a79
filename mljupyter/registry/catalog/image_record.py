"""The record of an image in the registry."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from mljupyter.process_start import start_mark
from mljupyter.registry.catalog.row_check import check_row
from mljupyter.spec import names

if TYPE_CHECKING:
    from sqlalchemy import Row  # heavy, and not needed to read the SDK's names

RUNNING, SUCCEEDED, FAILED, CANCELED = "Running", "Succeeded", "Failed", "Canceled"
FLAVORS = ("WebApiContainer", "AccelContainer", "IoTContainer")
_REGISTERED = replace(names.MODEL, kind="an image", example="diabetes-image")
ENVIRONMENT_FLAVOR = "Environment"  # an environment alone: nothing is deployed from such an image


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One version of an image.

    `creation_state` is Running, Succeeded, Failed or Canceled. `location` is the reference to start a container from,
    in `place`: ``docker``, or ``registry/<host>``. `log_digest`, `sbom_digest` and `dockerfile_digest` are in the
    artifact store. `recipe` is the input of the plan; it may contain credentials of package indexes. `stages` has the
    duration of each stage of the build in seconds. `error` holds step, reason, lastLines and hint.
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
    """Return the record of a row. A Running image whose builder process has ended counts as Failed."""
    check_row(row, _REGISTERED)
    record = ImageRecord(**row._mapping)
    if record.creation_state == RUNNING and _has_died(record.builder):
        reason = "the process that built it ended before the image was ready: create it again"
        return replace(record, creation_state=FAILED, error={"step": "build", "reason": reason})
    return record


@cache
def this_builder() -> str:
    """Return the identity of this process: its machine, process id and the mark of its start."""
    return _identity(os.getpid())


def _identity(pid: int) -> str:
    return f"{socket.gethostname()} {pid} {start_mark(pid)}"


def _has_died(builder: str) -> bool:
    machine, _, rest = builder.rpartition(" ")[0].rpartition(" ")
    if machine != socket.gethostname() or not rest.isdigit():
        return False  # unknown from here
    try:
        return _identity(int(rest)) != builder
    except ProcessLookupError:
        return True
