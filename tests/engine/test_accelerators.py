"""Which accelerators of its machine a replica gets."""

from __future__ import annotations

import pytest

from mljupyter.engine.scaling.accelerators import Accelerator, Holding, choose, visible
from mljupyter.engine.scaling.capacity import Capacity, lack_of_room
from mljupyter.spec import Resources

GPUS = [Accelerator(f"GPU-{name}", "T4", 0) for name in ("ab", "ac", "b")]
THREE = [one.id for one in GPUS]
BLUE = ("iris", "blue")


def held(*ids: str, version: tuple[str, str] = BLUE, revision: str = "1") -> Holding:
    return Holding(ids, version, revision)


@pytest.mark.parametrize(
    ("number", "holdings", "chosen"),
    [
        (1, [], ["GPU-ab"]),
        (2, [held("GPU-ab")], ["GPU-ac", "GPU-b"]),
        (1, [held("GPU-ab"), held("GPU-b")], ["GPU-ac"]),
        (5, [], THREE),
        (1, [held("gone"), *map(held, THREE)], ["GPU-ab"]),
    ],
)
def test_the_least_used_ones_are_given_in_the_machines_order(
    number: int, holdings: list[Holding], chosen: list[str]
) -> None:
    assert choose(number, THREE, holdings, ("wine", "red"), "1") == tuple(chosen)


def test_an_update_shares_with_a_replica_that_will_end_and_never_with_a_new_one() -> None:
    old = [held("GPU-ab"), held("GPU-ac")]
    first = choose(1, THREE[:2], [*old, held("GPU-b", version=("wine", "red"))], BLUE, "2")
    assert first == ("GPU-ab",)
    new = held(*first, revision="2")
    assert choose(1, THREE[:2], [*old, new], BLUE, "2") == ("GPU-ac",)
    assert choose(1, THREE[:2], [old[1], new], BLUE, "2") == ("GPU-ac",)


@pytest.mark.parametrize(
    ("limit", "left"),
    [
        (None, THREE),
        ("", []),
        ("-1", []),
        ("2, 0", ["GPU-b", "GPU-ab"]),
        ("1,7,0", ["GPU-ac"]),
        ("0,0", ["GPU-ab"]),
        ("GPU-b", ["GPU-b"]),
        ("GPU-a", []),
        ("NoDevFiles", []),
    ],
)
def test_cuda_visible_devices_is_read_as_cuda_does(limit: str | None, left: list[str]) -> None:
    assert [one.id for one in visible(GPUS, limit)] == left


def test_a_machine_with_gpus_counts_them_and_one_without_ignores_them() -> None:
    each = Resources(cpu=0.1, memory_in_gb=0.5, gpu=2)
    assert lack_of_room(2, each, Capacity(4, 8, gpus=4)) is None
    assert lack_of_room(3, each, Capacity(4, 8, gpus=4)) == (
        "3 replicas request 0.3 cores, 1.5 GB and 6 GPUs; the machine has 4 cores, 8.0 GB and 4 GPUs: at most 2 can run"
    )
    assert lack_of_room(3, each, Capacity(4, 8)) is None
