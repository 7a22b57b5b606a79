"""The decision how models reach the replicas of a version."""

from __future__ import annotations

from typing import Any

import pytest

from mljupyter.engine.model_delivery import (
    MOST_MOUNTED_FILES,
    MOUNTED_FROM_BYTES,
    chosen_delivery,
    space_of,
    volume_mebibytes,
)

LARGE = {"size": MOUNTED_FROM_BYTES, "most_files": 1, "can_mount": True}


@pytest.mark.parametrize(
    ("asked", "others", "expected"),
    [
        (None, {}, "mount"),
        (None, {"size": MOUNTED_FROM_BYTES - 1}, "bake"),
        (None, {"can_mount": False}, "bake"),
        (None, {"most_files": MOST_MOUNTED_FILES + 1}, "bake"),
        ("bake", {}, "bake"),
        ("mount", {"size": 1}, "mount"),
    ],
)
def test_large_models_are_mounted_where_they_can_be_and_a_wish_counts(
    asked: Any, others: dict[str, Any], expected: str
) -> None:
    assert chosen_delivery(asked, **{**LARGE, **others}) == expected


def test_the_volume_has_room_for_the_blocks_of_many_small_files() -> None:
    assert space_of([0, 1, 4096, 4097]) == (1 + 2 + 2 + 3) * 4096
    assert volume_mebibytes(0) == 64
    assert volume_mebibytes(1 << 30) == 1024 + 103 + 64
