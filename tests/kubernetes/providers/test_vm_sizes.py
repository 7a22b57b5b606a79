from __future__ import annotations

import pytest

from mljupyter.targets.kubernetes.providers.vm_sizes import vcpus_of


@pytest.mark.parametrize(
    ("size", "vcpus"),
    [
        ("Standard_D3_v2", 4),
        ("Standard_DS15_v2", 20),
        ("Standard_A4", 8),
        ("Standard_G3", 8),
        ("Standard_DS14-8_v2", 8),
    ],
)
def test_older_families_count_their_sizes(size: str, vcpus: int) -> None:
    assert vcpus_of(size) == vcpus


@pytest.mark.parametrize(
    ("size", "vcpus"),
    [
        ("Standard_D4s_v5", 4),
        ("Standard_A4_v2", 4),
        ("Standard_D16_v3", 16),
        ("Standard_PB6s", 6),
        ("standard_b2ms", 2),
        ("Standard_E32-8s_v3", 8),
        ("Standard_NC24ads_A100_v4", 24),
        ("Standard_M416s_8_v2", 416),
    ],
)
def test_the_number_in_the_name_is_that_of_the_vcpus(size: str, vcpus: int) -> None:
    assert vcpus_of(size) == vcpus


@pytest.mark.parametrize("size", ["", "large", "Standard_D", "Standard_D4_v2; drop", "Standard_D9_v2"])
def test_other_names_say_nothing(size: str) -> None:
    assert vcpus_of(size) is None
