"""The decision how models reach the replicas of a version, and the space that they take on a node."""

from __future__ import annotations

from collections.abc import Iterable

from mljupyter.spec.version import ModelDelivery

MODEL_REPOSITORY = "mljupyter/model_artifacts"
"""The repository of models in the workspace's container registry. No image has this name: "_" is not allowed there."""

MOUNTED_FROM_BYTES = 100_000_000
"""Models that take this much together are mounted, where that is possible; smaller ones are baked."""

MOST_MOUNTED_FILES = 1000
"""The largest number of files of a model that is mounted: registries limit the length of an artifact's manifest."""

_BLOCK_BYTES = 4096
_SPARE_BYTES = 64 << 20


def chosen_delivery(asked: ModelDelivery | None, *, size: int, most_files: int, can_mount: bool) -> ModelDelivery:
    """Return how the models of a version are delivered.

    Parameters:
        asked: the wish of the user; None without one.
        size: the bytes of all models together.
        most_files: the number of files of the model that has most.
        can_mount: whether the target mounts models, and there is a container registry to fetch them from.

    Example:
        >>> chosen_delivery(None, size=200_000_000, most_files=1, can_mount=True)
        'mount'
        >>> chosen_delivery(None, size=200_000_000, most_files=1, can_mount=False)
        'bake'

    """
    if asked is not None:
        return asked
    return "mount" if can_mount and size >= MOUNTED_FROM_BYTES and most_files <= MOST_MOUNTED_FILES else "bake"


def space_of(sizes: Iterable[int]) -> int:
    """Return the bytes that files take on a disk, in whole blocks, each with a block for its directory.

    Example:
        >>> space_of([1, 5000])
        20480

    """
    return sum((-(-size // _BLOCK_BYTES) + 1) * _BLOCK_BYTES for size in sizes)


def volume_mebibytes(space: int) -> int:
    """Return the size limit of a volume for models that take `space` bytes, in MiB, with a reserve."""
    return -(-(space + space // 10 + _SPARE_BYTES) // (1 << 20))
